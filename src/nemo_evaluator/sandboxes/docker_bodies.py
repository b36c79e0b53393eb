"""What the Docker engine is told: the container of a sandbox, and one command in it."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..files.owner import LABEL
from ..types import Json
from .contract import SandboxSpec

Body = dict[str, Any]
_OVERHEAD = 8
"""Processes of our own in a container: init, the sleep, and those of a transfer."""
_PLAIN_PIDS = 4096
"""Processes in a plain container, at least: orphans stay in the table, as they do with Docker."""


def container_body(
    spec: SandboxSpec,
    image: str,
    owner: str,
    volumes: Sequence[str],
    security: list[str],
    *,
    binds: Sequence[str] = (),
) -> Body:
    """The container of a sandbox; ``volumes`` are those of its image."""
    limits = spec.limits
    memory = limits.memory_mb << 20
    # The spec's own variables may be secrets: they go with each command, never where
    # `docker inspect` shows them.
    env = {"HOME": spec.cwd, "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
    return {
        "Image": image,
        "Entrypoint": ["sleep", str(int(limits.lifetime) + 1)],
        "Cmd": [],
        "User": "0:0",
        "WorkingDir": "/",
        "Env": [f"{key}={value}" for key, value in env.items()],
        "Labels": {LABEL: owner},
        "Hostname": "sandbox",
        "NetworkDisabled": spec.network == "none",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            # The door is a listener of ours; there is nothing else in the network.
            "NetworkMode": "none" if spec.network == "door" else spec.network,
            "AutoRemove": True,
            # Root may signal the sleep too, unless that is pid 1 itself.
            "Init": 0 not in (spec.user, spec.verify_user),
            "Binds": [*binds, *_binds(spec)],
            "ReadonlyRootfs": spec.read_only,
            "Tmpfs": _tmpfs(spec, volumes),
            "ShmSize": limits.disk_mb << 20,
            "Memory": memory,
            "MemorySwap": memory,
            "PidsLimit": limits.pids + _OVERHEAD,
            "NanoCpus": int(limits.cpus * 1e9),
            "CapDrop": ["ALL"],
            "SecurityOpt": security,
            "IpcMode": "private",
            "OomScoreAdj": 1000,
            "Ulimits": [
                {"Name": "core", "Soft": 0, "Hard": 0},
                {"Name": "nofile", "Soft": 1024, "Hard": 1024},
                {"Name": "msgqueue", "Soft": 65536, "Hard": 65536},
                {"Name": "fsize", "Soft": limits.disk_mb << 20, "Hard": limits.disk_mb << 20},
            ],
            "LogConfig": {"Type": "none"},
        },
    }


def plain_body(
    spec: SandboxSpec,
    image: str,
    owner: str,
    security: list[str],
    *,
    user: str,
    entrypoint: Sequence[str],
    binds: Sequence[str] = (),
) -> Body:
    """The container of a ``plain`` sandbox: that of any other, less what confines its programs.
    ``user`` and ``entrypoint`` are the image's."""
    body = container_body(spec, image, owner, (), security, binds=binds)
    idle = _idle(spec, body["Entrypoint"])
    host = body["HostConfig"] | {
        # An engine may take a restart for an end, and remove the container under it.
        "AutoRemove": False,
        "Init": False,
        "PidsLimit": max(_PLAIN_PIDS, spec.limits.pids),
        "ReadonlyRootfs": False,
        "Tmpfs": {},
        "CapDrop": ["NET_RAW", "MKNOD", "AUDIT_WRITE"],
    }
    host["Ulimits"] = [limit for limit in host["Ulimits"] if limit["Name"] != "nofile"]
    # An entry point may start what the task is about; it ends by becoming what it is given.
    started = {"Entrypoint": [*entrypoint], "Cmd": idle, "User": user} if entrypoint else {}
    own = {"Entrypoint": idle, "WorkingDir": spec.cwd, "Env": [], "HostConfig": host}
    return body | own | started


def _idle(spec: SandboxSpec, sleep: Sequence[str]) -> list[str]:
    """What a plain container runs by itself: it makes its open folders, and sleeps. Its programs
    are the image's, not what an agent has put before them."""
    folders = " ".join(map(shlex.quote, spec.open_folders))
    made = f"mkdir -p {folders} && chmod 1777 {folders}; " if folders else ""
    return ["/bin/sh", "-c", f"PATH=/bin:/usr/bin; {made}exec {shlex.join(sleep)}"]


def _binds(spec: SandboxSpec) -> list[str]:
    """What the container sees of this machine."""
    shown = [f"{folder}:{folder}:ro" for folder in spec.folders]
    for inside, path in spec.mounts.items():
        here = path.removesuffix(":ro")
        shown.append(f"{here}:{inside}{':ro' if here != path else ''}")
    return shown


def _tmpfs(spec: SandboxSpec, volumes: Sequence[str]) -> dict[str, str]:
    """Mounts for all that may be written; volumes of the image too, which are on disk else."""
    disk = spec.limits.disk_mb
    options = f"rw,nosuid,nodev,exec,size={disk}m,nr_inodes={max(1024, 64 * disk)},mode=1777"
    places = ["/tmp", *volumes, *([spec.cwd] if spec.read_only else [])]
    return dict.fromkeys(places, options)


def exec_body(
    spec: SandboxSpec,
    argv: Sequence[str],
    user: int,
    cwd: str = "",
    env: Mapping[str, str] | None = None,
) -> dict[str, Json]:
    """What the engine is told of one command."""
    return {
        "Cmd": list(argv),
        # In a plain container a user has the groups that the image gives them.
        "User": f"{user}" if spec.plain else f"{user}:{user}",
        "WorkingDir": posixpath.join(spec.cwd, cwd),
        "Env": [f"{key}={value}" for key, value in (env or {}).items()],
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
    }


def confines_vsock(version: Mapping[str, Any]) -> bool:
    """Whether the engine's own seccomp profile keeps programs from the hypervisor's sockets.

    Docker's does since 23.0 (moby pull request 44562); of others that is not known.
    """
    names = [part.get("Name", "") for part in version.get("Components") or ()]
    major = str(version["Version"]).partition(".")[0]
    return "Engine" in names and major.isdigit() and int(major) >= 23
