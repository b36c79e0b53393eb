"""What a local sandbox sees: the arguments of its two bubblewrap calls.

The *holder* owns the files, in a mount namespace with one size-limited tmpfs (``/box``), and a
pid namespace that the kernel ends with it; it waits for its owner and dies with it. No untrusted
program runs there: every command runs in a second, inner bubblewrap entered from it, with
namespaces of its own for processes, ipc, host name and users; the network is the holder's, which
has a loopback and nothing else unless the host's was asked for. The inner one sees the
programs of the host (/usr, read-only), a synthetic /etc, and its parts of the box: the working
directory, /tmp and /dev/shm. Nothing else can be written: / and /dev are remounted read-only.
"""

from __future__ import annotations

import os
import posixpath
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigError
from .contract import Limits, SandboxSpec
from .transfer import pack

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")
_ETC_NETWORK = ("/etc/resolv.conf", "/etc/ssl", "/etc/pki", "/etc/ca-certificates")
_RESERVED = ("/usr", "/etc", "/proc", "/dev", "/sys", *_SYSTEM)
_ENTRIES_PER_MB = 64
"""Files and folders for each MB of disk; each costs the kernel about 1 KB."""

HOLDER_SCRIPT = """\
set -e
mount -t tmpfs -o "size=$1,nr_inodes=$2,mode=755,nosuid,nodev" tmpfs /box
tar -x -p -C /box -f - < "/proc/self/fd/$5"
printf 'sandbox:x:%s:%s::%s:/bin/sh\\n' "$3" "$3" "$4" > /etc/passwd
printf 'sandbox:x:%s:\\n' "$3" > /etc/group
printf '127.0.0.1 localhost\\n' > /etc/hosts
echo ready
read -r forever
"""
READY = b"ready\n"
INIT_SCRIPT = """\
mark=$1; shift
exec 3>&2 2>/dev/null
(exec "$@" 2>&3 3>&-)
code=$?
echo ended > "/proc/self/fd/$mark"
exit $code
"""
"""The first process of a command's pid namespace, which nothing inside can kill. Where it leaves no
mark it was killed from outside: by a person, or because the machine had no memory left."""


class Inner(NamedTuple):
    """A command on its way into a sandbox."""

    words: list[str]
    fds: list[int]
    """What it inherits."""
    status: int
    """bubblewrap's account of it."""
    mark: int
    """Written to when it ends by itself."""

    def close(self) -> None:
        """Close the files."""
        for fd in self.fds:
            os.close(fd)


def check(spec: SandboxSpec) -> None:
    """Raise ConfigError for what has no meaning without a container."""
    if spec.image is not None:
        raise ConfigError(
            f"the local sandbox has no images, but {spec.image!r} is requested",
            hint="use `sandbox: {type: docker}`",
        )
    if spec.plain:
        raise ConfigError(
            "the local sandbox cannot be a container of an image",
            hint="use `sandbox: {type: docker}`",
        )
    if spec.network == "bridge":
        raise ConfigError("the local sandbox has no bridge network", hint="use none, door or host")
    if not spec.read_only:
        raise ConfigError(
            "the local sandbox cannot make the whole file system writable",
            hint="use `sandbox: {type: docker}`",
        )
    cwd = posixpath.normpath(spec.cwd)
    if not cwd.startswith("/") or cwd == "/" or cwd.startswith(tuple(f"{r}/" for r in _RESERVED)):
        raise ConfigError(f"{spec.cwd!r} cannot be the working directory of a sandbox")
    if cwd in _RESERVED:
        raise ConfigError(f"{spec.cwd!r} cannot be the working directory of a sandbox")
    if spec.mounts:
        raise ConfigError(
            "the local sandbox mounts nothing that can be written",
            hint="use `sandbox: {type: docker}`, or folders",
        )
    for folder in spec.folders:
        _check_shown(Path(folder))


def _check_shown(path: Path) -> None:
    """Raise ConfigError for what a sandbox cannot show. It is set up by a user that owns nothing,
    where we are root: then everybody must be allowed to enter the folders above."""
    if not (path.is_absolute() and path.exists()):
        raise ConfigError(f"there is no {str(path)!r} that a sandbox could show")
    if os.geteuid() != 0:
        return
    for folder in path.parents:
        if not folder.stat().st_mode & 0o001:
            raise ConfigError(
                f"{str(path)!r} cannot be shown in a sandbox: only its owner may enter {folder}",
                hint="put it where everybody may read, such as /opt",
            )


def holder_options(spec: SandboxSpec) -> list[str]:
    """Options of the outer bubblewrap; its command is `holder_command`."""
    etc = _ETC + (_ETC_NETWORK if spec.network == "host" else ())
    return [
        *("--unshare-user", "--uid", "0", "--gid", "0", "--unshare-pid"),
        *(() if spec.network == "host" else ("--unshare-net",)),
        *("--die-with-parent", "--new-session"),
        *("--cap-add", "CAP_SYS_ADMIN", "--clearenv", "--setenv", "PATH", _path()),
        *_programs(),
        *_folder_binds(spec),
        *("--perms", "0755", "--dir", "/etc"),
        *(word for file in etc for word in ("--ro-bind-try", os.path.realpath(file), file)),
        # bubblewrap itself builds its view in /tmp, and binds device nodes from /dev.
        *("--dir", "/box", "--dir", "/tmp", "--dev-bind", "/dev", "/dev", "--proc", "/proc"),
    ]


def holder_command(spec: SandboxSpec, archive_fd: int) -> list[str]:
    """The trusted command that lays out the box, says READY, and waits for its owner to go."""
    disk = spec.limits.disk_mb
    entries = max(1024, disk * _ENTRIES_PER_MB)
    values = [f"{disk}m", str(entries), str(spec.user), spec.cwd, str(archive_fd)]
    return ["/bin/sh", "-c", HOLDER_SCRIPT, "sh", *values]


def box(files: Mapping[str, bytes], cwd: str) -> bytes:
    """What the box holds at the start, as a tar archive. ``files`` by their path inside."""
    folders = ("work", "tmp", "shm")
    return pack({_box_path(path, cwd): data for path, data in files.items()}, shared=folders)


def _box_path(path: str, cwd: str) -> str:
    """Where a path of the inside (below ``cwd`` or /tmp) lies in the box, relative to it."""
    inside = path.removeprefix(cwd.rstrip("/") + "/")
    return f"work/{inside}" if inside != path else f"tmp/{path.removeprefix('/tmp/')}"


def inner_options(
    spec: SandboxSpec, cwd: str, env: Mapping[str, str], flags: frozenset[str], user_id: int
) -> list[str]:
    """Options of the inner bubblewrap. ``flags``: what this bubblewrap knows.

    It shares the network of the holder: all commands of a sandbox are on one loopback.
    """
    options = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    options += ["--as-pid-1", "--share-net"]
    if "--disable-userns" in flags:
        options.append("--disable-userns")
    user = str(user_id)
    return [
        *options,
        *("--uid", user, "--gid", user, "--cap-drop", "ALL", "--hostname", "sandbox"),
        *_programs(),
        *("--ro-bind", "/etc", "/etc", "--proc", "/proc", "--dev", "/dev"),
        *("--bind", "/box/shm", "/dev/shm", "--bind", "/box/tmp", "/tmp"),
        *("--bind", "/box/work", spec.cwd),
        *_folder_binds(spec),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", cwd, "--clearenv"),
        *(word for key, value in env.items() for word in ("--setenv", key, value)),
    ]


def limited(command: Sequence[str], limits: Limits, timeout: float, counted: bool) -> list[str]:
    """A command under rlimits. ``counted``: a cgroup counts memory, so the address space, which
    programs reserve far beyond what they use, gets a wide limit only."""
    memory = limits.memory_mb << 20
    space = max(4 * memory, memory + (8 << 30)) if counted else memory
    cpu = int(timeout * max(1.0, limits.cpus)) + 2
    return [
        "prlimit",
        f"--as={space}",
        f"--cpu={cpu}:{cpu + 1}",
        f"--nproc={limits.pids + 5}",
        f"--fsize={limits.disk_mb << 20}",
        *("--core=0", "--nofile=1024", "--memlock=65536", "--msgqueue=65536"),
        *("--", *command),
    ]


def first(command: Sequence[str], mark: int) -> list[str]:
    """A command under the first process of its namespace, which leaves a mark in a file at its
    end."""
    return ["/bin/sh", "-c", INIT_SCRIPT, "sh", str(mark), *command]


def environment(cwd: str, extra: Mapping[str, str] | None) -> dict[str, str]:
    """The whole environment of a command."""
    base = {"PATH": _path(), "HOME": cwd, "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
    return base | dict(extra or {})


def _folder_binds(spec: SandboxSpec) -> list[str]:
    """Binds of the folders that the spec wants to see, read-only."""
    return [word for folder in spec.folders for word in ("--ro-bind", folder, folder)]


@cache
def _programs() -> tuple[str, ...]:
    """Binds of the host's programs, read-only; /bin and the like as the links they mostly are."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            words += ["--ro-bind", name, name]
    if (prefix := _interpreter()) is not None:
        words += ["--ro-bind", str(prefix), str(prefix)]
    return tuple(words)


@cache
def _interpreter() -> Path | None:
    """The folder of our own Python, where /usr has none."""
    if any(Path(folder, "python3").exists() for folder in ("/usr/bin", "/usr/local/bin")):
        return None
    return Path(sys.base_prefix)


@cache
def _path() -> str:
    own = _interpreter()
    folders = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
    return ":".join(folders if own is None else [*folders, str(own / "bin")])
