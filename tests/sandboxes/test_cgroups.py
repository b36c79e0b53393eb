"""Where cgroups are looked for and what is written to them, on folders that look like it.

The kernel's part (that the limits hold) is shown by the hostile programs, where it has cgroups.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nemo_evaluator.files.owner import this_process
from nemo_evaluator.sandboxes import Limits, cgroups

LIMITS = Limits(memory_mb=64, pids=10, cpus=1.5)


@pytest.fixture
def version2(tmp_path: Path) -> Path:
    ours = tmp_path / "user.slice" / "service"
    (ours / "scope").mkdir(parents=True)
    for folder, handed in ((tmp_path, ""), (ours, "cpu memory pids"), (ours / "scope", "")):
        (folder / "cgroup.subtree_control").write_text(handed)
        (folder / "cgroup.procs").write_text("")
    return tmp_path


def test_version_2_uses_the_nearest_folder_that_hands_controllers_down(version2: Path) -> None:
    found = cgroups.find(version2, "0::/user.slice/service/scope\n")
    assert found is not None and found.version == 2
    assert set(found.parents.values()) == {version2 / "user.slice" / "service"}
    group = found.make(this_process("run"), "1", LIMITS)
    (place,) = group.places
    assert place.name.startswith("nel-sandbox-run.")
    assert (place / "memory.max").read_text() == str(64 << 20)
    assert (place / "memory.swap.max").read_text() == "0"
    assert (place / "cpu.max").read_text() == "150000 100000"
    assert int((place / "pids.max").read_text()) >= 10
    assert group.entrances == [str(place / "cgroup.procs")]
    assert group.oom_kills() == 0
    (place / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert group.oom_kills() == 2 and group.reached_limit()
    (place / "memory.events").write_text("low 0\nmax 0\noom 0\noom_kill 2\n")
    assert not group.reached_limit()  # the machine had no memory left


def test_version_2_without_controllers_is_none(version2: Path) -> None:
    (version2 / "user.slice" / "service" / "cgroup.subtree_control").write_text("cpu")
    assert cgroups.find(version2, "0::/user.slice/service/scope\n") is None
    assert cgroups.find(version2 / "absent", "0::/\n") is None


def test_version_1_has_a_folder_per_controller(tmp_path: Path) -> None:
    for controller in ("memory", "pids", "cpu"):
        (tmp_path / controller).mkdir()
    own = "9:memory:/absent\n8:pids:/\n7:cpu,cpuacct:/\n1:name=systemd:/\n"
    found = cgroups.find(tmp_path, own)
    assert found is not None and found.version == 1
    group = found.make(this_process("run"), "1", LIMITS)
    assert len(group.places) == 3
    memory = group.folders["memory"]
    (memory / "memory.max_usage_in_bytes").write_text("1000")
    assert not group.reached_limit()
    (memory / "memory.max_usage_in_bytes").write_text(str(64 << 20))
    assert group.reached_limit()
    assert (memory / "memory.limit_in_bytes").read_text() == str(64 << 20)
    assert (group.folders["cpu"] / "cpu.cfs_quota_us").read_text() == "150000"
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\noom_kill 1\n")
    assert group.oom_kills() == 1


def test_groups_of_the_dead_are_found_and_those_of_the_living_are_not(version2: Path) -> None:
    found = cgroups.find(version2, "0::/user.slice/service/scope\n")
    assert found is not None
    me = this_process("run")
    dead = me._replace(start=me.start - 1)
    found.make(me, "1", LIMITS)
    left = found.make(dead, "2", LIMITS)
    assert [group.places for group in found.abandoned()] == [left.places]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_ours_is_none(version2: Path) -> None:
    (version2 / "user.slice" / "service").chmod(0o500)
    assert cgroups.find(version2, "0::/user.slice/service/scope\n") is None


def test_a_group_is_removed_when_nothing_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    group = cgroups.Group(1, {"memory": tmp_path / "g", "pids": tmp_path / "g"})
    assert group.kill() and group.remove()
    assert not (tmp_path / "g").exists()
