"""Answers of a session that is begun anew: each given once, in their order, counted once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.errors import InfraError
from nemo_evaluator.traffic.kept_answers import KeptAnswers, from_kept_answers
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.scrub import Scrubber
from nemo_evaluator.traffic.types import CallContext, ModelRequest, ModelResponse
from nemo_evaluator.types import Failure


class Endpoint:
    """Answers each call with its number."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.fails = False

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        self.asked.append(request.body["prompt"])
        if self.fails:
            raise InfraError("down", kind=Failure.CONNECTION)
        return ModelResponse(200, {"answer": len(self.asked)}, latency_ms=5.0, tries=2)


async def told(endpoint: Endpoint, kept: KeptAnswers | None, prompt: str) -> ModelResponse:
    pipeline = Pipeline([("kept answers", from_kept_answers)], endpoint)
    context = CallContext(session="s", kept=kept)
    return await pipeline(ModelRequest("completions", {"prompt": prompt}, context=context))


async def number(endpoint: Endpoint, kept: KeptAnswers, prompt: str) -> int:
    found: int = (await told(endpoint, kept, prompt)).body["answer"]
    return found


@given(
    before=st.lists(st.sampled_from("abc"), max_size=12),
    more=st.lists(st.sampled_from("abc"), max_size=6),
    torn=st.binary(max_size=6),
)
def test_what_was_answered_is_never_asked_again(
    tmp_path_factory: Any, before: list[str], more: list[str], torn: bytes
) -> None:
    async def run() -> None:
        path = tmp_path_factory.mktemp("kept") / "answers.jsonl"
        endpoint, first = Endpoint(), KeptAnswers(path, Scrubber())
        answers = [await number(endpoint, first, prompt) for prompt in before]
        with path.open("ab") as file:  # killed: nothing is closed, and a line is cut off
            file.write(torn.replace(b"\n", b""))
        second = KeptAnswers(path, Scrubber())
        assert [await number(endpoint, second, prompt) for prompt in before] == answers
        assert endpoint.asked == before
        for prompt in more:
            assert await number(endpoint, second, prompt) == len(endpoint.asked)
        assert endpoint.asked == before + more

    asyncio.run(run())


async def test_it_is_counted_by_who_did_not_count_it(tmp_path: Path) -> None:
    path, endpoint = tmp_path / "answers.jsonl", Endpoint()
    kept = KeptAnswers(path, Scrubber())
    await told(endpoint, kept, "a")
    kept.count()
    await told(endpoint, kept, "b")
    kept.close()
    again = KeptAnswers(path, Scrubber())
    first, second = await told(endpoint, again, "a"), await told(endpoint, again, "b")
    assert (first.source, second.source) == ("cache", "replay")
    assert (first.latency_ms, first.tries) == (5.0, 2)
    assert (await told(endpoint, again, "a")).source == "endpoint"


async def test_failures_are_asked_again_and_others_keep_nothing(tmp_path: Path) -> None:
    path, endpoint = tmp_path / "answers.jsonl", Endpoint()
    endpoint.fails = True
    kept = KeptAnswers(path, Scrubber())
    for _ in range(2):
        try:
            await told(endpoint, kept, "a")
        except InfraError:
            continue
    endpoint.fails = False
    await told(endpoint, None, "a")
    assert path.read_bytes() == b""
    assert (await told(endpoint, kept, "a")).body == {"answer": 4}
    assert path.read_bytes().count(b"\n") == 1
