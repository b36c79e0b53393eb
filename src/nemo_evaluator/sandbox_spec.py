"""What a problem, a solver or a scorer needs of a sandbox, as data: image, files, limits, network.

It lies below `types`, so that a `Problem` can say which workspace it needs; what a spec means is
decided by the sandboxes (`sandboxes/contract.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from .records import Record

Network = Literal["none", "door", "bridge", "host"]
"""What a sandbox reaches: nothing; our HTTP door and nothing else; what the engine's containers
reach; what this machine reaches."""

UNPRIVILEGED = 65534


class Limits(Record, frozen=True, kw_only=True):
    """What one sandbox may use."""

    timeout: float = 60.0
    """Seconds of wall clock for one ``exec`` that names no other."""
    lifetime: float = 1800.0
    """Seconds after which the engine itself ends a sandbox, whatever became of its owner."""
    memory_mb: int = 1024
    pids: int = 128
    cpus: float = 1.0
    disk_mb: int = 256
    """What can be written, kept in memory: in the working directory, /tmp and /dev/shm together
    (``local``), or in each of them (``docker``, which cannot bound them together)."""
    output_bytes: int = 1 << 20
    """Bytes kept of stdout, and of stderr; the rest is read and dropped."""


class BuildSpec(Record, frozen=True, kw_only=True):
    """An image that is built of a folder of this machine, once for all who need the same."""

    context: str
    """The folder, absolute; its ``.dockerignore`` is honoured."""
    dockerfile: str = "Dockerfile"
    """Path below the folder."""
    args: Mapping[str, str] = {}
    """Build arguments. They can be read in the image's history: no secrets."""
    target: str | None = None
    """Stage to stop at; None: the last one."""
    timeout: float = 1200.0
    """Seconds the build may take."""


class SandboxSpec(Record, frozen=True, kw_only=True):
    """What a problem needs of its sandbox. A backend refuses (ConfigError) what it cannot do."""

    image: str | None = None
    """Container image; None: the backend's default. ``local`` has no images and refuses one."""
    build: BuildSpec | None = None
    """Build the image instead of naming one (``docker``)."""
    cwd: str = "/workspace"
    """Working directory: absolute, empty at the start, writable."""
    env: Mapping[str, str] = {}
    """Added to PATH, HOME (= cwd), LANG and TMPDIR; nothing comes from the host."""
    files: Mapping[str, bytes] = {}
    """Files there from the start; relative paths are below ``cwd``."""
    limits: Limits = Limits()
    network: Network = "none"
    user: int = UNPRIVILEGED
    """User and group id inside."""
    read_only: bool = True
    """False: the whole file system of the image is writable (docker only), and ``cwd`` is the
    image's own folder. Then ``disk_mb`` bounds only /tmp and /dev/shm."""
    plain: bool = False
    """A container as ``docker run`` and ``docker exec`` would have it, for tasks that are made for
    that: user, working directory, variables, entry point and privileges are the image's, all files
    can be written, and what a command leaves running runs on (``docker``). ``cwd`` may be empty
    (the image's), ``user`` does not count."""
    account: str | int | None = None
    """The user of a plain container, by name or number; None: the image's."""
    open_folders: tuple[str, ...] = ()
    """Folders of a plain container that are made at the start, and that everybody may write."""
    stateful: bool = False
    """It is verified in the sandbox it was solved in, unless the configuration says otherwise."""
    folders: tuple[str, ...] = ()
    """Files and folders of this machine that can be read inside, under the same absolute path: what
    the image need not bring (``local``, and ``docker`` on the same machine)."""
    mounts: Mapping[str, str] = {}
    """Further files and folders of this machine, by their path inside, where what is written stays
    (``docker`` on the same machine); ``:ro`` after the path of this machine: read-only."""
    verify_user: int | None = None
    """User who verifies what a solver left, in its workspace or in a fresh sandbox (docker; `local`
    has one user whose files are everybody's). None: the same as ``user``."""


class HandoverSpec(Record, frozen=True, kw_only=True):
    """How the workspace of a problem is made ready, and how what a solver left in it comes to the
    verifier. ``sandbox.capture_cmd`` of the user's configuration wins."""

    verifier: SandboxSpec | None = None
    """The sandbox of the verifier where that is another one; None: one like the workspace."""
    pre_agent_cmd: str | None = None
    """Command in the workspace before the solver starts; by root in a plain container."""
    capture_cmd: str | None = None
    """Command in the workspace that writes a tar archive to its standard output, or to
    ``/output/workspace.tar``; None: the whole working directory is taken."""
    apply_cmd: str | None = None
    """Command in the verifier's sandbox that reads the archive from its standard input, or from
    ``/input/workspace.tar``; None: it takes the place of what is in the working directory."""


class SolverNeeds(Record, frozen=True, kw_only=True):
    """What the engine must arrange for a solver, before anything is paid."""

    sandbox: bool = False
    """A workspace of its own for every attempt."""
    optional: bool = False
    """Only where the configuration names a sandbox; else it works without one, and without a door.
    """
    network: Network = "none"
    """The least its workspace must reach: ``door`` where an agent inside calls the model."""
    folders: tuple[str, ...] = ()
    """Files and folders of this machine with the agent's programs; see ``SandboxSpec.folders``."""
    programs: tuple[str, ...] = ()
    """Commands that its workspace must have."""
    memory_mb: int = 0
    """The least its workspace must have, unless the configuration says less."""
    pids: int = 0
    """Processes and threads that its workspace must allow at least."""
