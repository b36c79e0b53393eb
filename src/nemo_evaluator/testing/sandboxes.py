"""What every sandbox backend promises; see `sandboxes.contract`.

```python
class TestMine(SandboxContract):
    @pytest.fixture
    async def backend(self):
        made = MyBackend()
        yield made
        await made.close()
```
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import msgspec

from ..errors import ConfigError
from ..http.listener import Listener
from ..sandboxes.contract import Backend, Limits, Process, Sandbox, SandboxLost, SandboxSpec
from ..sandboxes.pool import SandboxPool

PATIENCE = 20.0
_ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"
_ASK = """\
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as s:
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(s.makefile().read()[-5:])
"""
_REACH = """\
import socket, sys
for target in sys.argv[1:]:
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 2).close()
        print("reached", target)
    except OSError:
        pass
"""
_RESOLVE = """\
import socket
try:
    print(socket.getaddrinfo("example.com", 80))
except OSError:
    print("no address")
"""
_DAEMON = """\
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            open("beat", "a").write("x"); time.sleep(0.05)
    os._exit(0)
os.wait()
while not os.path.exists("beat"): time.sleep(0.01)
"""
"""A daemon that leaves its session and its parents behind. `beat` shows whether it lives."""


class SandboxContract:
    """Subclass it with a fixture ``backend``; its image needs a shell, coreutils, tar, python3."""

    spec: ClassVar[SandboxSpec] = SandboxSpec(
        limits=Limits(timeout=PATIENCE, memory_mb=256, disk_mb=16), env={"GREETING": "hello"}
    )

    @asynccontextmanager
    async def box(self, backend: Backend, **changes: object) -> AsyncIterator[Sandbox]:
        """A sandbox of the suite's spec with some fields changed."""
        spec = msgspec.structs.replace(self.spec, **changes)
        async with SandboxPool(backend, limit=1) as pool, pool.acquire(spec) as sandbox:
            yield sandbox

    # -- commands ---------------------------------------------------------------------------------

    async def test_a_command_ends_with_its_own_code(self, backend: Backend) -> None:
        """Exit codes, both streams, standard input and environment."""
        async with self.box(backend) as box:
            got = await box.exec("cat; echo $GREETING $MORE; echo err >&2; exit 3", stdin=b"in ")
            assert (got.exit_code, got.stdout, got.stderr) == (3, "in hello\n", "err\n")
            assert (await box.exec("echo $MORE", env={"MORE": "more"})).stdout == "more\n"
            assert (await box.exec(["echo", "$HOME; id"])).stdout == "$HOME; id\n"

    async def test_time_limits_and_leftovers(self, backend: Backend) -> None:
        """A command is ended in time, and nothing it started survives it."""
        async with self.box(backend) as box:
            begin = time.monotonic()
            got = await box.exec("echo before; sleep 60", timeout=1)
            assert (got.timed_out, got.exit_code, got.stdout) == (True, 124, "before\n")
            assert time.monotonic() - begin < PATIENCE
            await box.exec(["python3", "-c", _DAEMON])
            await box.exec("true")
            await self._is_still(box)

    async def test_memory_is_bounded(self, backend: Backend) -> None:
        """A program without measure is a result, and the sandbox stands."""
        async with self.box(backend) as box:
            greedy = "b = []\nwhile True: b.append(bytearray(8 << 20))"
            got = await box.exec(["python3", "-c", greedy])
            assert not got.ok
            assert (await box.exec("echo alive")).stdout == "alive\n"

    # -- files ------------------------------------------------------------------------------------

    async def test_files_go_in_and_out(self, backend: Backend, tmp_path: Path) -> None:
        """The spec's files, single files, folders; what is not there says so."""
        async with self.box(backend, files={"a/in.txt": b"in\n"}) as box:
            assert await box.download("a/in.txt") == b"in\n"
            await box.upload("b/out.bin", bytes(range(256)))
            assert await box.download("b/out.bin") == bytes(range(256))
            (tmp_path / "up").mkdir()
            (tmp_path / "up" / "f").write_bytes(b"f")
            await box.upload_folder("c", tmp_path / "up")
            await box.download_folder(".", tmp_path / "down")
            assert (tmp_path / "down" / "c" / "f").read_bytes() == b"f"
            try:
                await box.download("nothing")
            except FileNotFoundError:
                return
            raise AssertionError("a file that is not there was downloaded")

    async def test_a_folder_moves_to_another_sandbox(self, backend: Backend) -> None:
        """A folder keeps its links and modes; it cannot be too large."""
        async with (
            SandboxPool(backend, limit=2) as pool,
            pool.acquire(self.spec) as one,
            pool.acquire(self.spec) as other,
        ):
            await one.exec(
                "printf '#!/bin/sh\\necho ran' > x; chmod 755 x; mkdir d; ln -s ../x d/y"
            )
            await other.restore(".", await one.save("."))
            assert (await other.exec("./d/y")).stdout == "ran\n"
            try:
                await one.save(".", max_bytes=100)
            except ValueError:
                return
            raise AssertionError("an archive was larger than it may be")

    async def test_folders_of_this_machine_are_shown(self, backend: Backend) -> None:
        """Readable under the same path, and nothing can be written there; or they are refused."""
        with tempfile.TemporaryDirectory(prefix="nel-shown-", dir="/var/tmp") as name:
            _tool(Path(name))
            spec = msgspec.structs.replace(self.spec, folders=(name,))
            try:
                backend.check(spec)
            except ConfigError:
                return
            async with SandboxPool(backend, limit=1) as pool, pool.acquire(spec) as box:
                assert (await box.exec([f"{name}/tool"])).stdout == "from the host\n"
                assert not (await box.exec(f"echo x > {name}/new")).ok
                assert (await box.exec(f"ls {name}")).stdout == "tool\n"

    async def test_nothing_is_shared(self, backend: Backend) -> None:
        """Two sandboxes do not see each other's files."""
        async with (
            SandboxPool(backend, limit=2) as pool,
            pool.acquire(self.spec) as one,
            pool.acquire(self.spec) as other,
        ):
            await one.upload("mine", b"x")
            assert not (await other.exec("ls mine")).ok

    # -- processes that run on --------------------------------------------------------------------

    async def test_a_process_runs_beside_commands(self, backend: Backend) -> None:
        """The process's streams are followed while it runs, it reads, and commands do not end
        it."""
        async with self.box(backend) as box:
            process = await box.start("echo ready; while read x; do echo got $x; done; exit 4")
            said = process.stdout.__aiter__()
            assert await _until(said, b"ready\n")
            for word in ("one", "two"):
                assert (await box.exec("echo beside")).stdout == "beside\n"
                await process.write(f"{word}\n".encode())
                assert await _until(said, f"got {word}\n".encode())
            assert _runs(process)
            await process.close_stdin()
            assert await process.wait(PATIENCE) == 4
            assert not _runs(process) and process.stdout.text.endswith("got two\n")

    async def test_a_process_serves_those_beside_it(self, backend: Backend) -> None:
        """All commands of a sandbox are on one loopback, whatever its network is."""
        async with self.box(backend) as box:
            server = await box.start(
                ["python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
            )
            assert await _until(server.stdout.__aiter__(), b"/)")
            said = re.search(r" port (\d+) ", server.stdout.text)
            assert said is not None, server.stdout.text
            got = await box.exec(["python3", "-c", _ASK, said[1]])
            assert got.ok, (got.stderr, server.stderr.text)
            await server.kill()
            assert not (await box.exec(["python3", "-c", _ASK, said[1]])).ok

    async def test_kill_ends_what_it_started(self, backend: Backend) -> None:
        """One is ended, the other runs on."""
        async with self.box(backend) as box:
            doomed = await box.start("(while :; do echo x >> beat; sleep 0.05; done) & wait")
            other = await box.start("echo here; cat")
            assert await _until(other.stdout.__aiter__(), b"here\n")
            await self._beats(box)
            await doomed.kill()
            await doomed.kill()
            await self._is_still(box)
            assert not doomed.running and other.running
            assert await doomed.wait() == 137
            await other.close_stdin()
            assert await other.wait(PATIENCE) == 0

    async def test_all_processes_end_and_the_files_stay(self, backend: Backend) -> None:
        """Also a daemon that hides from its parents; commands may follow."""
        async with self.box(backend) as box:
            daemon = await box.start(["python3", "-c", _DAEMON + "time.sleep(60)"])
            await self._beats(box)
            await box.end_processes()
            assert not daemon.running
            await self._is_still(box)
            assert (await box.exec("test -s beat && echo there")).stdout == "there\n"

    async def test_a_terminal(self, backend: Backend) -> None:
        """A process may have one; its end is told."""
        async with self.box(backend) as box:
            process = await box.start(
                "test -t 0 && test -t 1 && echo yes; read x; echo $x", tty=True
            )
            said = process.stdout.__aiter__()
            assert await _until(said, b"yes")
            await process.write(b"typed\n")
            assert await process.wait(PATIENCE) == 0
            assert process.stdout.text.count("typed") == 2  # its echo, and what was printed

    async def test_much_output_takes_no_memory(self, backend: Backend) -> None:
        """The last of it is kept, and a process that is not read does not stand still."""
        async with self.box(backend, limits=replace_limits(self.spec, output_bytes=1000)) as box:
            process = await box.start("yes | head -c 3000000; echo end")
            assert await process.wait(PATIENCE) == 0
            assert len(process.stdout.text) == 1000 and process.stdout.text.endswith("end\n")

    async def test_closing_ends_everything(self, backend: Backend) -> None:
        """A process ends with its sandbox, which is gone for good then."""
        async with self.box(backend) as box:
            process: Process = await box.start("sleep 600")
            assert _runs(process)
        await process.wait(PATIENCE)
        assert not _runs(process)
        try:
            await box.exec("true")
        except SandboxLost:
            return
        raise AssertionError("a closed sandbox ran a command")

    # -- networks ---------------------------------------------------------------------------------

    async def test_a_door_and_nothing_else(self, backend: Backend) -> None:
        """What this process serves on the listener is reached from inside; this machine is not. Who
        cannot keep the second half refuses such a network, and has a door beside it."""
        closed = self._offers(backend, "door")
        with socket.create_server(("0.0.0.0", 0)) as beyond:
            async with self.box(backend, network="door" if closed else "bridge") as box:
                listener = await box.listen()
                async with await _serving(listener):
                    got = await box.exec(["python3", "-c", _ASK, str(listener.port)])
                    assert got.stdout == "hello\n", got.stderr
                    if closed:
                        await self._reaches_nothing(box, beyond.getsockname()[1])

    async def test_no_network(self, backend: Backend) -> None:
        """Nothing is reached without one; or that is refused."""
        if self._offers(backend, "none"):
            with socket.create_server(("0.0.0.0", 0)) as beyond:
                async with self.box(backend, network="none") as box:
                    await self._reaches_nothing(box, beyond.getsockname()[1])

    # -- refusals ---------------------------------------------------------------------------------

    async def test_root_only_where_it_is_asked_for(self, backend: Backend) -> None:
        """The spec's user runs commands; another one may be named, but not root."""
        async with self.box(backend) as box:
            assert (await box.exec("id -u")).stdout == "65534\n"
            assert (await box.exec("id -u", user=4321)).stdout == "4321\n"
            try:
                await box.exec("id -u", user=0)
            except ConfigError:
                return
            raise AssertionError("root ran a command in a sandbox of another user")

    def _offers(self, backend: Backend, network: str) -> bool:
        try:
            backend.check(msgspec.structs.replace(self.spec, network=network))
        except ConfigError:
            return False
        return True

    async def _reaches_nothing(self, box: Sandbox, port: int) -> None:
        got = await box.exec(["python3", "-c", _REACH, *_addresses(port)])
        assert got.ok and got.stdout == "", got.stdout

    async def _beats(self, box: Sandbox) -> None:
        """A daemon is at work."""
        for _ in range(100):
            with contextlib.suppress(FileNotFoundError):
                if await box.download("beat"):
                    return
            await asyncio.sleep(0.05)
        raise AssertionError("no daemon started")

    async def _is_still(self, box: Sandbox) -> None:
        """No daemon is at work."""
        before = await box.download("beat")
        await asyncio.sleep(0.3)
        assert await box.download("beat") == before


def replace_limits(spec: SandboxSpec, **changes: object) -> Limits:
    """The spec's limits with some changed."""
    return msgspec.structs.replace(spec.limits, **changes)


def _addresses(port: int) -> Sequence[str]:
    """Where this machine and the world might be reached from inside."""
    table = Path("/proc/net/fib_trie").read_text()
    own = set(re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", table))
    return [f"{host}:{port}" for host in sorted(own | {"127.0.0.1"})] + ["1.1.1.1:53"]


def _runs(process: Process) -> bool:
    return process.running


async def _until(said: AsyncIterator[bytes], wanted: bytes) -> bool:
    """Follow an output until something was printed."""
    seen = b""
    async with asyncio.timeout(PATIENCE):
        async for chunk in said:
            seen += chunk
            if wanted in seen:
                return True
    return False


async def _serving(listener: Listener) -> asyncio.Server:
    unix = listener.socket.family is socket.AF_UNIX
    start = asyncio.start_unix_server if unix else asyncio.start_server
    return await start(_hello, sock=listener.socket)


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_ANSWER)
    await writer.drain()
    writer.close()


def _tool(folder: Path) -> None:
    """A program in a folder that everybody may read."""
    folder.chmod(0o755)
    (folder / "tool").write_text("#!/bin/sh\necho from the host\n")
    (folder / "tool").chmod(0o755)
