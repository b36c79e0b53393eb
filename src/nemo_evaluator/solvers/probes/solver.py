"""The solver that tries to cheat in one way. It is named by `nel validate` only."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import ConfigError
from ...types import Json, Problem, Solution
from ..contract import SolverNeeds, SolveTools
from .scripts import ATTEMPTS, Probe

SECONDS = 300.0
FOUND = "FOUND "
_HIDDEN, _SHOWN = ("tests", "solution", "steps"), ("environment",)
_SCRIPTS = (".sh", ".py")
_SMALL = 16
"""Bytes below which a file says nothing."""
_MOST = 200
"""Files that are looked for."""


class CheatProbe:
    """Runs the script of one attempt in the workspace, as an agent would."""

    needs = SolverNeeds(sandbox=True)

    def __init__(self, probe: str) -> None:
        try:
            self._probe = Probe(probe)
        except ValueError:
            raise ConfigError(
                f"there is no probe {probe!r}", hint=f"known: {', '.join(Probe)}"
            ) from None

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """What the script printed, and in ``details`` what it found."""
        assert tools.workspace is not None  # it needs one
        folder = problem.metadata.get("task_dir")
        env = {}
        if self._probe is Probe.READ_TESTS and isinstance(folder, str):
            env["NEL_SECRET_FILES"] = await asyncio.to_thread(_secrets, Path(folder))
        done = await tools.workspace.sandbox.exec(
            ATTEMPTS[self._probe].script, timeout=SECONDS, env=env
        )
        found = [
            line.removeprefix(FOUND) for line in done.stdout.splitlines() if line.startswith(FOUND)
        ]
        return Solution(response=done.stdout, calls=0, tries=0, details={"found": found})

    def identity(self) -> Mapping[str, Json]:
        """Which attempt this is."""
        return {"type": "cheat-probe", "probe": self._probe}

    async def close(self) -> None:
        """Nothing to release."""


def _secrets(folder: Path) -> str:
    """Size, digest and name of each file that an agent must not see. Blocks."""
    shown = {digest for _, digest, _ in _files(folder, _SHOWN)}
    # Data may be in the environment too; a test or a solution that is there is a leak.
    hidden = [
        (size, digest, name)
        for size, digest, name in _files(folder, _HIDDEN)
        if digest not in shown or name.endswith(_SCRIPTS)
    ]
    return "\n".join(f"{size} {digest} {name}" for size, digest, name in hidden[:_MOST])


def _files(folder: Path, names: tuple[str, ...]) -> Iterator[tuple[int, str, str]]:
    for name in names:
        for path in sorted((folder / name).rglob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_size >= _SMALL:
                data = path.read_bytes()
                relative = path.relative_to(folder).as_posix()
                yield len(data), hashlib.sha256(data).hexdigest(), relative
