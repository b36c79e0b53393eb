"""The client of the engine's API, against engines that misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes import DockerBackend, SandboxLost, SandboxPool, SandboxSpec
from nemo_evaluator.sandboxes.docker_api import Engine, demultiplex, find_socket
from nemo_evaluator.sandboxes.streams import Kept


@asynccontextmanager
async def engine_that_says(folder: Path, answer: bytes) -> AsyncIterator[Engine]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    path = str(folder / "e.sock")
    server = await asyncio.start_unix_server(serve, path)
    try:
        yield Engine(path)
    finally:
        server.close()
        await server.wait_closed()


async def test_whole_answers(tmp_path: Path) -> None:
    body = b'{"Id": "x"}'
    length = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + body
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"5\r\n" + body[:5] + b"\r\n6;x\r\n" + body[5:] + b"\r\n0\r\n\r\n"
    for answer in (length, chunked, b"HTTP/1.1 200 OK\r\n\r\n" + body):
        async with engine_that_says(tmp_path, answer) as engine:
            assert await engine.expect("GET", "/x") == {"Id": "x"}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 19\r\n\r\n" + b'{"message": "sick"}',
    ],
)
async def test_broken_answers_are_a_lost_sandbox(tmp_path: Path, answer: bytes) -> None:
    async with engine_that_says(tmp_path, answer) as engine:
        with pytest.raises(SandboxLost):
            await engine.expect("GET", "/x")
        with pytest.raises(ConfigError, match="bubblewrap"):
            async with SandboxPool(DockerBackend(image="x", socket=engine.socket)):
                pass


async def test_a_command_that_does_not_start(tmp_path: Path) -> None:
    for answer in (
        b"",
        b"HTTP/1.1 409 No\r\nContent-Length: 21\r\n\r\n" + b'{"message": "paused"}',
    ):
        async with engine_that_says(tmp_path, answer) as engine:
            with pytest.raises(SandboxLost, match=r"does not answer|paused"):
                await engine.attach("/x", {})


async def test_a_silent_engine_is_given_up(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, str(tmp_path / "e.sock"))
    with pytest.raises(SandboxLost, match="does not answer"):
        await Engine(str(tmp_path / "e.sock")).request("GET", "/x", timeout=0.05)
    await asyncio.sleep(0.05)
    server.close()
    await server.wait_closed()


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=20))
def test_streams_are_taken_apart(pieces: list[tuple[int, bytes]]) -> None:
    async def take() -> tuple[bytes, bytes]:
        reader = asyncio.StreamReader()
        for number, data in pieces:
            reader.feed_data(bytes([number, 0, 0, 0]) + len(data).to_bytes(4, "big") + data)
        reader.feed_eof()
        out, err = Kept(10_000), Kept(10_000)
        await demultiplex(reader, out, err)
        return bytes(out.data), bytes(err.data)

    wanted = [b"".join(data for number, data in pieces if number == n) for n in (1, 2)]
    assert asyncio.run(take()) == tuple(wanted)


async def test_a_torn_stream_ends() -> None:
    for torn in (b"\1\0", b"\1\0\0\0\0\0\0\7abc"):
        reader = asyncio.StreamReader()
        reader.feed_data(torn)
        reader.feed_eof()
        out = Kept(10)
        await demultiplex(reader, out, out)
        assert out.data in (b"", b"abc")


def test_the_socket_is_the_one_docker_would_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert find_socket() == "/run/other.sock"
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    with pytest.raises(ConfigError, match="DOCKER_HOST"):
        find_socket()
    monkeypatch.delenv("DOCKER_HOST")
    assert find_socket() == "/var/run/docker.sock"
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "colima"}))
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"colima").hexdigest()
    meta.mkdir(parents=True)
    host = {"Endpoints": {"docker": {"Host": "unix:///colima.sock"}}}
    (meta / "meta.json").write_text(json.dumps(host))
    assert find_socket() == "/colima.sock"
    (tmp_path / "config.json").write_text("{")
    assert find_socket() == "/var/run/docker.sock"


async def test_secrets_are_not_in_docker_inspect(docker_engine: None, image: str) -> None:
    spec = SandboxSpec(env={"TOKEN": "s3cret-value"})
    backend = DockerBackend(image=image)
    async with SandboxPool(backend) as pool, pool.acquire(spec) as box:
        assert (await box.exec("echo $TOKEN")).stdout == "s3cret-value\n"
        told = await backend.engine.expect("GET", f"/containers/{box.id}/json")  # type: ignore[attr-defined]
        assert "s3cret-value" not in json.dumps(told)
        host = told["HostConfig"]
        assert host["NetworkMode"] == "none" and host["ReadonlyRootfs"] and host["Init"]
        assert host["CapDrop"] == ["ALL"] and "no-new-privileges" in host["SecurityOpt"]


async def test_a_container_that_is_taken_away_is_lost(docker_engine: None, image: str) -> None:
    backend = DockerBackend(image=image)
    async with SandboxPool(backend) as pool, pool.acquire(SandboxSpec()) as box:
        running = asyncio.create_task(box.exec("sleep 30"))
        await asyncio.sleep(0.5)
        await backend.engine.request("POST", f"/containers/{box.id}/kill")  # type: ignore[attr-defined]
        with pytest.raises(SandboxLost, match="ended while a command was running"):
            await running
        with pytest.raises(SandboxLost):
            await box.exec("true")
