"""The first pairs and the failures reach the file, whole and without secrets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from steps import configured, knowing

from nemo_evaluator.errors import ConfigError, InfraError, ModelError
from nemo_evaluator.traffic.interceptors import http_pairs_dump
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.types import CallContext, ModelRequest, ModelResponse, Place
from nemo_evaluator.types import Failure

Body = dict[str, Any]


class Dumped:
    """A pipeline with the dump in it, around an upstream that answers one thing after the other."""

    def __init__(self, path: Path, *answers: ModelResponse | BaseException, **config: Any) -> None:
        self.path, self._answers = path, list(answers)
        config = {"dump_path": str(path), **config}
        steps = open_interceptors([configured("http_pairs_dump", config)])
        self.pipeline = Pipeline(steps, self._answer)
        self.pipeline.open(Place("svc", "m", "p", "", scrub=knowing("sesame123")))

    async def ask(self, session: str = "", **headers: str) -> None:
        number = len(self._answers)
        request = ModelRequest("chat_completions", {"left": number}, dict(headers))
        request.context = CallContext(session)
        with contextlib.suppress(ModelError, InfraError, asyncio.CancelledError):
            await self.pipeline(request)

    async def ask_all(self) -> Body:
        while self._answers:
            await self.ask()
        return await self.closed()

    async def closed(self) -> Body:
        await self.pipeline.close()
        content: Body = json.loads(self.path.read_bytes())
        return content

    async def _answer(self, request: ModelRequest) -> ModelResponse:
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def answers(*statuses: int) -> list[ModelResponse]:
    return [ModelResponse(status, {"n": n}) for n, status in enumerate(statuses)]


async def test_the_first_and_the_failures(tmp_path: Path) -> None:
    dumped = Dumped(tmp_path / "new" / "dump.json", *answers(200, 200, 500), first_n=1)
    await dumped.ask()
    await dumped.ask("s1")
    await dumped.ask("s2")
    content = await dumped.closed()
    assert content["metrics"] == {"200": 2, "500": 1}
    assert [pair["response"]["body"]["n"] for pair in content["pairs"]] == [0, 2]
    first, failed = content["pairs"]
    assert failed["session_id"] == "s2" and "session_id" not in first
    assert first["request"] == {"headers": {}, "body": {"left": 3}}
    assert set(first["response"]) == {"status", "headers", "body", "latency_ms"}
    assert first["request_id"] != failed["request_id"] and "errors" not in content
    assert list(dumped.path.parent.iterdir()) == [dumped.path]


async def test_calls_without_an_answer(tmp_path: Path) -> None:
    upstream = ModelResponse(400, {"error": "too long"}, {"x": "y"})
    dumped = Dumped(
        tmp_path / "dump.json",
        ModelError("no", kind=Failure.CONTEXT_WINDOW, status=400, upstream=upstream),
        InfraError("gone", kind=Failure.CONNECTION),
        asyncio.CancelledError(),
        first_n=0,
    )
    content = await dumped.ask_all()
    assert content["metrics"] == {"400": 1}
    assert content["errors"] == {"connection": 1, "abandoned": 1}
    refused, broken = content["pairs"]
    assert refused["response"]["body"] == {"error": "too long"}
    expected = {"type": "ModelError", "kind": "context_window_exceeded", "message": "no"}
    assert refused["error"] == expected
    assert "response" not in broken and broken["error"]["kind"] == "connection"


async def test_memory_is_bounded(tmp_path: Path) -> None:
    statuses = [200] * 5 + [503] * 50
    dumped = Dumped(tmp_path / "d", *answers(*statuses), first_n=2, max_failures=3)
    content = await dumped.ask_all()
    assert content["metrics"] == {"200": 5, "503": 50}
    assert [pair["response"]["body"]["n"] for pair in content["pairs"]] == [0, 1, 5, 6, 7]


async def test_secrets_are_masked(tmp_path: Path) -> None:
    headers = {"Set-Cookie": "abc", "x-plain": "is sesame123", "other": "plain"}
    dumped = Dumped(tmp_path / "d", ModelResponse(200, {"said": ["sesame123 \ud800"]}, headers))
    await dumped.ask(authorization="Bearer x", **{"x-api-key": "k", "accept": "all"})
    content = await dumped.closed()
    [pair] = content["pairs"]
    mask = "**********"
    assert pair["request"]["headers"] == {"authorization": mask, "x-api-key": mask, "accept": "all"}
    assert pair["response"]["headers"] == {
        "Set-Cookie": mask,
        "x-plain": f"is {mask}",
        "other": "plain",
    }
    assert pair["response"]["body"] == {"said": [f"{mask} \ud800"]}


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files written."""
    seen: list[Path] = []
    replace: Callable[[Path, Body], None] = http_pairs_dump._replace

    def noting(path: Path, content: Body) -> None:
        seen.append(path)
        replace(path, content)

    monkeypatch.setattr(http_pairs_dump, "_replace", noting)
    return seen


async def test_the_file_is_not_written_for_every_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: list[Path]
) -> None:
    monkeypatch.setattr(http_pairs_dump, "WRITE_SECONDS", 0.05)
    dumped = Dumped(tmp_path / "d", *answers(*[500] * 300))
    for _ in range(150):
        await dumped.ask()
    assert writes == []
    await asyncio.sleep(0.3)
    assert len(writes) == 1 and json.loads(dumped.path.read_bytes())["metrics"] == {"500": 150}
    content = await dumped.ask_all()
    assert len(writes) == 2 and content["metrics"] == {"500": 300}
    await dumped.pipeline.close()
    assert len(writes) == 2


async def test_a_disk_that_takes_nothing_fails_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    dumped = Dumped(tmp_path / "gone" / "d", *answers(200))
    (tmp_path / "gone").touch()
    await dumped.ask()
    await dumped.pipeline.close()
    assert "no more pairs are dumped: " in caplog.text


def test_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="first_n"):
        Dumped(tmp_path / "d", first_n=-1)
    with pytest.raises(ConfigError, match="cannot write there: it is no file"):
        Dumped(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write there"):
        Dumped(tmp_path / "file" / "d")
