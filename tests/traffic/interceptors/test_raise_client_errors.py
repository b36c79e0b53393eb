"""A 4xx ends the session at once, keeps its status, and nobody tries again."""

from __future__ import annotations

import pytest
from steps import Scripted, configured

from nemo_evaluator.errors import InfraError, ModelError, PermanentError
from nemo_evaluator.traffic.types import CallContext, ModelResponse
from nemo_evaluator.types import Failure

UPSTREAM = ModelResponse(400, {"error": {"message": "no such parameter"}})


def refused(status: int | None, kind: Failure = Failure.BAD_REQUEST) -> ModelError:
    message = f"HTTP {status}: no such parameter"
    return ModelError(message, kind=kind, peer="http://h", status=status, upstream=UPSTREAM)


@pytest.mark.parametrize("status", [400, 404, 413, 422, 499])
async def test_client_errors_are_raised(status: int) -> None:
    with pytest.raises(PermanentError) as caught:
        await Scripted(configured("raise_client_errors")).send({}, refused(status))
    error = caught.value
    assert str(error) == f"Upstream returned {status}: no such parameter"
    assert (error.info.status, error.info.kind) == (status, Failure.BAD_REQUEST)
    assert (error.info.peer, error.upstream) == ("http://h", UPSTREAM)


async def test_the_kind_is_kept() -> None:
    with pytest.raises(PermanentError) as caught:
        answer = refused(400, Failure.CONTEXT_WINDOW)
        await Scripted(configured("raise_client_errors")).send({}, answer)
    assert caught.value.info.kind is Failure.CONTEXT_WINDOW


@pytest.mark.parametrize("status", [408, 429, 200, None, 500])
async def test_others_pass(status: int | None) -> None:
    with pytest.raises(ModelError):
        await Scripted(configured("raise_client_errors")).send({}, refused(status))


async def test_infrastructure_passes() -> None:
    with pytest.raises(InfraError, match="gone") as caught:
        answer = InfraError("gone", status=400)
        await Scripted(configured("raise_client_errors")).send({}, answer)
    assert not isinstance(caught.value, PermanentError)


async def test_the_session_fails_fast_until_it_ends() -> None:
    pipeline = Scripted(configured("raise_client_errors"))
    with pytest.raises(PermanentError):
        await pipeline.send({}, refused(400))
    good = {"choices": []}
    with pytest.raises(PermanentError, match="Upstream returned 400"):
        await pipeline.send({}, good)
    assert len(pipeline.got) == 1
    assert await pipeline.send({}, good, session="other") == good
    pipeline.pipeline.end_session(CallContext(session="s"))
    assert await pipeline.send({}, good) == good


async def test_calls_of_no_session_do_not_share_a_fate() -> None:
    pipeline = Scripted(configured("raise_client_errors"))
    with pytest.raises(PermanentError):
        await pipeline.send({}, refused(400), session="")
    assert await pipeline.send({}, {"choices": []}, session="") == {"choices": []}
