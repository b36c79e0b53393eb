"""Several endpoints behind one client: the least busy is asked, and nothing is paid twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import FAULTS, Loopback, error

from nemo_evaluator.config.services import ApiService
from nemo_evaluator.errors import ConfigError, InfraError
from nemo_evaluator.traffic import retry
from nemo_evaluator.traffic.balanced import LONGEST_PAUSE_SECONDS, Balanced
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.door.server import ProxyServer
from nemo_evaluator.traffic.errors import CannotPassThrough, TransportError
from nemo_evaluator.traffic.http import HttpTransport
from nemo_evaluator.traffic.open import open_http_model
from nemo_evaluator.traffic.transport import RawRequest
from nemo_evaluator.traffic.types import CallContext, ModelRequest, ModelResponse
from nemo_evaluator.types import Failure


class Clock:
    """Stands still until it is told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Scripted:
    """Answers as told, and notes what it was asked: ``ok``, a status, ``gone`` or ``broken``."""

    def __init__(self, name: str, *headers: str) -> None:
        self.name, self.does = name, "ok"
        self.own_headers = frozenset(headers)
        self.asked = self.paid = 0
        self.hold: asyncio.Event | None = None
        self.checks: str | None = None
        self.is_closed = False

    async def __call__(self, request: ModelRequest) -> ModelResponse:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.does == "gone":
            raise TransportError(Failure.CONNECTION, f"{self.name} is gone", unreachable=True)
        if self.does == "broken":
            self.paid += 1
            raise TransportError(Failure.CONNECTION, f"{self.name} broke off")
        if self.does != "ok":
            return ModelResponse(int(self.does), {"error": self.name})
        self.paid += 1
        chunks = self._chunks() if request.live else None
        return ModelResponse(200, {"by": self.name}, chunks=chunks)

    async def _chunks(self) -> AsyncGenerator[bytes]:
        yield b"a"
        yield b"b"

    @asynccontextmanager
    async def pass_through(self, request: RawRequest) -> AsyncIterator[Any]:
        raise CannotPassThrough
        yield

    async def check(self, model: str) -> str | None:
        if self.does == "gone":
            raise ConfigError("unreachable", where=self.name)
        return self.checks

    async def close(self) -> None:
        self.is_closed = True


def request(**more: Any) -> ModelRequest:
    return ModelRequest("chat_completions", {}, **more)


def several(count: int) -> tuple[list[Scripted], Balanced, Clock]:
    transports, clock = [Scripted(f"n{number}") for number in range(count)], Clock()
    return transports, Balanced(transports, clock=clock), clock


async def by(balanced: Balanced, **more: Any) -> str:
    return str((await balanced(request(**more))).body.get("by"))


# -- choosing -------------------------------------------------------------------------------------


async def test_the_least_busy_is_asked() -> None:
    nodes, balanced, _ = several(3)
    for node in nodes:
        node.hold = asyncio.Event()
    asking = [asyncio.create_task(by(balanced)) for _ in range(7)]
    await asyncio.sleep(0)
    assert balanced.in_flight() == [3, 2, 2]
    assert nodes[1].hold is not None
    nodes[1].hold.set()
    await asyncio.sleep(0.01)
    assert balanced.in_flight() == [3, 0, 2]
    nodes[1].hold.clear()
    asking.append(asyncio.create_task(by(balanced)))
    await asyncio.sleep(0)
    assert balanced.in_flight() == [3, 1, 2]
    asking[0].cancel()
    for node in nodes:
        assert node.hold is not None
        node.hold.set()
    await asyncio.gather(*asking, return_exceptions=True)
    assert balanced.in_flight() == [0, 0, 0]


async def test_all_take_turns_where_none_is_busy() -> None:
    _, balanced, _ = several(3)
    assert Counter([await by(balanced) for _ in range(9)]) == {"n0": 3, "n1": 3, "n2": 3}


async def test_a_stream_is_in_flight_to_its_end() -> None:
    _, balanced, _ = several(2)
    streams = [(await balanced(request(live=True))).chunks for _ in range(2)]
    first, second = streams
    assert first is not None and second is not None
    assert balanced.in_flight() == [1, 1]
    assert [chunk async for chunk in first] == [b"a", b"b"]
    assert balanced.in_flight() == [0, 1]
    assert await anext(second) == b"a"
    await second.aclose()
    assert balanced.in_flight() == [0, 0]


# -- failing over ---------------------------------------------------------------------------------


async def test_what_may_be_paid_is_not_sent_again() -> None:
    nodes, balanced, _ = several(2)
    nodes[0].does = nodes[1].does = "broken"
    with pytest.raises(TransportError, match="n0 broke off"):
        await by(balanced)
    assert (nodes[0].asked, nodes[1].asked) == (1, 0)
    for status in ("400", "500", "502", "504"):
        nodes[0].does = nodes[1].does = status
        asked = nodes[0].asked + nodes[1].asked
        assert (await balanced(request())).status == int(status)
        assert nodes[0].asked + nodes[1].asked == asked + 1


@pytest.mark.parametrize("status", ["429", "503", "529"])
async def test_an_overloaded_one_leaves_it_to_the_others(status: str) -> None:
    nodes, balanced, clock = several(2)
    nodes[0].does = status
    assert [await by(balanced) for _ in range(4)] == ["n1"] * 4
    assert nodes[0].asked == 1
    clock.now += 1.1
    nodes[0].does = "ok"
    assert await by(balanced) == "n0"
    nodes[0].does = nodes[1].does = status
    assert (await balanced(request())).status == int(status)


async def test_a_dead_one_is_tried_again_after_a_pause() -> None:
    nodes, balanced, clock = several(2)
    nodes[0].does = "gone"
    pause = 1.0
    for tries in range(1, 8):
        assert [await by(balanced) for _ in range(5)] == ["n1"] * 5
        assert nodes[0].asked == tries
        clock.now += pause - 0.1
        assert await by(balanced) == "n1" and nodes[0].asked == tries
        clock.now += 0.2
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    nodes[0].does = "ok"
    assert Counter([await by(balanced) for _ in range(4)]) == {"n0": 2, "n1": 2}
    nodes[0].does = "gone"
    await by(balanced)
    assert nodes[0].asked <= 11
    clock.now += 1.1  # a pause begins anew where it has worked in between
    nodes[0].does = "ok"
    assert "n0" in [await by(balanced) for _ in range(2)]


async def test_only_one_call_tries_the_dead() -> None:
    nodes, balanced, clock = several(2)
    nodes[0].does = "gone"
    await by(balanced)
    clock.now += 1.1
    nodes[0].hold = asyncio.Event()
    trying = asyncio.create_task(by(balanced))
    await asyncio.sleep(0)
    assert nodes[0].asked == 2
    assert [await by(balanced) for _ in range(4)] == ["n1"] * 4 and nodes[0].asked == 2
    nodes[0].hold.set()
    assert await trying == "n1"


async def test_where_all_are_gone_each_is_tried() -> None:
    nodes, balanced, _ = several(3)
    for node in nodes:
        node.does = "gone"
    for tries in (1, 2):
        with pytest.raises(TransportError, match="is gone") as caught:
            await by(balanced)
        assert caught.value.unreachable and [node.asked for node in nodes] == [tries] * 3
    nodes[2].does = "ok"
    assert await by(balanced) == "n2"


MOVES = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2), st.sampled_from(["ok", "gone", "broken", "429", "500"])),
        st.tuples(st.just(-1), st.floats(0, 5)),
        st.just((-2, 0.0)),
    ),
    max_size=40,
)


@given(MOVES)
def test_whatever_happens_to_the_endpoints(moves: Sequence[tuple[int, Any]]) -> None:
    """A call is paid for at most once, and answered wherever one endpoint can answer."""
    nodes, balanced, clock = several(3)

    async def call() -> None:
        before = sum(node.paid for node in nodes)
        asked = [node.asked for node in nodes]
        healthy = [node for node in nodes if node.does == "ok"]
        harmless = all(node.does in ("ok", "gone", "429") for node in nodes)
        try:
            response = await balanced(request())
        except TransportError:
            assert not (healthy and harmless)
        else:
            assert response.status == 200 or not (healthy and harmless)
        assert sum(node.paid for node in nodes) <= before + 1
        assert all(node.asked - one <= 1 for node, one in zip(nodes, asked, strict=True))
        assert balanced.in_flight() == [0, 0, 0]

    async def play() -> None:
        for number, what in moves:
            if number >= 0:
                nodes[number].does = what
            elif number == -1:
                clock.now += what
            else:
                await call()
        await call()

    asyncio.run(play())


# -- the rest of a transport ----------------------------------------------------------------------


async def test_what_cannot_be_used_is_named_and_left_out() -> None:
    nodes, balanced, _ = several(2)
    assert await balanced.check("m") is None
    nodes[0].checks = nodes[1].checks = "lists no m"
    assert await balanced.check("m") == "lists no m"
    nodes[0].does = "gone"
    warning = await balanced.check("m")
    assert warning == "one of 2 endpoints cannot be used: n0: unreachable; lists no m"
    assert [await by(balanced) for _ in range(3)] == ["n1"] * 3 and nodes[0].asked == 0
    nodes[1].does = "gone"
    with pytest.raises(ConfigError, match="n0: unreachable"):
        await balanced.check("m")


async def test_headers_and_ends() -> None:
    nodes = [Scripted("a", "authorization"), Scripted("b", "x-org")]
    balanced = Balanced(nodes)
    assert balanced.own_headers == {"authorization", "x-org"}
    with pytest.raises(CannotPassThrough):
        async with balanced.pass_through(RawRequest("GET", "/files")):
            pass
    await balanced.close()
    assert all(node.is_closed for node in nodes)
    with pytest.raises(ConfigError):
        Balanced([])


# -- over real connections ------------------------------------------------------------------------


@pytest.fixture
async def servers() -> AsyncIterator[list[Loopback]]:
    started = [Loopback(latency=0.005) for _ in range(3)]
    for server in started:
        await server.start()
    yield started
    for server in started:
        await server.stop()


def port_of(server: Loopback) -> int:
    return int(server.url.split(":")[2].partition("/")[0])


@pytest.fixture
def opened(servers: list[Loopback], monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelClient]:
    monkeypatch.setattr(retry, "backoff", lambda *_: 0.01)

    def make(**fields: Any) -> ModelClient:
        urls = [server.url for server in servers]
        service = ApiService.model_validate(
            {
                "url": urls[0],
                "replicas": urls[1:],
                "protocol": "chat_completions",
                "model": "m",
                **fields,
            }
        )
        return open_http_model("s", service, max_concurrent=16)

    return make


async def test_servers_die_amid_a_run(
    servers: list[Loopback], opened: Callable[..., ModelClient]
) -> None:
    model = opened()
    asked = 0

    async def work() -> list[str]:
        nonlocal asked
        texts = []
        while asked < 300:
            asked += 1
            prompt = f"{asked}?"
            texts.append((await model.generate(prompt=prompt, context=CallContext())).text)
            if asked == 100:
                await servers[0].stop()
            if asked == 200:
                await servers[1].stop()
        return texts

    assert await model.check() is None
    texts = [text for some in await asyncio.gather(*(work() for _ in range(8))) for text in some]
    assert len(texts) == 300 and all(text.startswith("The answer is") for text in texts)
    answered = sum((server.answered for server in servers), Counter[str]())
    twice = [prompt for prompt, count in answered.items() if count > 1]
    assert len(answered) == 300 and len(twice) <= 16  # what was in flight as a server died
    assert servers[2].answered.total() > servers[0].answered.total() > 20
    await model.close()


async def test_a_server_that_comes_back_is_used_again(servers: list[Loopback]) -> None:
    clock = Clock()
    transports = [HttpTransport(server.url, "chat_completions") for server in servers[:2]]
    balanced = Balanced(transports, clock=clock)
    chat = {"model": "m", "messages": [{"role": "user", "content": "2 + 2?"}]}

    async def ask() -> None:
        response = await balanced(ModelRequest("chat_completions", dict(chat)))
        assert response.status == 200

    port = port_of(servers[0])
    await servers[0].stop()
    for _ in range(4):
        await ask()
    assert servers[1].count("2 + 2?") == 4
    await servers[0].start(port)
    await ask()
    assert servers[0].count("2 + 2?") == 0
    clock.now += 1.5
    await ask()
    assert servers[0].count("2 + 2?") == 1
    await balanced.close()


async def test_failures_of_a_service_of_many(
    servers: list[Loopback], opened: Callable[..., ModelClient]
) -> None:
    model = opened(proxy={"max_retries": 1})
    servers[0].script(FAULTS["overloaded"])
    servers[1].script(error(429, "slow down"))
    for number in range(6):
        await model.generate(prompt=f"{number}?", context=CallContext())
    assert servers[2].answered.total() == 6 and model.endpoint.failed_tries.total() == 0
    for server in servers:
        server.script(FAULTS["cut"])
    with pytest.raises(InfraError):
        await model.generate(prompt="2 + 2?", context=CallContext())
    assert sum(server.count("2 + 2?") for server in servers) == 2
    await model.close()


async def test_the_door_of_a_service_of_many(
    servers: list[Loopback], opened: Callable[..., ModelClient]
) -> None:
    model = opened(proxy={"pass_through": ["/v1/models"]}, model=None)
    await servers[0].stop()
    proxy = ProxyServer(model)
    transport = HttpTransport(await proxy.start(), "chat_completions")
    async with transport.pass_through(RawRequest("GET", "/models")) as response:
        assert response.status == 200
        assert b"loopback" in b"".join([piece async for piece in response.pieces()])
    await transport.close()
    await proxy.stop()
    await model.close()
