"""Two processes never write one run directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.lock import directory_lock, reading_lock


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
