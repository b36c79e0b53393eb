"""A replay gives every caller what the recorded run gave it, and asks nobody."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from steps import configured, knowing

from nemo_evaluator.errors import (
    BudgetExceeded,
    ConfigError,
    InfraError,
    ModelError,
    NelError,
    PermanentError,
)
from nemo_evaluator.traffic.errors import TransportError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.sse import encode_event
from nemo_evaluator.traffic.types import CallContext, Forward, ModelRequest, ModelResponse, Place
from nemo_evaluator.types import Failure

Body = dict[str, Any]
PLACE = Place("svc", "m", "http://localhost:1234", "chat_completions")


def context(idx: int = 0, attempt: int = 1) -> CallContext:
    return CallContext(f"b/{idx}/0", "b", idx, attempt=attempt)


def ask(body: Body, where: CallContext | None = None, *, live: bool = False) -> ModelRequest:
    return ModelRequest(
        "chat_completions", body, stream=live, live=live, context=where or context()
    )


def opened(
    *steps: tuple[str, Body], terminal: Forward | None = None, place: Place = PLACE
) -> Pipeline:
    async def nobody(request: ModelRequest) -> ModelResponse:
        raise AssertionError("a replay asks nobody")

    listed = open_interceptors([configured(name, config) for name, config in steps])
    pipeline = Pipeline(listed, terminal or nobody)
    pipeline.open(place)
    return pipeline


def counting() -> Forward:
    calls = itertools.count()

    async def answer(request: ModelRequest) -> ModelResponse:
        await asyncio.sleep(0)
        body = {"choices": [{"message": {"content": f"{next(calls)} \ud800"}}]}
        return ModelResponse(200, body, latency_ms=7.5, ttft_ms=2.5, tries=3)

    return answer


async def said(pipeline: Pipeline, request: ModelRequest) -> str:
    content: str = (await pipeline(request)).body["choices"][0]["message"]["content"]
    return content[0]


async def test_a_replay_tells_equal_requests_apart(tmp_path: Path) -> None:
    path = {"path": str(tmp_path / "new" / "rec.jsonl")}
    asked = [
        *[({"q": "same"}, context())] * 3,
        ({"q": "same"}, context(attempt=2)),
        ({"q": "same"}, context(1)),
        ({"q": "other"}, CallContext("random")),
    ]
    record = opened(("record", path), terminal=counting())
    recorded = await asyncio.gather(*(said(record, ask(*one)) for one in asked))
    await record.close()
    moved = Place("svc", "m", "http://localhost:9999", "chat_completions")
    replay = opened(("replay", path), place=moved)
    assert [await said(replay, ask(*one)) for one in asked] == recorded
    again = await opened(("replay", path))(ask({"q": "same"}))
    assert (again.source, again.latency_ms, again.ttft_ms, again.tries) == ("replay", 7.5, 2.5, 3)
    await replay.close()


async def test_an_attempt_that_is_over_is_forgotten(tmp_path: Path) -> None:
    path = {"path": str(tmp_path / "rec.jsonl")}
    record = opened(("record", path), terminal=counting())
    for _ in range(2):
        await record(ask({"q": 1}))
        record.end_session(context())
    await record.close()
    replay = opened(("replay", path))
    assert await said(replay, ask({"q": 1})) == "1"  # what was recorded twice counts once
    replay.end_session(context())
    assert await said(replay, ask({"q": 1})) == "1"


ERRORS: list[NelError] = [
    ModelError("too long", kind=Failure.CONTEXT_WINDOW, peer="p", status=400),
    InfraError("gone", kind=Failure.CONNECTION),
    PermanentError("no key", status=401, upstream=ModelResponse(401, {"error": "no"})),
    BudgetExceeded("enough"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_errors_are_raised_again(tmp_path: Path, error: Any) -> None:
    async def fail(request: ModelRequest) -> ModelResponse:
        raise error

    path = {"path": str(tmp_path / "rec.jsonl")}
    record = opened(("record", path), terminal=fail)
    with pytest.raises(type(error)):
        await record(ask({}))
    await record.close()
    with pytest.raises(type(error)) as raised:
        await opened(("replay", path))(ask({}))
    assert type(raised.value) is type(error)
    assert raised.value.info == error.info
    if error.upstream:
        assert raised.value.upstream.body == {"error": "no"}


def streaming(error: Exception | None = None) -> Forward:
    async def chunks() -> AsyncGenerator[bytes]:
        yield encode_event({"choices": [{"index": 0, "delta": {"content": "hi"}}]})
        if error is not None:
            raise error
        yield encode_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        yield b"data: [DONE]\n\n"

    async def send(request: ModelRequest) -> ModelResponse:
        return ModelResponse(200, {}, chunks=chunks())

    return send


async def test_streams_are_recorded_whole(tmp_path: Path) -> None:
    path = {"path": str(tmp_path / "rec.jsonl")}
    record = opened(("record", path), terminal=streaming())
    response = await record(ask({}, live=True))
    assert response.chunks is not None
    _ = [chunk async for chunk in response.chunks]
    await record.close()
    replayed = await opened(("replay", path))(ask({}, live=True))
    assert replayed.chunks is None and replayed.body == response.body
    assert replayed.ttft_ms == response.ttft_ms is not None


async def test_broken_and_abandoned_streams_are_errors(tmp_path: Path) -> None:
    broken = TransportError(Failure.CONNECTION, "broke off")
    for name, error in (("broken", broken), ("abandoned", None)):
        path = {"path": str(tmp_path / name)}
        record = opened(("record", path), terminal=streaming(error))
        response = await record(ask({}, live=True))
        chunks = response.chunks
        assert chunks is not None
        await anext(chunks)
        if error:
            with pytest.raises(InfraError):
                await anext(chunks)
        await chunks.aclose()
        await record.close()
        with pytest.raises(InfraError) as raised:
            await opened(("replay", path))(ask({}))
        kind = Failure.CONNECTION if error else Failure.TIMEOUT
        assert raised.value.info.kind is kind and not isinstance(raised.value, PermanentError)


async def test_what_was_not_recorded_is_explained(tmp_path: Path) -> None:
    path = {"path": str(tmp_path / "rec.jsonl")}
    record = opened(("record", path), terminal=counting())
    await record(ask({"messages": [1], "temperature": 0}))
    await record(ask({"messages": [2], "temperature": 0}))
    await record.close()
    replay = opened(("replay", path))
    await replay(ask({"messages": [1], "temperature": 0}))

    async def missing(request: ModelRequest) -> str:
        with pytest.raises(PermanentError, match="not in the recording") as raised:
            await replay(request)
        assert raised.value.info.kind is Failure.NOT_FOUND
        return str(raised.value).rpartition(": ")[2]

    same = {"messages": [1], "temperature": 0}
    assert await missing(ask(same)) == "b/0/0 made this request only 1 times"
    assert await missing(ask(same, context(attempt=2))) == (
        "b/0/0 made this request only in attempt 1"
    )
    assert await missing(ask(same, context(7))) == "it has no request of b/7/0"
    assert await missing(ask({"messages": [2], "temperature": 1, "n": 2})) == (
        "the closest request of b/0/0 differs in n, temperature"
    )
    forwarding = opened(("replay", {**path, "on_missing": "forward"}), terminal=counting())
    assert (await forwarding(ask({"new": 1}))).source == "endpoint"


async def test_a_recording_is_continued_after_a_torn_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "rec.jsonl"
    path = {"path": str(file)}
    for number in range(2):
        record = opened(("record", path), terminal=counting())
        await record(ask({"q": number}))
        await record.close()
        with file.open("ab") as torn:
            torn.write(b'{"key":"abc","scope":["b",')
    replay = opened(("replay", path))
    assert [await said(replay, ask({"q": n})) for n in (0, 1)] == ["0", "0"]
    assert "2 broken lines are left out" in caplog.text


async def test_lines_are_written_within_a_quarter_second(tmp_path: Path) -> None:
    file = tmp_path / "rec.jsonl"
    record = opened(("record", {"path": str(file)}), terminal=counting())
    await record(ask({}))
    assert not file.exists()
    await asyncio.sleep(0.4)
    assert json.loads(file.read_bytes())["scope"] == ["b", 0, 0, 1]
    await record.close()
    await record.close()


async def test_secrets_are_not_recorded(tmp_path: Path) -> None:
    async def leak(request: ModelRequest) -> ModelResponse:
        if request.body:
            raise ModelError("you sent sesame123", upstream=ModelResponse(400, {"e": "sesame123"}))
        return ModelResponse(200, {"choices": [{"message": {"content": "sesame123"}}]})

    file = tmp_path / "rec.jsonl"
    place = Place("svc", "m", "p", "", scrub=knowing("sesame123"))
    record = opened(("record", {"path": str(file)}), terminal=leak, place=place)
    await record(ask({}))
    with pytest.raises(ModelError):
        await record(ask({"q": 1}))
    await record.close()
    assert file.read_text().count("**********") == 3 and "sesame" not in file.read_text()


async def test_what_cannot_be(tmp_path: Path) -> None:
    path = {"path": str(tmp_path / "rec.jsonl")}
    with pytest.raises(ConfigError, match=r"cannot read it: No such file.*`record`"):
        opened(("replay", path))
    with pytest.raises(ConfigError, match="cannot write there"):
        opened(("record", {"path": str(tmp_path)}))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"notes\.txt: holds something else"):
        opened(("record", {"path": str(tmp_path / "notes.txt")}))
    for names in (("record", "replay"), ("replay", "record")):
        (tmp_path / "rec.jsonl").touch()
        with pytest.raises(ConfigError, match="recorded and replayed at once"):
            opened(*((name, path) for name in names))
    copied = opened(("replay", path), ("record", {"path": str(tmp_path / "copy")}))
    await copied.close()


CHILD = """
import asyncio, json, sys
sys.path[:0] = json.loads(sys.argv[1])
from test_recording import ask, context, counting, opened

async def main(path):
    record = opened(("record", {"path": path}), terminal=counting())
    for number in range(100_000):
        await record(ask({"q": number, "text": "x" * 3000}))
        if number % 50 == 0:
            await asyncio.sleep(0.01)
            print(number, flush=True)

asyncio.run(main(sys.argv[2]))
"""


async def test_a_killed_recorder_leaves_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "rec.jsonl"
    paths = json.dumps([str(Path(__file__).parent), *sys.path])
    arguments = [sys.executable, "-c", CHILD, paths, str(file)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not file.exists() or file.stat().st_size < 100_000:
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    replay = opened(("replay", {"path": str(file)}))
    for number in range(100):
        await replay(ask({"q": number, "text": "x" * 3000}))
    await replay.close()
