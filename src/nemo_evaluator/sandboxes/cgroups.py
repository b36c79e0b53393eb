"""Memory, process and CPU limits of local sandboxes through cgroups, where we may write them.

One group per sandbox, named by its owner. Version 2 needs a folder that is ours with the memory
and pids controllers handed down; version 1 needs root. Where there is neither, `find` returns
None and rlimits alone bound a program (per process, not per sandbox).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ..files.owner import Owner, find_owner
from .contract import Limits

_NAME = "nel-sandbox-"
_OVERHEAD = 8
"""Processes of our own in a group: the holder, bubblewrap and its init."""
_PERIOD = 100_000


@dataclass(frozen=True, slots=True)
class Group:
    """The cgroup of one sandbox: a folder per controller, all the same one in version 2."""

    version: int
    folders: dict[str, Path]

    @property
    def places(self) -> list[Path]:
        """The folders, each once."""
        return list(dict.fromkeys(self.folders.values()))

    @property
    def entrances(self) -> list[str]:
        """The files a process writes its pid to in order to enter."""
        return [str(place / "cgroup.procs") for place in self.places]

    def limit(self, limits: Limits) -> None:
        """Set the limits. OSError when the kernel will not have memory or pids."""
        memory = limits.memory_mb << 20
        quota = int(limits.cpus * _PERIOD)
        if self.version == 2:
            self._write("memory", "memory.max", memory)
            self._try("memory", "memory.swap.max", 0)
            self._try("cpu", "cpu.max", f"{quota} {_PERIOD}")
        else:
            self._write("memory", "memory.limit_in_bytes", memory)
            self._try("memory", "memory.memsw.limit_in_bytes", memory)
            self._try("cpu", "cpu.cfs_quota_us", quota)
        self._write("pids", "pids.max", limits.pids + _OVERHEAD)

    def oom_kills(self) -> int:
        """How often the kernel killed something in here for want of memory."""
        events = "memory.events" if self.version == 2 else "memory.oom_control"
        with contextlib.suppress(OSError):
            for line in (self.folders["memory"] / events).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0

    def reached_limit(self) -> bool:
        """Whether what is in here ever had all the memory it may have. If not, something was
        killed because the machine had none left. Where it is not counted: yes."""
        folder = self.folders["memory"]
        try:
            if self.version == 1:  # the count of failures is not kept by every kernel
                most = int((folder / "memory.max_usage_in_bytes").read_text())
                return most >= int((folder / "memory.limit_in_bytes").read_text()) * 0.9
            counts = dict(map(str.split, (folder / "memory.events").read_text().splitlines()))
            return int(counts["oom"]) > 0 or int(counts["max"]) > 0
        except (OSError, ValueError, KeyError):
            return True

    def kill(self) -> bool:
        """Kill all that is in; True when nothing was. May be called again and again."""
        empty = True
        for place in self.places:
            if self.version == 2:
                with contextlib.suppress(OSError):
                    (place / "cgroup.kill").write_text("1")
            for pid in _pids(place):
                empty = False
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        return empty

    def remove(self) -> bool:
        """Remove the empty folders; True when none is left."""
        for place in self.places:
            with contextlib.suppress(OSError):
                place.rmdir()
        return not any(place.exists() for place in self.places)

    def _write(self, controller: str, file: str, value: object) -> None:
        (self.folders[controller] / file).write_text(str(value))

    def _try(self, controller: str, file: str, value: object) -> None:
        """Set what not every kernel has (swap accounting, the cpu controller)."""
        if controller in self.folders:
            with contextlib.suppress(OSError):
                self._write(controller, file, value)


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where groups can be made: the parent folder of each controller."""

    version: int
    parents: dict[str, Path]

    def make(self, owner: Owner, name: str, limits: Limits) -> Group:
        """A new group with its limits set. OSError when the kernel will not have it."""
        group = self._group(f"{_NAME}{owner}-{name}")
        try:
            for place in group.places:
                place.mkdir()
            group.limit(limits)
        except OSError:
            group.remove()
            raise
        return group

    def abandoned(self) -> list[Group]:
        """Groups of owners that are dead."""
        names = {
            entry.name
            for parent in set(self.parents.values())
            for entry in parent.glob(f"{_NAME}*")
            if (owner := find_owner(entry.name.removeprefix(_NAME))) and owner.abandoned
        }
        return [self._group(name) for name in sorted(names)]

    def _group(self, name: str) -> Group:
        folders = {controller: parent / name for controller, parent in self.parents.items()}
        return Group(self.version, folders)


def find(root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> Cgroups | None:
    """Where this process may make groups; None where it may not.

    ``own`` is the text of /proc/self/cgroup: lines ``id:controllers:path``.
    """
    try:
        text = Path("/proc/self/cgroup").read_text() if own is None else own
    except OSError:
        return None
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path.lstrip("/")
    found = _version1(root, paths) if "memory" in paths else _version2(root, paths.get("", ""))
    return found if found is not None and _usable(found) else None


def settle(group: Group, seconds: float = 5.0) -> bool:
    """Kill and remove a group of a dead owner, waiting for its processes to be gone. Blocks."""
    end = time.monotonic() + seconds
    while not (group.kill() and group.remove()):
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def _version1(root: Path, paths: dict[str, str]) -> Cgroups | None:
    parents = {}
    for controller in ("memory", "pids", "cpu"):
        for folder in (root / controller / paths.get(controller, ""), root / controller):
            if os.access(folder, os.W_OK):
                parents[controller] = folder
                break
    return Cgroups(1, parents) if {"memory", "pids"} <= parents.keys() else None


def _version2(root: Path, path: str) -> Cgroups | None:
    """The nearest folder above us that is ours and hands the controllers down."""
    here = root / path
    for folder in (here, *here.parents):
        if not folder.is_relative_to(root):
            return None
        try:
            handed_down = (folder / "cgroup.subtree_control").read_text().split()
        except OSError:
            continue
        # Moving a process takes the right to write at the ancestor that both places share.
        writable = os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)
        if writable and {"memory", "pids"} <= set(handed_down):
            return Cgroups(2, dict.fromkeys(handed_down, folder))
    return None


def _usable(found: Cgroups) -> bool:
    """Whether a group can really be made: access bits lie on read-only mounts."""
    probe = [parent / f"{_NAME}probe-{os.getpid()}" for parent in set(found.parents.values())]
    try:
        for folder in probe:
            folder.mkdir()
    except OSError:
        return False
    finally:
        for folder in probe:
            with contextlib.suppress(OSError):
                folder.rmdir()
    return True


def _pids(folder: Path) -> list[int]:
    try:
        return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    except OSError:
        return []
