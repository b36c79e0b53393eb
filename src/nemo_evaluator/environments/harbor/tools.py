"""The programs that tests are run with are those of the image, whatever an agent did to them.

An agent that may write everywhere can put its own ``python3`` before the image's, or have pytest
say that all is well. Invariant: of what it changed, only what tests are *run with* is set back:
shells and common commands, the Python interpreter with its library, pytest and its like. What it
made, installed or configured otherwise stays: that is its work.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...sandboxes.contract import Change, OfImage, Sandbox, SandboxLost

FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
RUNNERS = frozenset({"pytest", "py.test", "pytest-3", "uv", "uvx", "pip", "pip3", "pipx", "tox"})
"""Programs that tests bring or find, and that no task is about."""
_COMMANDS = """\
sh bash dash env test [ cat echo printf grep egrep fgrep sed awk mawk gawk head tail tr od wc sort
uniq cut diff cmp find xargs ls cp mv rm mkdir rmdir ln chmod chown touch stat id whoami sleep
timeout date tar gzip tee true false dirname basename readlink realpath mktemp kill ps sha256sum
md5sum base64 jq curl wget git perl node npm npx cargo rustc go make python python3
"""
COMMANDS = frozenset(_COMMANDS.split())
SECONDS = 120.0
SHOWN = 20
MANY = 50
"""Changed files of one Python library, from which on it is set back as a whole."""

_PYTHON = re.compile(r"(?P<library>/(?:usr|usr/local|opt/[^/]+|root/[.\w/-]+)/lib/python3?[\d.]*)/")
_OF_TESTS = re.compile(
    r"/(?:site|dist)-packages/(?:_?pytest|pluggy|iniconfig|pip|uv|py\.py|_distutils_hack)(?:/|$)"
)
_STARTED = re.compile(r"/(?:site|user)customize(?:\.py|/|$)|/__pycache__/(?:site|user)customize\.")
_PACKAGES = re.compile(r"/(?:site|dist)-packages(?:/|$)")
_LIBRARY_SHADOWS = re.compile(r"/(?:_?pytest|pluggy|iniconfig)(?:\.py)?(?:/|$)")
_AT_ROOT = re.compile(
    r"/(?:conftest\.py|pytest\.ini|\.pytest\.ini|tox\.ini|setup\.cfg|setup\.py|pyproject\.toml)"
)
"""What pytest reads of the root folder: it takes that for the project's."""
_SHADOWS = ("pytest", "pytest.py", "_pytest", "pluggy", "iniconfig", "unittest", "unittest.py")
"""What ``python -m pytest`` would import of the working directory instead of the real one."""
_REMOVE = """\
while read -r kind path others; do
  case $kind in
    shadow) for one in $others; do [ -e "$one" ] && kind=remove; done ;;
    pth) grep -q '^import[[:space:]]' "$path" &&
      ! grep -qE '^import __editable___[[:alnum:]_]+_finder; __editable' "$path" && kind=remove ;;
  esac
  [ "$kind" = remove ] && rm -rf -- "$path" && echo "$path"
done
exit 0
"""


@dataclass(slots=True)
class Plan:
    """What is to be done about changes."""

    restored: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """For our script: what is removed, always or under a condition."""


async def set_back(sandbox: Sandbox) -> tuple[str, ...]:
    """Set back what tests are run with, in a sandbox in which nothing runs; what that was. Raises
    SandboxLost."""
    if not isinstance(sandbox, OfImage):
        return ()
    plan = plan_of(await sandbox.changes(), sandbox.spec.cwd, sandbox.programs)
    if not plan.restored and not plan.lines:
        return ()
    if plan.restored:
        await sandbox.set_back(plan.restored)
    done = await sandbox.exec(
        ["sh", "-c", _REMOVE],
        stdin="".join(f"{line}\n" for line in plan.lines).encode(),
        user=0,
        cwd="/",
        timeout=SECONDS,
    )
    if not done.ok:
        raise SandboxLost(f"programs of the tests cannot be set back: {done.stderr.strip()[:300]}")
    return (*plan.restored, *done.stdout.splitlines())


def plan_of(changes: Sequence[Change], cwd: str, programs: Sequence[str] = ()) -> Plan:
    """What is to be set back of what is not as in the image; ``programs`` are what the container
    runs by itself, which an agent may have made its own.

    >>> added = [Change(path=p, added=True) for p in ("/usr/local/bin/pytest", "/app/x.py")]
    >>> plan_of([*added, Change(path="/usr/bin/python3.11", added=False)], "/app")
    Plan(restored=['/usr/bin/python3.11'], lines=['remove /usr/local/bin/pytest'])
    """
    plan = Plan()
    folders = _folders(changes)
    added = {change.path for change in changes if change.added}
    for change in changes:
        path = change.path
        if " " in path or "\n" in path:
            continue
        if path == "/etc/ld.so.preload":
            plan.restored.append(path)
        elif not change.added:
            started = path in programs or posixpath.basename(path) in programs
            if path not in folders and (started or _is_of_tests(path)):
                plan.restored.append(path)
        elif (line := _removal(path, added, cwd)) is not None:
            plan.lines.append(line)
    plan.restored = _by_library(plan.restored)
    return plan


def _by_library(paths: Sequence[str]) -> list[str]:
    """The paths; many of one Python library as the library."""
    libraries = Counter(match["library"] for path in paths if (match := _PYTHON.match(path)))
    whole = [library for library, count in libraries.items() if count > MANY]
    left = [path for path in paths if not path.startswith(tuple(f"{one}/" for one in whole))]
    return [*whole, *left]


def _is_of_tests(path: str) -> bool:
    """Whether a file of the image is one that tests are run with."""
    folder, _, name = path.rpartition("/")
    if folder in FOLDERS or folder.endswith("/.local/bin"):
        return _is_command(name)
    if _OF_TESTS.search(path) or _STARTED.search(path) or _AT_ROOT.fullmatch(path):
        return True
    return bool(_PYTHON.match(path)) and not _PACKAGES.search(path)


def _removal(path: str, added: set[str], cwd: str) -> str | None:
    """What is to be done about a path that is not in the image."""
    folder, _, name = path.rpartition("/")
    if folder in FOLDERS or folder.endswith("/.local/bin"):
        if name in RUNNERS:
            return f"remove {path}"
        if not _is_command(name):
            return None
        others = [f"{one}/{name}" for one in FOLDERS if f"{one}/{name}" not in added]
        return f"shadow {path} {' '.join(others)}"
    if path.endswith(".pth") and _PACKAGES.search(path):
        return f"pth {path}"
    if _AT_ROOT.fullmatch(path) or _STARTED.search(path):
        return f"remove {path}"
    if folder == cwd.rstrip("/") and name in _SHADOWS:
        return f"remove {path}"
    return f"remove {path}" if _misleads(path, added) else None


def _misleads(path: str, added: set[str]) -> bool:
    """Whether a file that was put into the image's own Python library takes another's place."""
    library = _PYTHON.match(path)
    if not library or _PACKAGES.search(path) or library["library"] in added:
        return False
    folder, cached, name = path.partition("/__pycache__/")
    if cached:
        source = f"{folder}/{name.partition('.')[0]}.py"
        return folder not in added and source not in added
    return bool(_LIBRARY_SHADOWS.match(path[len(library["library"]) :]))


def _is_command(name: str) -> bool:
    return name in COMMANDS or name in RUNNERS or bool(re.fullmatch(r"python3\.\d+", name))


def _folders(changes: Iterable[Change]) -> set[str]:
    """Paths that are folders, by what is in them."""
    found: set[str] = set()
    for change in changes:
        parts = change.path.split("/")
        found.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    return found
