"""The cache hits what is equal, keeps what is worth it, and never stands in the way."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from steps import configured, knowing

from nemo_evaluator.errors import ConfigError, InfraError
from nemo_evaluator.traffic.interceptors.caching import Caching
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.sse import encode_event
from nemo_evaluator.traffic.types import (
    CallContext,
    Forward,
    Interceptor,
    ModelRequest,
    ModelResponse,
    Place,
)
from nemo_evaluator.types import Failure

Body = dict[str, Any]
PLACE = Place("svc", "m", "http://host", "chat_completions")


def said(text: str | None = "hello", finish: str = "stop", **message: Any) -> Body:
    content = {"role": "assistant", "content": text, **message}
    return {"choices": [{"index": 0, "message": content, "finish_reason": finish}]}


class Upstream:
    """Counts its calls; answers, fails or streams as told."""

    def __init__(self, answer: Callable[[int], Any] = lambda n: said(f"answer {n}")) -> None:
        self.answer, self.calls = answer, 0
        self.gate: asyncio.Event | None = None

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        self.calls += 1
        number = self.calls
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answer(number)
        if isinstance(answer, Exception):
            raise answer
        if request.live:
            return ModelResponse(200, {}, chunks=_chunks(answer))
        if isinstance(answer, ModelResponse):
            return answer
        return ModelResponse(200, answer, latency_ms=12.5, ttft_ms=3.5, tries=2)


async def _chunks(answer: Body) -> AsyncGenerator[bytes]:
    for letter in answer["choices"][0]["message"]["content"]:
        await asyncio.sleep(0)
        yield encode_event({"choices": [{"index": 0, "delta": {"content": letter}}]})
    yield encode_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield b"data: [DONE]\n\n"


class Cached:
    """A pipeline with a cache in it."""

    def __init__(
        self, folder: Path, upstream: Forward | None = None, place: Place = PLACE, **config: Any
    ) -> None:
        self.upstream = Upstream() if upstream is None else upstream
        config = {"cache_dir": str(folder), **config}
        steps = open_interceptors([configured("caching", config)])
        [(_, step)] = steps
        assert isinstance(step, Caching)
        self.cache = step
        self.pipeline = Pipeline(steps, self.upstream)
        self.pipeline.open(place)

    async def ask(
        self, text: str = "q", *, live: bool = False, repeat: int = 0, **body: Any
    ) -> ModelResponse:
        context = CallContext(repeat=repeat)
        body = {"messages": [{"role": "user", "content": text}], **body}
        request = ModelRequest("chat_completions", body, stream=live, live=live, context=context)
        return await self.pipeline(request)

    async def text(self, *args: Any, **options: Any) -> str:
        response = await self.ask(*args, **options)
        content: str = response.body["choices"][0]["message"]["content"]
        return content

    async def __aenter__(self) -> Cached:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pipeline.close()


async def test_a_second_equal_request_hits_at_once_and_in_the_next_run(tmp_path: Path) -> None:
    async with Cached(tmp_path) as cached:
        assert await cached.text() == "answer 1"
        hit = await cached.ask(stream=False, user="somebody")
        assert hit.source == "cache" and (hit.latency_ms, hit.ttft_ms, hit.tries) == (12.5, 3.5, 2)
        assert await cached.text("another") == "answer 2"
        stats = cached.cache.stats
        assert (stats.hits, stats.misses, stats.stores) == (1, 2, 2)
    async with Cached(tmp_path) as later:
        hit = await later.ask()
        assert hit.body == said("answer 1") and hit.ttft_ms == 3.5
        assert later.cache.stats.misses == 0


async def test_what_a_caller_does_to_a_hit_stays_with_it(tmp_path: Path) -> None:
    async with Cached(tmp_path) as cached:
        (await cached.ask()).body.clear()
        (await cached.ask()).body.clear()
        assert await cached.text() == "answer 1"


async def test_repeats_are_samples_unless_shared(tmp_path: Path) -> None:
    async with Cached(tmp_path / "own") as cached:
        assert [await cached.text(repeat=n) for n in (0, 1, 0)] == [
            "answer 1",
            "answer 2",
            "answer 1",
        ]
    async with Cached(tmp_path / "shared", per_repeat=False) as cached:
        assert [await cached.text(repeat=n) for n in (0, 1)] == ["answer 1", "answer 1"]


async def test_upstream_and_model_belong_to_the_key(tmp_path: Path) -> None:
    for place in (
        PLACE,
        Place("svc", "other", "http://host", ""),
        Place("svc", "m", "http://b", ""),
    ):
        async with Cached(tmp_path, place=place) as cached:
            assert (await cached.ask()).source == "endpoint"


NOT_KEPT = {
    "cut off": said("hal", "length"),
    "filtered": said("no", "content_filter"),
    "empty": said(""),
    "blank": said(" \n"),
    "null": said(None),
    "no choice": {"choices": []},
    "one of two is cut": {"choices": [*said()["choices"], *said("x", "length")["choices"]]},
    "cap reached": {**said("1 2 3"), "usage": {"completion_tokens": 8}},
    "an error status": ModelResponse(500, said()),
}


@pytest.mark.parametrize("name", NOT_KEPT)
async def test_what_is_no_good_answer_is_not_kept(tmp_path: Path, name: str) -> None:
    async with Cached(tmp_path, Upstream(lambda _: NOT_KEPT[name])) as cached:
        for _ in range(2):
            assert (await cached.ask(max_tokens=8)).source == "endpoint"
        assert cached.cache.stats.stores == 0


@pytest.mark.parametrize(
    "answer",
    [
        said(None, "tool_calls", tool_calls=[{"id": "1", "function": {"name": "f"}}]),
        said(None, "function_call", function_call={"name": "f"}),
        said(None, refusal="I would rather not"),
        said("\ud800 half a pair"),
    ],
)
async def test_other_whole_answers_are_kept(tmp_path: Path, answer: Body) -> None:
    async with Cached(tmp_path, Upstream(lambda _: answer)) as cached:
        await cached.ask()
        assert (await cached.ask()).source == "cache"


async def test_truncated_answers_are_kept_if_asked(tmp_path: Path) -> None:
    upstream = Upstream(lambda _: said("hal", "length"))
    async with Cached(tmp_path, upstream, store_truncated=True) as cached:
        assert [(await cached.ask()).source for _ in range(2)] == ["endpoint", "cache"]


@pytest.mark.parametrize("protocol", ["completions", "responses", "embeddings"])
async def test_every_protocol_is_kept(tmp_path: Path, protocol: str) -> None:
    bodies = {
        "completions": {"choices": [{"text": "hi", "finish_reason": "stop"}]},
        "embeddings": {"data": [{"embedding": [0.5]}]},
        "responses": {
            "status": "completed",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
        },
    }
    async with Cached(tmp_path, Upstream(lambda _: bodies[protocol])) as cached:
        for expected in ("endpoint", "cache"):
            response = await cached.pipeline(ModelRequest(protocol, {"input": "q"}))
            assert (response.source, response.body) == (expected, bodies[protocol])


async def test_each_mode_reads_and_writes_what_it_says(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no adapter_cache\.db in it — fill it first"):
        Cached(tmp_path, mode="replay_only")
    async with Cached(tmp_path, mode="read_only") as cached:
        assert [await cached.text() for _ in range(2)] == ["answer 1", "answer 2"]
        assert not (tmp_path / "adapter_cache.db").exists()
    async with Cached(tmp_path) as cached:
        await cached.ask()
    async with Cached(tmp_path, bypass=True) as cached:
        assert (await cached.ask()).source == "endpoint"
    async with Cached(tmp_path, Upstream(lambda n: said(f"new {n}")), mode="write_only") as cached:
        assert [await cached.text() for _ in range(2)] == ["new 1", "new 2"]
    async with Cached(tmp_path, mode="replay_only") as cached:
        assert await cached.text() == "new 2"
        with pytest.raises(InfraError, match="replay_only: this request is not in the cache"):
            await cached.ask("unknown")
    async with Cached(tmp_path, mode="read_only") as cached:
        assert await cached.text() == "new 2"


async def test_old_answers_are_asked_for_anew(tmp_path: Path) -> None:
    async with Cached(tmp_path) as cached:
        await cached.ask()
    with sqlite3.connect(tmp_path / "adapter_cache.db") as db:
        db.execute("UPDATE answers_1 SET created = created - 7200")
    db.close()
    async with Cached(tmp_path, Upstream(lambda _: said("newer")), max_age_hours=1) as cached:
        assert [await cached.text() for _ in range(2)] == ["newer", "newer"]
        assert cached.cache.stats.misses == 1
    async with Cached(tmp_path, max_age_hours=1) as cached:
        assert await cached.text() == "newer"


async def test_the_longest_unread_go_first(tmp_path: Path) -> None:
    async with Cached(tmp_path) as cached:
        for name in ("a", "b", "c"):
            await cached.ask(name)
    with sqlite3.connect(tmp_path / "adapter_cache.db") as db:
        db.execute("UPDATE answers_1 SET used = used - 7200 + id")
    db.close()
    async with Cached(tmp_path) as cached:
        await cached.ask("a")
    async with Cached(tmp_path, max_entries=3) as cached:
        await cached.ask("d")
    async with Cached(tmp_path, mode="read_only") as cached:
        found = [(await cached.ask(name)).source for name in ("a", "b", "c", "d")]
        assert found == ["cache", "endpoint", "cache", "cache"]


async def test_the_size_is_bounded(tmp_path: Path) -> None:
    upstream = Upstream(lambda n: said("x" * 10_000))
    async with Cached(tmp_path, upstream, max_mb=0.1) as cached:
        for number in range(30):
            await cached.ask(f"q{number}")
    db = sqlite3.connect(tmp_path / "adapter_cache.db")
    size, total = (
        db.execute(f"SELECT {what}").fetchone()[0]
        for what in ("sum(length(body)) FROM answers_1", "bytes FROM answers_1_total")
    )
    db.close()
    assert 80_000 < size <= 100_000 and total == size


async def test_equal_requests_at_one_time_are_one(tmp_path: Path) -> None:
    async with Cached(tmp_path) as cached:
        calls = (cached.ask(live=n % 2 == 1) for n in range(8))
        responses = await asyncio.gather(*calls)
        assert [response.source for response in responses].count("cache") == 7
        assert cached.upstream.calls == 1


async def test_whole_callers_wait_for_a_live_one(tmp_path: Path) -> None:
    async with Cached(tmp_path) as cached:
        live = await cached.ask(live=True)
        waiting = asyncio.create_task(cached.ask())
        assert live.chunks is not None
        async for _ in live.chunks:
            pass
        follower = await waiting
        assert follower.source == "cache" and follower.ttft_ms is not None
        assert follower.body["choices"][0]["message"]["content"] == "answer 1"
        again = await cached.ask(live=True)
        assert (again.source, again.chunks, cached.upstream.calls) == ("cache", None, 1)


@pytest.mark.parametrize("begun", [True, False])
async def test_a_live_leader_that_goes_away_hands_over(tmp_path: Path, begun: bool) -> None:
    async with Cached(tmp_path) as cached:
        live = await cached.ask(live=True)
        waiting = [asyncio.create_task(cached.text()) for _ in range(3)]
        await asyncio.sleep(0)
        assert live.chunks is not None
        if begun:
            await anext(live.chunks)
        await live.chunks.aclose()
        del live
        gc.collect()
        assert await asyncio.gather(*waiting) == ["answer 2"] * 3


async def test_a_cancelled_leader_hands_over(tmp_path: Path) -> None:
    upstream = Upstream()
    upstream.gate = asyncio.Event()
    async with Cached(tmp_path, upstream) as cached:
        leader = asyncio.create_task(cached.ask())
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(cached.text()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        leader.cancel()
        await asyncio.sleep(0)
        upstream.gate.set()
        assert await asyncio.gather(*waiting[1:]) == ["answer 2"] * 2
        assert leader.cancelled()


async def test_failures_are_not_shared(tmp_path: Path) -> None:
    """The followers of a failed leader try one after the other until one gets an answer."""
    broken = InfraError("broken", kind=Failure.SERVER_ERROR)
    async with Cached(tmp_path, Upstream(lambda n: broken if n < 3 else said(f"{n}"))) as cached:
        results = await asyncio.gather(*(cached.ask() for _ in range(5)), return_exceptions=True)
        assert [isinstance(result, InfraError) for result in results] == [True, True, *[False] * 3]
        assert cached.upstream.calls == 3


async def test_answers_not_worth_keeping_are_not_shared(tmp_path: Path) -> None:
    async with Cached(tmp_path, Upstream(lambda n: said(f"{n}", "length"))) as cached:
        assert await asyncio.gather(*(cached.text() for _ in range(3))) == ["1", "2", "3"]


async def test_a_waiting_caller_says_what_it_waits_for(tmp_path: Path) -> None:
    waited: list[str | None] = []
    async with Cached(tmp_path) as cached:
        contexts = [CallContext(), CallContext(on_wait=waited.append)]
        requests = [ModelRequest("chat_completions", {}, context=one) for one in contexts]
        await asyncio.gather(*map(cached.pipeline, requests))
    assert waited == ["http://host", None]


async def test_a_conversation_is_never_answered_from_the_cache(tmp_path: Path) -> None:
    async with Cached(tmp_path) as cached:
        sources = [(await cached.ask(conversation="c1")).source for _ in range(2)]
        assert sources == ["endpoint", "endpoint"]


async def test_secrets_do_not_reach_the_disk(tmp_path: Path) -> None:
    place = Place("svc", "m", "http://host", "", scrub=knowing("sesame123"))
    async with Cached(tmp_path, Upstream(lambda _: said("sesame123!")), place) as cached:
        await cached.ask()
        assert "sesame" not in await cached.text()
    assert all(b"sesame" not in file.read_bytes() for file in tmp_path.iterdir())


async def test_services_share_one_open_file(tmp_path: Path) -> None:
    async with Cached(tmp_path) as one, Cached(tmp_path) as other:
        assert [await one.text(), await other.text()] == ["answer 1", "answer 1"]
        await one.pipeline.close()
        await one.pipeline.close()
        assert await other.text("more") == "answer 1"
        assert (await one.ask()).source == "endpoint"


async def test_a_file_that_is_no_database_is_moved_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        (tmp_path / "adapter_cache.db").write_bytes(b"rubbish" * 1000)
        async with Cached(tmp_path) as cached:
            await cached.ask()
        async with Cached(tmp_path) as cached:
            assert (await cached.ask()).source == "cache"
        assert (tmp_path / f"adapter_cache.db.corrupt-{number}").read_bytes()[:7] == b"rubbish"
    assert caplog.text.count("is broken") == 2


async def test_a_file_that_breaks_in_the_middle_is_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Cached(tmp_path) as cached:
        for number in range(200):
            await cached.ask(f"{number} {'x' * 500}")
    path = tmp_path / "adapter_cache.db"
    data = bytearray(path.read_bytes())
    first_page = 4096 * 8
    data[first_page:] = b"\xff" * (len(data) - first_page)
    path.write_bytes(data)
    async with Cached(tmp_path) as cached:
        for number in range(200):
            await cached.ask(f"{number} {'x' * 500}")
        cached.cache._opened().flush()
        assert [await cached.text("new") for _ in range(2)] == ["answer 201", "answer 201"]
    assert "is broken" in caplog.text
    async with Cached(tmp_path) as cached:
        assert (await cached.ask("new")).source == "cache"


async def test_a_disk_that_takes_nothing_never_fails_a_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "adapter_cache.db").mkdir()  # cannot be opened, not even by root
    async with Cached(tmp_path) as cached:
        assert [await cached.text() for _ in range(3)] == ["answer 1", "answer 2", "answer 3"]
        together = await asyncio.gather(*(cached.text() for _ in range(3)))
        assert together == ["answer 4"] * 3
    assert caplog.text.count("the cache is off") == 1


async def test_a_disk_that_is_full_later_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Cached(tmp_path) as cached:
        await cached.ask("before")
        store = cached.cache._opened()
        store.flush()
        with sqlite3.connect(tmp_path / "adapter_cache.db") as db:
            db.execute(
                "CREATE TRIGGER full BEFORE INSERT ON answers_1 BEGIN"
                " SELECT RAISE(FAIL, 'database or disk is full'); END"
            )
        db.close()
        await cached.ask("after")
        store.flush()
        assert [await cached.text("after") for _ in range(2)] == ["answer 3", "answer 4"]
        assert (await cached.ask("before")).source == "cache"
    assert caplog.text.count("no more answers are stored: database or disk is full") == 1


def test_a_cache_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is not a folder"):
        Cached(tmp_path / "file")


CHILD = """
import asyncio, json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from test_caching import Cached, Upstream, said

async def main(folder, first, last, name):
    async with Cached(Path(folder), Upstream(lambda n: said(f"{name} {n}"))) as cached:
        for number in range(int(first), int(last)):
            await cached.ask(f"q{number}")
            if name == "kill" and number % 10 == 0:
                cached.cache._opened().flush()
                print(number, flush=True)
        print(json.dumps([cached.cache.stats.hits, cached.cache.stats.misses]), flush=True)

asyncio.run(main(*sys.argv[2:]))
"""


def child(folder: Path, first: int, last: int, name: str) -> subprocess.Popen[str]:
    paths = json.dumps([str(Path(__file__).parent), *sys.path])
    arguments = [paths, str(folder), str(first), str(last), name]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True
    )


async def test_processes_share_a_file(tmp_path: Path) -> None:
    children = [child(tmp_path, 0, 300, "one"), child(tmp_path, 200, 500, "two")]
    for process in children:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0 and sum(json.loads(output)) == 300
    async with Cached(tmp_path, mode="replay_only") as cached:
        for number in range(500):
            assert (await cached.ask(f"q{number}")).source == "cache"


async def test_a_killed_process_leaves_a_file_that_is_whole(tmp_path: Path) -> None:
    process = child(tmp_path, 0, 100_000, "kill")
    assert process.stdout is not None
    for _ in range(5):
        last = int(process.stdout.readline())
    process.kill()
    process.communicate()
    async with Cached(tmp_path, mode="replay_only") as cached:
        for number in range(last + 1):
            assert (await cached.ask(f"q{number}")).source == "cache"
    async with Cached(tmp_path) as cached:
        assert (await cached.ask("more")).source == "endpoint"


async def test_a_step_outside_sees_hits(tmp_path: Path) -> None:
    """An answer from the cache passes the response sides like any other."""

    class Sources(Interceptor):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def on_response(self, request: ModelRequest, response: ModelResponse) -> None:
            self.seen.append(response.source)

    sources = Sources()
    steps = open_interceptors([configured("caching", {"cache_dir": str(tmp_path)})])
    pipeline = Pipeline([*steps, ("sources", sources)], Upstream())
    pipeline.open(PLACE)
    for _ in range(2):
        await pipeline(ModelRequest("chat_completions", {}))
    await pipeline.close()
    assert sources.seen == ["endpoint", "cache"]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
