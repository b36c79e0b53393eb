"""A host behind ssh is a host like this one: same commands, same files, errors in one line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd import far_host

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.host import PRIVATE, TIMED_OUT, File, Host, ThisHost
from nemo_evaluator.executors.ssh import SshHost

HOSTILE = "a b'c\"d$(touch pwned)`touch pwned`;\n*é"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with far_host(tmp_path_factory.mktemp("sshd")) as found:
        yield found


@pytest.fixture(params=["here", "far"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    if request.param == "here":
        yield ThisHost()
        return
    programs = request.getfixturevalue("programs")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with tempfile.TemporaryDirectory(prefix="h") as home:  # the path of a socket is short
        monkeypatch.setenv("HOME", home)
        yield SshHost("far")


async def test_words_arrive_as_they_are(host: Host) -> None:
    words = ["python3", "-c", "import sys; print(sys.argv[1:])", HOSTILE, "", "-x"]
    done = await host.run(words)
    assert (done.code, done.out) == (0, f"{[HOSTILE, '', '-x']}\n")
    done = await host.run(["sh", "-c", "cat; echo oops >&2; exit 3"], given=b"\x00given")
    assert (done.code, done.raw, done.said) == (3, b"\x00given", "oops")


async def test_a_command_that_hangs_is_given_up(host: Host) -> None:
    done = await host.run(["sleep", "30"], timeout=0.7)
    assert done.code == TIMED_OUT and "did not answer within 0.7 s" in done.said


async def test_a_command_that_is_absent_is_named(host: Host) -> None:
    with pytest.raises(ConfigError, match="there is no command 'no-such-command'"):
        await host.run(["no-such-command"])


async def test_files_are_written_whole_and_with_their_mode(host: Host, tmp_path: Path) -> None:
    directory = tmp_path / HOSTILE.replace("\n", "") / "run"
    files = {".secret": File(b"s3cret", PRIVATE), "logs/.made": File(b""), "a": File(b"x" * 70000)}
    await host.put(directory, files)
    assert (directory / "a").read_bytes() == b"x" * 70000
    assert (directory / ".secret").stat().st_mode & 0o777 == 0o600
    assert (directory / "logs").is_dir()
    await host.put(directory, {"a": File(b"new\xff")})
    assert await host.read(directory / "a") == b"new\xff"
    assert await host.read(directory / "a", 2) == b"w\xff"
    assert await host.read(directory / "a", 9) == b""
    assert await host.read(directory / "absent") is None
    async with host.files(directory, "a", "*/.made", "absent") as copy:
        assert (copy / "a").read_bytes() == b"new\xff" and (copy / "logs/.made").exists()
        if host.name:
            assert not (copy / ".secret").exists()
    await host.remove(directory, ".secret", "absent")
    assert not (directory / ".secret").exists()
    async with host.files(tmp_path / "absent", "a") as copy:
        assert not (copy / "a").exists()


async def test_a_directory_is_copied(host: Host, tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    await host.put(there, {"deep/a b": File(b"1"), ".secret": File(b"s"), ".lock.7": File(b"")})
    for _ in range(2):
        await host.copy(there, here, without=(".secret", ".lock*"))
    names = {str(path.relative_to(here)) for path in here.rglob("*")}
    assert names == {"deep", "deep/a b"} and (here / "deep/a b").read_bytes() == b"1"
    with pytest.raises(ConfigError, match="cannot be copied"):
        await host.copy(tmp_path / "absent", here, without=())


async def test_what_cannot_be_written_says_where(host: Host) -> None:
    with pytest.raises(ConfigError, match=r"/proc/nel.*choose another directory"):
        await host.put(Path("/proc/nel"), {"a": File(b"")})


async def test_a_secret_is_in_no_command_line(programs: Path, host: Host, tmp_path: Path) -> None:
    await host.put(tmp_path, {"s": File(b"canary-5512", PRIVATE)})
    asked = programs.parent / "asked"
    assert not asked.exists() or "canary-5512" not in asked.read_text()


async def test_a_host_that_is_not_reached_is_one_line(
    programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^closed: ssh: .*refused.* must work without") as caught:
        await SshHost("closed").run(["true"])
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="is not the name of a host"):
        SshHost("-oProxyCommand=touch pwned")
