"""Connections are kept, counted and handed on; none is lost, whatever is cancelled when."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
import time

import pytest

from nemo_evaluator.http.client import connection as connection_module
from nemo_evaluator.http.client import pool as pool_module
from nemo_evaluator.http.client.clock import Clock
from nemo_evaluator.http.client.errors import BrokenOff, CannotConnect, Late, Limit, Stale
from nemo_evaluator.http.client.pool import Pool

from .conftest import OK, MakePool, Peer, Serve, Server, answers, ask, saying


async def alive(pool: Pool, server: Server, limit: int) -> None:
    """All places of the pool are free."""
    async with asyncio.timeout(5):
        responses = await asyncio.gather(*(ask(pool) for _ in range(limit * 3)))
    assert {await response.read() for response in responses} == {b"ok"}
    assert server.open <= limit


async def until(what: str, server: Server, count: int) -> None:
    async with asyncio.timeout(2):
        while getattr(server, what) != count:
            await asyncio.sleep(0.001)


async def test_one_connection_serves_one_after_the_other(serve: Serve, make_pool: MakePool) -> None:
    server = await serve(answers)
    pool = make_pool(server)
    for _ in range(5):
        assert await (await ask(pool)).read() == b"ok"
    assert server.connections == 1


# -- connections the server closes ----------------------------------------------------------------


async def test_a_kept_connection_that_was_closed_is_replaced(
    serve: Serve, make_pool: MakePool
) -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)

    server = await serve(once)
    pool = make_pool(server, limit=1)
    for _ in range(3):
        assert await (await ask(pool)).read() == b"ok"
        await until("open", server, 0)
        await asyncio.sleep(0.01)
    assert server.connections == 3


@pytest.mark.parametrize("reset", [False, True])
async def test_a_server_that_closes_what_it_kept_without_a_word_costs_nothing(
    serve: Serve, make_pool: MakePool, reset: bool
) -> None:
    """The close crosses the next request on its way: what was asked is asked again at once."""

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.reader.read(1)  # the next request is on its way when the connection ends
        if reset:
            peer.reset()

    server = await serve(once)
    pool = make_pool(server, limit=1)
    for _ in range(5):
        assert await (await ask(pool, b"{}")).read() == b"ok"
    assert server.connections == 5


@pytest.mark.parametrize(
    ("answered", "pause", "said"), [(1, 0.1, b""), (1, 0.0, b"H"), (0, 0, b"")]
)
async def test_a_request_that_may_have_been_read_is_not_sent_twice(
    serve: Serve,
    make_pool: MakePool,
    monkeypatch: pytest.MonkeyPatch,
    answered: int,
    pause: float,
    said: bytes,
) -> None:
    """The server took its time, or began to answer, or the connection was a new one."""
    monkeypatch.setattr(connection_module, "STALE_SECONDS", 0.05)
    asked = 0

    async def handler(peer: Peer) -> None:
        nonlocal asked
        for number in range(answered + 1):
            await peer.request()
            asked += 1
            if number < answered:
                await peer.send(OK)
        await peer.send(said, pause=pause)

    pool = make_pool(await serve(handler))
    for _ in range(answered):
        await ask(pool)
    with pytest.raises(BrokenOff):
        await ask(pool)
    assert asked == answered + 1


async def test_who_closes_every_connection_is_not_asked_for_ever(
    serve: Serve, make_pool: MakePool
) -> None:
    async def handler(peer: Peer) -> None:
        if peer.number == 1:
            await peer.request()
            await peer.send(OK)
        await peer.request()

    server = await serve(handler)
    pool = make_pool(server)
    await ask(pool)
    with pytest.raises(BrokenOff):
        await ask(pool)
    assert server.connections == 2


async def test_a_request_that_could_not_be_written_is_sent_again(make_pool: MakePool) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    reset, requests = threading.Event(), []

    def handler() -> None:
        for number in range(2):
            connection, _ = listening.accept()
            requests.append(connection.recv(2**16))
            connection.sendall(OK)
            if number == 0:
                reset.wait(5)
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()
            reset.clear()

    thread = threading.Thread(target=handler)
    thread.start()
    pool = make_pool(listening.getsockname()[1])
    assert await (await ask(pool)).read() == b"ok"
    reset.set()
    while reset.is_set():  # blocking: the event loop must not see it
        time.sleep(0.005)
    time.sleep(0.02)
    assert await (await ask(pool)).read() == b"ok"
    thread.join()
    listening.close()
    assert len(requests) == 2


async def test_who_only_hangs_up_is_not_asked_for_ever(serve: Serve, make_pool: MakePool) -> None:
    async def hang_up(peer: Peer) -> None:
        peer.reset()

    server = await serve(hang_up)
    pool = make_pool(server, limit=1)
    for _ in range(3):
        with pytest.raises((BrokenOff, CannotConnect)):
            await ask(pool)
    assert server.connections <= 3


async def test_a_connection_idle_for_long_is_not_used_again(
    serve: Serve, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "KEEP_SECONDS", 0.02)
    server = await serve(answers)
    pool = make_pool(server, limit=2)
    await asyncio.gather(ask(pool), ask(pool))
    await asyncio.sleep(0.05)
    await ask(pool)
    await until("open", server, 1)
    assert server.connections == 3


# -- places ---------------------------------------------------------------------------------------


async def test_first_come_first_served(serve: Serve, make_pool: MakePool) -> None:
    order: list[bytes] = []

    async def handler(peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            order.append(body)
            await asyncio.sleep(0.002)
            await peer.send(OK)

    server = await serve(handler)
    pool = make_pool(server, limit=2)
    bodies = [b"%d" % number for number in range(20)]
    await asyncio.gather(*(ask(pool, body) for body in bodies))
    assert sorted(order[:2]) == bodies[:2]
    places = [abs(order.index(body) - number) for number, body in enumerate(bodies)]
    assert max(places) <= 1
    assert (server.peak, server.connections) == (2, 2)


@pytest.mark.parametrize("seed", range(3))
async def test_no_place_is_lost_whoever_is_cancelled_when(
    serve: Serve, make_pool: MakePool, seed: int
) -> None:
    rng = random.Random(seed)
    calm = False

    async def moody(peer: Peer) -> None:
        while True:
            await peer.request()
            mood = 1.0 if calm else rng.random()
            await asyncio.sleep(mood * 0.003)
            if mood < 0.1:
                return
            if mood < 0.2:
                peer.reset()
                return
            await peer.send(OK[:-5], OK[-5:], pause=0.0005)

    async def one(pool: Pool) -> None:
        whole = rng.random() < 0.5
        await (await ask(pool, whole=whole)).read()

    server = await serve(moody)
    pool = make_pool(server, limit=3)
    calls = []
    for _ in range(300):
        calls.append(asyncio.create_task(one(pool)))
        if rng.random() < 0.3:
            await asyncio.sleep(rng.random() * 0.004)
        if rng.random() < 0.6:
            rng.choice(calls).cancel()
    async with asyncio.timeout(10):
        results = await asyncio.gather(*calls, return_exceptions=True)
    kinds = {type(result) for result in results}
    assert kinds <= {type(None), asyncio.CancelledError, BrokenOff, Stale}
    assert {type(None), asyncio.CancelledError} <= kinds
    assert server.peak <= 3 + 3  # the server may notice an abort late
    calm = True
    await alive(pool, server, 3)


@pytest.mark.parametrize("message", [OK, OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)])
async def test_what_a_cancelled_call_was_just_given_goes_to_the_next(
    serve: Serve, make_pool: MakePool, message: bytes
) -> None:
    async def slow(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.03)
            await peer.send(message)

    async def first() -> None:
        await ask(pool)
        second.cancel()  # its turn has come in this very step of the event loop

    pool = make_pool(await serve(slow), limit=1)
    calls = [asyncio.create_task(first())]
    await asyncio.sleep(0.01)
    second = asyncio.create_task(ask(pool))
    calls += [second, asyncio.create_task(ask(pool))]
    async with asyncio.timeout(2):
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert not isinstance(results[2], BaseException)


async def test_cancelling_a_call_closes_its_connection(serve: Serve, make_pool: MakePool) -> None:
    gone = asyncio.Event()

    async def silent(peer: Peer) -> None:
        _, body = await peer.request()
        if body:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour")
        if await peer.gone():
            gone.set()

    server = await serve(silent)
    pool = make_pool(server, limit=1)
    for number, body in enumerate((b"", b"x"), 1):
        gone.clear()
        call = asyncio.create_task(ask(pool, body))
        await until("connections", server, number)
        await asyncio.sleep(0.02)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(gone.wait(), 1)


async def test_a_failed_connection_leaves_its_place(make_pool: MakePool, serve: Serve) -> None:
    server = await serve(answers)
    await server.stop()
    pool = make_pool(server, limit=1)
    for _ in range(3):
        with pytest.raises(CannotConnect, match=r"127\.0\.0\.1:\d+ \[Connection refused\]$"):
            await ask(pool)


async def test_closing_a_pool_ends_what_is_under_way(serve: Serve, make_pool: MakePool) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    server = await serve(silent)
    pool = make_pool(server, limit=1)
    calls = [asyncio.create_task(ask(pool)) for _ in range(3)]
    await until("connections", server, 1)
    await asyncio.sleep(0.01)
    await pool.close()
    async with asyncio.timeout(1):
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {BrokenOff}


# -- limits of time -------------------------------------------------------------------------------


def clock(limit: Limit, seconds: float) -> Clock:
    return Clock(asyncio.get_running_loop(), limit, seconds)


async def test_an_answer_that_came_while_the_process_was_stopped_is_read(
    serve: Serve, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nemo_evaluator.http.client.clock.HELD_UP", 0.2)

    async def slow(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.05)
            await peer.send(OK)

    pool = make_pool(await serve(slow))
    limits = [clock(Limit.TOTAL, 0.1)]
    asked = [asyncio.create_task(ask(pool, clocks=limits)) for _ in range(4)]
    await asyncio.sleep(0.02)
    time.sleep(0.5)  # neither the server nor the client runs
    assert [await (await one).read() for one in asked] == [b"ok"] * 4
    limits[0].close()


async def test_waiting_for_a_place_counts(serve: Serve, make_pool: MakePool) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    server = await serve(silent)
    pool = make_pool(server, limit=1)
    first = asyncio.create_task(ask(pool))
    await until("connections", server, 1)
    for limit in (Limit.FIRST_BYTE, Limit.TOTAL):
        with pytest.raises(Late) as caught:
            await ask(pool, clocks=[clock(limit, 0.02), clock(Limit.TOTAL, 5.0)])
        assert caught.value.limit is limit
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize("whole", [True, False])
async def test_each_limit_counts_its_part(serve: Serve, make_pool: MakePool, whole: bool) -> None:
    async def slow(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(OK[:-1])
            await asyncio.sleep(0.1)
            await peer.send(OK[-1:])

    server = await serve(slow)
    pool = make_pool(server, limit=2)
    total, first_byte = clock(Limit.TOTAL, 0.04), clock(Limit.FIRST_BYTE, 0.04)
    response = await ask(pool, whole=whole, clocks=[first_byte])
    assert await response.read() == b"ok"
    with pytest.raises(Late) as caught:
        await (await ask(pool, whole=whole, clocks=[total, first_byte])).read()
    assert caught.value.limit is Limit.TOTAL
    response = await ask(pool, whole=whole, clocks=[clock(Limit.TOTAL, 5.0)])
    assert await response.read() == b"ok"


@pytest.mark.parametrize("whole", [True, False])
async def test_a_body_that_stalls_is_given_up_and_one_that_goes_on_is_not(
    serve: Serve, make_pool: MakePool, whole: bool
) -> None:
    async def handler(peer: Peer) -> None:
        _, body = await peer.request()
        await asyncio.sleep(0.2)  # before its first byte a response may take its time
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            await peer.send(b"x", pause=0.06)
            if body == b"stall":
                await peer.gone()

    server = await serve(handler)
    pool = make_pool(server, limit=1, idle=clock(Limit.IDLE, 0.15))
    response = await ask(pool, whole=whole)
    assert await response.read() == b"x" * 6
    with pytest.raises(Late) as caught:
        await (await ask(pool, b"stall", whole=whole)).read()
    assert caught.value.limit is Limit.IDLE
    assert await (await ask(pool, whole=whole)).read() == b"x" * 6


async def test_a_peer_that_does_not_read_the_request_is_given_up(
    serve: Serve, make_pool: MakePool
) -> None:
    async def handler(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(5)

    pool = make_pool(await serve(handler), idle=clock(Limit.IDLE, 0.1))
    with pytest.raises(Late) as caught:
        await ask(pool, b"x" * 2**25)
    assert caught.value.limit is Limit.IDLE


async def test_a_reader_that_takes_its_time_is_not_the_servers_stall(
    serve: Serve, make_pool: MakePool
) -> None:
    size = 4 * 2**20
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    server = await serve(saying(head, *[b"x" * 2**18] * 16))
    pool = make_pool(server, idle=clock(Limit.IDLE, 0.1))
    response = await ask(pool, whole=False)
    read = len(await response.read_some())
    await asyncio.sleep(0.3)
    while chunk := await response.read_some():
        read += len(chunk)
    assert read == size


async def test_a_limit_is_kept_to_whoever_else_counts(serve: Serve, make_pool: MakePool) -> None:
    async def handler(peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            await asyncio.sleep(0.3 if body == b"slow" else 0.0)
            await peer.send(OK)

    pool = make_pool(await serve(handler), limit=20)
    total = clock(Limit.TOTAL, 0.1)

    async def timed(body: bytes) -> float:
        started = time.perf_counter()
        try:
            await ask(pool, body, clocks=[total])
        except Late:
            return time.perf_counter() - started
        return 0.0

    calls = []
    for number in range(20):
        calls.append(asyncio.create_task(timed(b"slow" if number % 3 == 0 else b"quick")))
        await asyncio.sleep(0.005)
    taken = await asyncio.gather(*calls)
    late = [seconds for seconds in taken if seconds]
    assert len(late) == 7
    assert all(0.09 < seconds < 0.25 for seconds in late)
    total.close()
