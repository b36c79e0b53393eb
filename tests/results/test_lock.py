"""Two processes never write one run directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.files.writing import replace_file, replacing
from nemo_evaluator.results.lock import (
    directory_lock,
    is_held,
    is_holder,
    owner_of,
    reading_lock,
)


def hold(directory: Path) -> None:
    with directory_lock(directory):
        pass


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    with directory_lock(tmp_path / "run"):
        owner = f"in use by pid {os.getpid()} on "
        with pytest.raises(ConfigError, match=owner):
            hold(tmp_path / "run")
    hold(tmp_path / "run")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write there"):
        hold(tmp_path / "file" / "run")


def test_a_deleted_lock_file_admits_no_second_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with directory_lock(run):
        (run / ".lock").unlink()
        with pytest.raises(ConfigError, match="in use by another process"):
            hold(run)
        with pytest.raises(ConfigError, match="in use"), reading_lock(run):
            pass
    hold(run)


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_a_lock_that_is_no_file_is_refused_and_nothing_is_written_through_it(
    tmp_path: Path, kind: str
) -> None:
    run, precious = tmp_path / "run", tmp_path / "precious"
    run.mkdir()
    precious.write_text("precious")
    if kind == "link":
        (run / ".lock").symlink_to(precious)
    elif kind == "fifo":
        os.mkfifo(run / ".lock")
    else:
        (run / ".lock").mkdir()
    with pytest.raises(ConfigError):
        hold(run)
    assert precious.read_text() == "precious"


HOLDER = """
import fcntl, sys, time
from pathlib import Path
def no_locks(fd, kind):
    raise OSError(37, "No locks available")
fcntl.flock = no_locks
from nemo_evaluator.results.lock import directory_lock
with directory_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_where_files_cannot_be_locked_the_owner_is_known_by_its_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(fd: int, kind: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    words = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=f"in use by pid {other.pid} on "):
            hold(tmp_path)
        other.kill()
        other.wait()
        hold(tmp_path)  # it is dead


def test_who_asks_whether_a_directory_is_held_takes_it_from_nobody(tmp_path: Path) -> None:
    hold(tmp_path)
    assert not is_held(tmp_path) and owner_of(tmp_path) is None
    with directory_lock(tmp_path):
        assert is_held(tmp_path) and is_holder(os.getpid(), tmp_path)
        assert not is_holder(os.getppid(), tmp_path)
        owner = owner_of(tmp_path)
        assert owner is not None and owner.pid == os.getpid() and owner.here


def test_nothing_is_replaced_in_a_directory_that_is_lost(tmp_path: Path) -> None:
    run, beside = tmp_path / "run", tmp_path / "run-2"
    beside.mkdir()
    with directory_lock(run) as lock:
        replace_file(run / "progress.json", b"mine")
        line = (run / ".lock").read_bytes()
        (run / ".lock").write_bytes(line.replace(b"token=1", b"token=2"))
        with pytest.raises(ConfigError, match="was taken over by pid"):
            replace_file(run / "progress.json", b"late")
        with pytest.raises(ConfigError), replacing(run / "results.jsonl") as file:
            file.write(b"late")
        replace_file(beside / "x", b"not of the run")
        assert lock.lost
    assert {path.name for path in run.iterdir()} >= {".lock", "progress.json"}
    assert (run / "progress.json").read_bytes() == b"mine"
    assert not (run / "results.jsonl").exists() and not list(run.glob(".*partial"))
    replace_file(run / "progress.json", b"of the next one")


def test_a_deleted_name_is_written_again_and_a_late_one_does_not_count(tmp_path: Path) -> None:
    with directory_lock(tmp_path) as lock:
        mine = (tmp_path / ".lock").read_bytes()
        (tmp_path / ".lock").unlink()
        assert not lock.lost and (tmp_path / ".lock").read_bytes() == mine
    with directory_lock(tmp_path) as lock:
        assert lock.owner.token == 2
        own = (tmp_path / ".lock").read_bytes()
        (tmp_path / ".lock").write_bytes(mine)  # of one that was given up, and goes on
        assert not lock.lost and (tmp_path / ".lock").read_bytes() == own
        (tmp_path / ".lock.2").unlink()
        (tmp_path / ".lock").write_bytes(mine)
        assert lock.lost
