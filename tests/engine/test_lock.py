"""Two processes never write one run directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nemo_evaluator.engine.lock import directory_lock
from nemo_evaluator.errors import ConfigError


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
