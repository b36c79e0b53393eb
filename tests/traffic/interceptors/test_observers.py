"""Interceptors that only look: log lines, totals, a webhook. None of them fails a call."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from loopback import Call, Loopback, Reply, json_reply
from steps import knowing

from nemo_evaluator.config.proxy import InterceptorConfig
from nemo_evaluator.errors import InfraError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.types import CallContext, ModelRequest, ModelResponse, Place
from nemo_evaluator.types import Failure

BODY: dict[str, Any] = {
    "model": "m",
    "choices": [{"message": {"content": "the secret-key-123"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4},
}


def pipeline(name: str, **options: Any) -> Pipeline:
    async def terminal(request: ModelRequest) -> ModelResponse:
        if request.body.get("fail"):
            raise InfraError("gone with secret-key-123", kind=Failure.CONNECTION)
        return ModelResponse(200, dict(BODY), latency_ms=12.0)

    config = InterceptorConfig.model_validate({"name": name, "config": options})
    steps = Pipeline(open_interceptors([config]), terminal)
    scrub = knowing("secret-key-123")
    steps.open(Place("svc", "m", "peer", "chat_completions", scrub=scrub))
    return steps


async def ask(steps: Pipeline, **body: Any) -> None:
    await steps(ModelRequest("chat_completions", body, context=CallContext(session="s1")))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="nemo_evaluator.traffic")
    return caplog


async def test_log_tokens(lines: pytest.LogCaptureFixture) -> None:
    await ask(pipeline("log_tokens"))
    assert lines.messages == ["tokens: prompt 3, completion 4, total 7, 12 ms, m"]


async def test_response_stats(lines: pytest.LogCaptureFixture) -> None:
    steps = pipeline("response_stats", every=2)
    await ask(steps)
    with pytest.raises(InfraError):
        await ask(steps, fail=True)
    await ask(steps)
    assert lines.messages == ["2 calls: 1 answers, 7 tokens, 12 ms each; stop 1, connection 1"]
    await steps.close()
    await steps.close()
    assert lines.messages[1:] == ["3 calls: 2 answers, 14 tokens, 12 ms each; stop 2, connection 1"]


async def test_logging_shows_previews_without_secrets(lines: pytest.LogCaptureFixture) -> None:
    steps = pipeline("logging", preview_chars=30)
    await ask(steps, messages=["secret-key-123"])
    with pytest.raises(InfraError):
        await ask(steps, fail=True)
    text = "\n".join(lines.messages)
    assert "secret-key" not in text
    assert lines.messages[0].startswith("→ s1 chat_completions {")
    assert lines.messages[1].startswith("← s1 200 from endpoint, 12 ms {")
    assert lines.messages[1].endswith("...")
    assert lines.messages[3] == "← s1 failed: gone with **********"


async def test_progress_calls_the_webhook_beside_the_traffic(
    lines: pytest.LogCaptureFixture, loopback: Loopback
) -> None:
    told: list[int] = []

    def hook(call: Call) -> Reply:
        assert call.path == "/v1/hook" and call.headers["authorization"] == "Basic dXNlcjpwdw=="
        told.append(call.body["completed"])
        return json_reply({})

    loopback.script(hook)
    url = loopback.url.replace("//", "//user:pw@") + "/hook"
    steps = pipeline("progress_tracking", every=2, webhook_url=url)
    for _ in range(5):
        await ask(steps)
    await steps.close()
    assert told[-1] == 5 and told == sorted(told)
    assert lines.messages == ["2 answers", "4 answers"]


async def test_the_webhook_of_a_dry_run_is_not_called(lines: pytest.LogCaptureFixture) -> None:
    steps = pipeline("progress_tracking", every=1, webhook_url="http://127.0.0.1:9/x")
    await steps.close()
    assert not lines.messages


async def test_a_webhook_without_an_answer_is_only_logged(lines: pytest.LogCaptureFixture) -> None:
    steps = pipeline("progress_tracking", every=1, webhook_url="http://127.0.0.1:9/x")
    await ask(steps)
    await steps.close()
    assert any("progress webhook failed: " in line for line in lines.messages)


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_webhook_that_refuses_is_only_logged(
    lines: pytest.LogCaptureFixture, loopback: Loopback, status: int
) -> None:
    loopback.script(lambda call: json_reply({}, status))
    steps = pipeline("progress_tracking", every=1, webhook_url=f"{loopback.url}/hook?key=secret")
    await ask(steps)
    await steps.close()
    assert f"progress webhook failed: HTTP {status}" in lines.messages
    assert not any("secret" in line for line in lines.messages)
