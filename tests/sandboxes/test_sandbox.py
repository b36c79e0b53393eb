"""What every sandbox promises, on the real engines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import nemo_evaluator
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes import (
    Backend,
    DockerBackend,
    Limits,
    Sandbox,
    SandboxLost,
    SandboxPool,
    SandboxSpec,
)
from nemo_evaluator.sandboxes.docker_api import Engine
from nemo_evaluator.sandboxes.docker_sandbox import DockerSandbox
from nemo_evaluator.types import Failure

FAST = Limits(timeout=20, memory_mb=256, disk_mb=16)


@pytest.fixture
async def box(pool: SandboxPool) -> AsyncIterator[Sandbox]:
    spec = SandboxSpec(
        limits=FAST, env={"GREETING": "hello"}, files={"a/in.txt": b"in\n", "/tmp/t": b"tmp\n"}
    )
    async with pool.acquire(spec) as sandbox:
        yield sandbox


async def test_a_program_runs_and_says_how_it_ended(box: Sandbox) -> None:
    result = await box.exec(["python3", "-c", "import sys; print('out'); sys.exit('err')"])
    assert (result.exit_code, result.stdout, result.stderr) == (1, "out\n", "err\n")
    assert not result.ok and not result.timed_out and result.killed_by is None
    assert 0 < result.duration < 20


async def test_a_text_is_for_the_shell_and_a_list_is_not(box: Sandbox) -> None:
    assert (await box.exec("echo $((1 + 2)) | cat")).stdout == "3\n"
    assert (await box.exec(["echo", "$HOME; id"])).stdout == "$HOME; id\n"
    assert (await box.exec("[[ a == a ]] && echo bash")).stdout == "bash\n"


async def test_environment_is_ours_alone(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_SECRET", "s3cret")
    lines = (await box.exec(["env"], env={"MORE": "x y"})).stdout.splitlines()
    assert {"GREETING=hello", "MORE=x y", "HOME=/workspace", "TMPDIR=/tmp"} <= set(lines)
    allowed = {"GREETING", "MORE", "HOME", "TMPDIR", "PATH", "LANG", "HOSTNAME", "PWD"}
    assert {line.partition("=")[0] for line in lines} <= allowed


async def test_files_of_the_spec_and_those_of_a_command_stay(box: Sandbox) -> None:
    assert (await box.exec("cat a/in.txt /tmp/t; pwd")).stdout == "in\ntmp\n/workspace\n"
    assert (await box.exec("cp in.txt out.txt", cwd="a")).ok
    assert (await box.exec("cat out.txt", cwd="/workspace/a")).stdout == "in\n"


async def test_standard_input_reaches_the_command(box: Sandbox) -> None:
    text = b"x" * 300_000
    assert (await box.exec("wc -c", stdin=text)).stdout.strip() == "300000"
    assert (await box.exec("wc -c")).stdout.strip() == "0"
    assert (await box.exec("exit 3", stdin=text)).exit_code == 3


async def test_the_user_is_nobody_without_capabilities(box: Sandbox) -> None:
    text = (await box.exec("id -u; cat /proc/self/status")).stdout
    assert text.startswith("65534\n")
    assert "CapEff:\t0000000000000000" in text and "NoNewPrivs:\t1" in text
    assert "Seccomp:\t2" in text


async def test_time_runs_out(box: Sandbox) -> None:
    begin = time.monotonic()
    result = await box.exec("echo before; sleep 60; echo after", timeout=1)
    assert (result.timed_out, result.exit_code, result.stdout) == (True, 124, "before\n")
    assert result.killed_by == "timeout" and time.monotonic() - begin < 8
    assert (await box.exec("pgrep sleep -u 65534 | wc -l")).stdout == "0\n"


async def test_output_is_kept_to_a_limit(box: Sandbox) -> None:
    result = await box.exec("yes out | head -c 100000; echo e >&2", output_bytes=1000)
    assert result.ok and len(result.stdout) == 1000
    assert (result.stdout_truncated, result.stderr_truncated) == (True, False)
    exact = await box.exec("printf 12345", output_bytes=5)
    assert (exact.stdout, exact.stdout_truncated) == ("12345", False)


async def test_output_need_not_be_text(box: Sandbox) -> None:
    assert (await box.exec(r"printf 'a\377\000b'")).stdout == "a\ufffd\0b"


@pytest.mark.parametrize(
    ("command", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("no-such", 127)]
)
async def test_exit_codes(box: Sandbox, command: str, code: int) -> None:
    assert (await box.exec(command)).exit_code == code


async def test_a_program_that_is_not_there_is_a_result(box: Sandbox) -> None:
    for _ in range(2):
        assert (await box.exec(["no-such-program"])).exit_code in (126, 127)


async def test_memory_ends(box: Sandbox) -> None:
    program = "b = []\nwhile True: b.append(bytearray(8 << 20))"
    result = await box.exec(["python3", "-c", program])
    assert result.exit_code != 0 and not result.timed_out
    assert result.oom or "MemoryError" in result.stderr
    assert (await box.exec("echo alive")).stdout == "alive\n"


async def test_upload_and_download(box: Sandbox, tmp_path: Path) -> None:
    data = bytes(range(256)) * 2000
    await box.upload("deep/er/f.bin", data)
    assert await box.download("deep/er/f.bin") == data
    (tmp_path / "host.txt").write_bytes(b"from a file")
    await box.upload("/tmp/x", tmp_path / "host.txt")
    assert await box.download("/tmp/x") == b"from a file"
    await box.upload("-rf", b"odd")
    assert await box.download("-rf") == b"odd"
    with pytest.raises(FileNotFoundError):
        await box.download("nothing")
    with pytest.raises(ValueError, match="more than 10 bytes"):
        await box.download("deep/er/f.bin", max_bytes=10)


async def test_folders_go_in_and_come_out(box: Sandbox, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "f").write_text("deep")
    await box.upload_folder("work", source)
    await box.exec("ln -s /etc/passwd work/link; ln -s ../../.. work/up; mkfifo work/pipe")
    await box.download_folder("work", tmp_path / "back")
    assert (tmp_path / "back" / "sub" / "f").read_text() == "deep"
    names = {path.name for path in (tmp_path / "back").iterdir()}
    assert names == {"sub"}, "links and pipes stay inside"
    await box.exec("truncate -s 8M work/big")
    with pytest.raises(ValueError, match="more than"):
        await box.download_folder("work", tmp_path / "big", max_bytes=1 << 20)
    with pytest.raises(FileNotFoundError):
        await box.download_folder("none", tmp_path / "none")


async def test_a_link_leads_nowhere_but_inside(box: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    await box.exec(["ln", "-s", str(secret), "link"])
    with pytest.raises(FileNotFoundError):
        await box.download("link")
    with pytest.raises(SandboxLost):
        await box.upload("link/x", b"data")
    assert secret.read_text() == "of the host"


async def test_every_sandbox_is_fresh(pool: SandboxPool) -> None:
    for _ in range(2):
        async with pool.acquire(SandboxSpec(limits=FAST)) as box:
            look = await box.exec(
                "find /workspace /tmp /dev/shm -mindepth 1; echo x > f; "
                "echo x > /tmp/f; echo x > /dev/shm/f"
            )
            assert look.ok and look.stdout == ""


async def test_a_closed_sandbox_is_lost(pool: SandboxPool) -> None:
    async with pool.acquire(SandboxSpec(limits=FAST)) as box:
        pass
    with pytest.raises(SandboxLost) as caught:
        await box.exec("true")
    assert caught.value.info.kind is Failure.SANDBOX
    await box.close()


async def test_a_lifetime_ends(pool: SandboxPool) -> None:
    limits = Limits(memory_mb=128, disk_mb=8, lifetime=2)
    async with pool.acquire(SandboxSpec(limits=limits)) as box:
        assert (await box.exec("sleep 30", timeout=20)).timed_out


async def test_commands_of_many_sandboxes_run_side_by_side(pool: SandboxPool) -> None:
    async def one(number: int) -> str:
        async with pool.acquire(SandboxSpec(limits=FAST)) as box:
            return (await box.exec(["echo", str(number)])).stdout

    assert await asyncio.gather(*map(one, range(10))) == [f"{n}\n" for n in range(10)]


async def test_the_disk_is_bounded(box: Sandbox) -> None:
    result = await box.exec("head -c 100M /dev/zero > a; head -c 100M /dev/zero > b; ls -l")
    sizes = [int(line.split()[4]) for line in result.stdout.splitlines() if line.startswith("-")]
    assert sum(sizes) <= 17 << 20


async def test_no_network_unless_asked_for(pool: SandboxPool) -> None:
    async with pool.acquire(SandboxSpec(limits=FAST)) as box:
        assert (await box.exec("ls /sys/class/net 2>/dev/null || true; cat /proc/net/dev")).ok
        names = (await box.exec("tail -n +3 /proc/net/dev | cut -d: -f1")).stdout.split()
        assert names == ["lo"]
    async with pool.acquire(SandboxSpec(limits=FAST, network="host")) as box:
        names = (await box.exec("tail -n +3 /proc/net/dev | cut -d: -f1")).stdout.split()
        host = Path("/proc/net/dev").read_text().splitlines()[2:]
        assert set(names) == {line.partition(":")[0].strip() for line in host}


@pytest.mark.parametrize("cwd", ["relative", "/", "/usr/x", "/proc", "/dev/shm"])
async def test_a_working_directory_that_cannot_be(pool: SandboxPool, cwd: str) -> None:
    if pool.backend.name == "docker" and cwd not in ("relative", "/"):
        pytest.skip("an image may have its work anywhere")
    with pytest.raises(ConfigError):
        async with pool.acquire(SandboxSpec(cwd=cwd)):
            pass


async def test_files_outside_are_refused(pool: SandboxPool) -> None:
    for name in ("/etc/passwd", "../x", "/tmp/../usr/x"):
        with pytest.raises(ConfigError, match="outside"):
            async with pool.acquire(SandboxSpec(files={name: b""})):
                pass


async def test_other_users_and_directories(pool: SandboxPool) -> None:
    async with pool.acquire(SandboxSpec(limits=FAST, user=1000, cwd="/srv/job")) as box:
        assert (await box.exec("id -u; pwd; touch f && echo ok")).stdout == "1000\n/srv/job\nok\n"
    async with pool.acquire(SandboxSpec(limits=FAST, user=0)) as box:
        assert (await box.exec("id -u; sleep 60", timeout=1)).stdout == "0\n"
        assert (await box.exec("touch f && echo ok")).stdout == "ok\n"


async def test_too_long_an_argument_is_the_callers_error(box: Sandbox) -> None:
    with pytest.raises(ValueError, match="128 KiB"):
        await box.exec(["echo", "x" * 200_000])


async def test_local_refuses_what_only_containers_can(local_engine: None) -> None:
    from nemo_evaluator.sandboxes import LocalBackend

    for spec in (
        SandboxSpec(image="x"),
        SandboxSpec(network="bridge"),
        SandboxSpec(read_only=False),
    ):
        with pytest.raises(ConfigError):
            LocalBackend().check(spec)
    with pytest.raises(ConfigError, match="no image"):
        await LocalBackend().pull("python:3.11")


AS_ANOTHER_USER = """
import asyncio, sys
sys.path[:0] = sys.argv[1].split(":")
from nemo_evaluator.sandboxes import *
async def main():
    async with SandboxPool(LocalBackend(run_id="user")) as pool:
        spec = SandboxSpec(limits=Limits(memory_mb=256, pids=16), files={"f": b"in"})
        async with pool.acquire(spec) as box:
            r = await box.exec(["python3", "-c", "import os; print(open('f').read(), os.getuid())"])
            assert r.stdout == "in 65534\\n", r
            r = await box.exec(["python3", "-c", "bytearray(1 << 30)"])
            assert "MemoryError" in r.stderr, r
            r = await box.exec("for i in $(seq 100); do sleep 9 & done", timeout=3)
            assert "fork" in r.stderr, r
asyncio.run(main())
print("fine")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_local_works_for_a_user_without_any_rights(local_engine: None) -> None:
    """Plain user, no cgroups: rlimits alone."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs the system's Python, which other users may run")
    paths = ":".join(path for path in sys.path if path)
    source = Path(nemo_evaluator.__file__).parents[1]
    argv = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups"]
    argv += ["/usr/bin/python3", "-B", "-c", AS_ANOTHER_USER, f"{source}:{paths}"]
    done = subprocess.run(
        argv, capture_output=True, text=True, cwd="/", env={"PATH": "/usr/bin:/bin"}, check=False
    )
    if "ModuleNotFoundError" in done.stderr or "ImportError" in done.stderr:
        pytest.skip("the packages are not readable by another user or made for another Python")
    assert done.stdout == "fine\n", done.stderr


async def test_nothing_secret_is_on_a_command_line(local_engine: None) -> None:
    from nemo_evaluator.sandboxes import LocalBackend

    spec = SandboxSpec(limits=FAST, env={"TOKEN": "s3cret-of-a-spec"})
    async with SandboxPool(LocalBackend()) as pool, pool.acquire(spec) as box:
        running = asyncio.create_task(box.exec("echo $TOKEN; sleep 1", env={"A": "s3cret-too"}))
        await asyncio.sleep(0.4)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    assert b"s3cret" not in (entry / "cmdline").read_bytes()
        assert (await running).stdout == "s3cret-of-a-spec\n"


@pytest.mark.parametrize("number", range(3))
async def test_a_bubblewrap_killed_from_outside_is_no_result(
    local_engine: None, number: int
) -> None:
    from nemo_evaluator.sandboxes import LocalBackend

    word = f"60.0{os.getpid()}{number}"
    async with SandboxPool(LocalBackend()) as pool, pool.acquire(SandboxSpec(limits=FAST)) as box:
        running = asyncio.create_task(box.exec(["sleep", word]))
        ours: list[int] = []
        while len(ours) < 4:  # nsenter, bubblewrap, the first process, and the program
            await asyncio.sleep(0.02)
            ours = processes_with(word)
        os.kill(ours[number], signal.SIGKILL)
        with pytest.raises(SandboxLost):
            await running


async def test_a_program_that_kills_itself_is_a_result(local_engine: None) -> None:
    from nemo_evaluator.sandboxes import LocalBackend

    async with SandboxPool(LocalBackend()) as pool, pool.acquire(SandboxSpec(limits=FAST)) as box:
        for command in ("kill -9 $$", "kill -9 1; kill -9 $$"):
            result = await box.exec(command)
            assert result.killed_by == "signal 9" and result.stderr == "", command


def processes_with(word: str) -> list[int]:
    """Processes that have a word on their command line, parents first."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if word.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return sorted(found)


async def test_a_container_that_is_killed_is_no_result(
    docker_engine: None, backend_of: Callable[..., Backend]
) -> None:
    """At whatever moment of a command: the engine's own words are not the program's output."""
    backend = backend_of("docker")
    assert isinstance(backend, DockerBackend)
    async with SandboxPool(backend, limit=4) as pool:

        async def one(delay: float) -> None:
            async with pool.acquire(SandboxSpec(limits=FAST)) as box:
                assert isinstance(box, DockerSandbox)
                path = f"/containers/{box.id}/kill"
                with pytest.raises(SandboxLost):
                    killed = asyncio.create_task(_later(delay, backend.engine, path))
                    for _ in range(200):
                        got = await box.exec("sleep 0.02; echo done")
                        assert (got.exit_code, got.stdout) == (0, "done\n")
                await killed

        await asyncio.gather(*(one(number / 40) for number in range(16)))


async def _later(delay: float, engine: Engine, path: str) -> None:
    await asyncio.sleep(delay)
    await engine.request("POST", path)


async def test_a_command_that_cannot_be_started_is_a_result(
    docker_engine: None, backend_of: Callable[..., Backend], image: str
) -> None:
    async with SandboxPool(backend_of("docker")) as pool:
        for plain in (False, True):
            async with pool.acquire(SandboxSpec(plain=plain, cwd="/tmp", image=image)) as box:
                await box.exec("echo x > f; mkdir d; echo nonsense > h; chmod +x h")
                for command in ("nope", "./f", "./d", "/nope/x"):
                    assert (await box.exec([command])).exit_code in (126, 127), command
                assert not (await box.exec("true", cwd="nowhere")).ok
