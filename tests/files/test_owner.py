"""Labels of owners: who made a sandbox, and whether that process is no more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.files.owner import Owner, find_owner, this_process


@given(st.text(max_size=80))
def test_a_label_is_read_back_from_whatever_surrounds_it(run: str) -> None:
    owner = this_process(run)
    assert find_owner(str(owner)) == owner
    assert find_owner(f"--setenv NEL {owner} -- x") == owner
    assert find_owner(f"/sys/fs/cgroup/{owner}-12") == owner


@given(st.text(max_size=200))
def test_other_text_is_none_or_a_label(text: str) -> None:
    owner = find_owner(text)
    assert owner is None or str(owner) in text


def test_we_are_alive_and_whoever_used_our_pid_before_is_not() -> None:
    me = this_process("r")
    assert me.pid == os.getpid() and not me.abandoned
    assert me._replace(start=me.start - 1).abandoned
    assert me._replace(boot="0" * 8).abandoned


def test_what_another_place_made_is_not_judged() -> None:
    me = this_process("r")
    assert not me._replace(place="0" * 12, pid=999_999_999).abandoned


def test_a_dead_process_is_abandoned_even_as_a_zombie() -> None:
    code = "from nemo_evaluator.files.owner import this_process as t; print(t('child'))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        label = child.stdout.read().decode()
        owner = find_owner(label)
        assert owner is not None and owner.pid == child.pid
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert owner.abandoned
    assert owner.abandoned


@pytest.mark.parametrize("run", ["", None])
def test_without_a_run_there_is_a_name(run: str | None) -> None:
    assert this_process(run).run
    assert this_process(run) != this_process(run) or run is not None


def test_owner_is_a_plain_tuple() -> None:
    assert str(Owner("r", "0" * 12, "1" * 8, 1, 2)) == f"r.{'0' * 12}.{'1' * 8}.1.2"
