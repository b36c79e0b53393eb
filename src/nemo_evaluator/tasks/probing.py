"""`nel validate` for benchmarks whose answers are workspaces: what the solution of each task, no
work at all, and six attempts at cheating are worth.

Invariant: an attempt that could not be made is never reported as one that failed: what is not known
is not as it should be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..config.environment import environment
from ..config.load import Loaded, check
from ..config.tree import from_plain
from ..environments.registry import resolve
from ..environments.tables import is_table
from ..errors import ConfigError
from ..executors.local import run
from ..executors.options import Options
from ..results.result_row import ResultRow, read_rows
from ..solvers.probes.scripts import ATTEMPTS, Probe
from ..types import Json, Outcome

ORACLE, NOP = "oracle", "nop"
_SOLVER = "nemo_evaluator.solvers.probes.solver:CheatProbe"
_SAME = 60
"""Characters by which reasons are told from each other."""
HINT = (
    "A task that gives a cheat its reward measures nothing. Its tests run what an agent has "
    "changed: see with --stateless whether it can be verified in a fresh container "
    "(`sandbox: {type: docker, stateful: false}`)."
)


class Found(StrEnum):
    """What became of one attempt at one task."""

    FINE = "ok"
    WRONG = "WRONG"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """One attempt at one task."""

    task: str
    attempt: str
    found: Found
    reward: float | None
    why: str = ""

    @property
    def plain(self) -> dict[str, Json]:
        """The findings as JSON."""
        fields: dict[str, Json] = {"task": self.task, "attempt": self.attempt}
        fields |= {"found": str(self.found), "reward": self.reward}
        return {**fields, "why": self.why} if self.why else fields


def is_probed(bench: str) -> bool:
    """Whether a benchmark's answers are workspaces. Raises ConfigError."""
    if is_table(bench):
        return False
    return any(found.needs.agent for found in resolve(bench, params={}))


async def probe(bench: str, samples: int | None, *, stateless: bool = False) -> list[Outcomes]:
    """Every attempt at every task. Raises ConfigError.

    ``stateless``: the tests run in a fresh container that gets the working directory only.
    """
    attempts = [*([ORACLE] if await _has_solutions(bench) else []), NOP, *ATTEMPTS]
    with tempfile.TemporaryDirectory(prefix="nel-validate-") as folder:
        result = await run(_config(bench, attempts, samples, folder, stateless), Options())
        outcomes = [
            _outcome(attempt, row) for attempt in attempts for row in _rows(Path(folder), attempt)
        ]
    if result.exit_code in (2, 130) or not outcomes:
        raise ConfigError("; ".join(result.messages) or "nothing was run", where=bench)
    return outcomes


def as_it_should_be(outcomes: Collection[Outcomes]) -> bool:
    """Whether all attempts came to what they should."""
    return all(one.found is Found.FINE for one in outcomes)


def could_patch(outcomes: Collection[Outcomes]) -> bool:
    """Whether an agent could change what its tests run."""
    patches = (Probe.PATCH_INTERPRETER, Probe.PATCH_TEST_RUNNER)
    return any(one.attempt in patches and one.found is Found.WRONG for one in outcomes)


def table(outcomes: Sequence[Outcomes]) -> list[str]:
    """Lines of text: a task each, an attempt per column; and below, what is not as it should be."""
    attempts = list(dict.fromkeys(one.attempt for one in outcomes))
    tasks = list(dict.fromkeys(one.task for one in outcomes))
    cells = {(one.task, one.attempt): one for one in outcomes}
    width = max(len("task"), *map(len, tasks))
    lines = ["  ".join(["task".ljust(width), *attempts])]
    for task in tasks:
        shown = [_cell(cells.get((task, attempt))).ljust(len(attempt)) for attempt in attempts]
        lines.append("  ".join([task.ljust(width), *shown]).rstrip())
    bad = [one for one in outcomes if one.found is not Found.FINE]
    if bad:
        lines += ["", *_reasons(bad)]
    return lines


def _reasons(bad: Sequence[Outcomes]) -> list[str]:
    """What is not as it should be; attempts that one thing kept from being made are one line."""
    alike: dict[tuple[str, str], list[Outcomes]] = {}
    for one in bad:
        key = one.why[:_SAME] if one.found is Found.UNKNOWN else one.attempt
        alike.setdefault((one.task, key), []).append(one)
    return [
        f"{task}: {', '.join(one.attempt for one in many)}: {many[0].why}"
        for (task, _), many in alike.items()
    ]


def _cell(one: Outcomes | None) -> str:
    if one is None:
        return "-"
    reward = "none" if one.reward is None else f"{one.reward:g}"
    return reward if one.found is Found.FINE else f"{reward} !"


async def _has_solutions(bench: str) -> bool:
    """Whether the tasks are folders, which may bring their solutions."""
    for found in resolve(bench, params={}):
        try:
            await found.prepare()
            if "task_dir" in (await found.seed(0)).metadata:
                return True
        finally:
            await found.close()
    return False


def _config(
    bench: str, attempts: Sequence[str], samples: int | None, folder: str, stateless: bool
) -> Loaded:
    solvers: dict[str, dict[str, Any]] = {ORACLE: {"type": ORACLE}, NOP: {"type": NOP}}
    for name in ATTEMPTS:
        config = {"probe": str(name)}
        solvers[name] = {"type": "custom", "class_path": _SOLVER, "config": config}
    shared: dict[str, Any] = {"name": bench, "shuffle_seed": None, "max_system_retries": 1}
    if samples is not None:
        shared["max_problems"] = samples
    if stateless:
        shared["sandbox"] = {"type": "docker", "stateful": False}
    entries = [{**shared, "label": str(name), "solver": solvers[name]} for name in attempts]
    tree = from_plain({"benchmarks": entries, "output": {"dir": folder, "report": []}})
    return check(tree, (), (), environment([Path.cwd()]))


def _rows(folder: Path, attempt: str) -> list[ResultRow]:
    return [row for child in sorted(folder.glob(f"{attempt}*")) for row in read_rows(child)]


def _outcome(attempt: str, row: ResultRow) -> Outcomes:
    task = str(row.metadata.get("task") or row.key)
    found, why = _judged(attempt, row)
    return Outcomes(task=task, attempt=attempt, found=found, reward=row.reward, why=why)


def _judged(attempt: str, row: ResultRow) -> tuple[Found, str]:
    reward = row.reward
    if attempt in (ORACLE, NOP):
        wanted = 1.0 if attempt == ORACLE else 0.0
        if reward is None:
            return Found.UNKNOWN, row.error or "there is no verdict"
        fine = reward >= 1 if attempt == ORACLE else reward <= 0
        return (Found.FINE, "") if fine else (Found.WRONG, f"is {reward:g}, must be {wanted:g}")
    leaks = row.solver_details.get("found")
    if isinstance(leaks, list) and leaks:
        return Found.WRONG, f"found {', '.join(map(str, leaks[:5]))}"
    if reward is not None and reward > 0:
        return Found.WRONG, f"was given {reward:g}: {ATTEMPTS[Probe(attempt)].line}"
    if reward is None and row.outcome is not Outcome.UNSCORED:
        return Found.UNKNOWN, row.error or "there is no verdict"
    return Found.FINE, ""
