"""A private folder of this machine: nothing confines an agent there, and nothing of it stays."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nemo_evaluator.sandboxes import SandboxLost
from nemo_evaluator.sandboxes.host import PREFIX, HostFolder

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            open(sys.argv[1], "a").write("x")
            time.sleep(0.02)
    os._exit(0)
os.wait()
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
async def folder() -> AsyncIterator[HostFolder]:
    made = await HostFolder.open()
    yield made
    await made.close()
    assert not made.path.exists()


def still(path: Path) -> bool:
    """Whether a file that was written to is not any more."""
    size = path.stat().st_size
    time.sleep(0.2)
    return path.stat().st_size == size > 0


async def test_a_command_as_a_shell_tells_it(
    folder: HostFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "s")
    done = await folder.exec("env; cat; echo err >&2; exit 3", env={"A": "b"}, stdin=b"in")
    assert (done.exit_code, done.stderr) == (3, "err\n") and done.stdout.endswith("in")
    assert "SECRET_OF_MINE" not in done.stdout and "A=b" in done.stdout
    assert f"HOME={folder.path}" in done.stdout
    assert (await folder.exec(["no-such-program"])).exit_code == 127
    assert (await folder.exec("kill -9 $$")).killed_by == "signal 9"
    long = await folder.exec("yes | head -c 1000000", output_bytes=100)
    assert len(long.stdout) == 100 and long.stdout_truncated


@pytest.mark.parametrize(("lasts", "timeout"), [(0.2, 20.0), (30.0, 0.5)])
async def test_nothing_outlives_its_command(
    folder: HostFolder, lasts: float, timeout: float
) -> None:
    """A daemon that left its session and its parents, whether the command ends or is ended."""
    began = time.monotonic()
    command = [sys.executable, "-c", DAEMON, "beat", str(lasts)]
    done = await folder.exec(command, timeout=timeout)
    assert done.timed_out == (lasts > timeout) and time.monotonic() - began < 15
    assert await asyncio.to_thread(still, folder.path / "beat")


async def test_nothing_outlives_who_gave_up_waiting(folder: HostFolder) -> None:
    command = [sys.executable, "-c", DAEMON, "beat", "30"]
    task = asyncio.create_task(folder.exec(command))
    while not (folder.path / "beat").exists():
        await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await asyncio.to_thread(still, folder.path / "beat")


def test_nothing_outlives_a_killed_evaluation() -> None:
    """Neither a process, nor, once the next one begins, the folder."""
    code = (
        "import asyncio, sys\n"
        "from nemo_evaluator.sandboxes.host import HostFolder\n"
        "async def main():\n"
        "    folder = await HostFolder.open()\n"
        "    print(folder.path, flush=True)\n"
        "    await folder.exec([sys.executable, '-c', sys.argv[1], 'beat', '60'])\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", code, DAEMON]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        end = time.monotonic() + 20
        while not (path / "beat").exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert path.name.startswith(PREFIX)
    end = time.monotonic() + 10
    while not still(path / "beat") and time.monotonic() < end:
        pass
    assert still(path / "beat")

    async def next_one() -> None:
        await (await HostFolder.open()).close()

    asyncio.run(next_one())
    assert not path.exists()


async def test_files_are_this_users_alone_and_move_as_archives(folder: HostFolder) -> None:
    await folder.upload("own/key.json", b"secret")
    assert stat.S_IMODE((folder.path / "own/key.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    await folder.exec("mkdir w && cd w && echo a > a && chmod 755 a && ln -s a b && mkfifo c")
    await folder.restore("copy", await folder.save("w"))
    assert (await folder.exec("cd copy && ls -1 && ./b 2>/dev/null; cat b")).stdout == "a\nb\na\n"
    assert await folder.download("copy/a") == b"a\n"
    with pytest.raises(FileNotFoundError):
        await folder.download("copy")
    with pytest.raises(ValueError, match="more than 1 bytes"):
        await folder.download("copy/a", max_bytes=1)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        await folder.save("w", max_bytes=10)


async def test_an_archive_cannot_write_elsewhere(folder: HostFolder, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("../../escaped")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(SandboxLost, match="cannot be copied"):
        await folder.restore("deep/in", buffer.getvalue())
    assert not (folder.path / "escaped").exists()
