"""How a run ended: one rule for runs, resumed runs, merged shards and rescorings.

What the user must fix comes first (2), then an interrupt (130, 143), then what is missing (3), then
a coverage below what was asked for (1). The status in ``run.json`` follows from the same decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ..engine.control import Control
from ..engine.run import BenchmarkEnd
from ..errors import ConfigError, ExitCode
from ..results.run_info import RunStatus
from ..results.summary import BenchmarkSummary
from ..types import Failure

OWN_CODE = (Failure.BUG.value, Failure.VERIFIER.value)
"""Failures of a user's solver or scorer: asking again does not help before they are fixed."""
STATUS = {
    ExitCode.DONE: RunStatus.DONE,
    ExitCode.FAILED_CHECK: RunStatus.DONE,
    ExitCode.INTERRUPTED: RunStatus.INTERRUPTED,
    ExitCode.TERMINATED: RunStatus.INTERRUPTED,
}
"""Everything else is incomplete."""
NAMED = 10
"""Rollouts that are named; more are only counted."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What counts as complete, by slug, and how what is missing can be had."""

    skip_failed: Mapping[str, bool] = field(default_factory=dict)
    min_coverage: Mapping[str, float | None] = field(default_factory=dict)
    early: Collection[str] = frozenset()
    """Those that ended before their last problem, because a gate was decided."""
    planned: Mapping[str, int] = field(default_factory=dict)
    """Rollouts of each benchmark, also of those that have not begun and have no results."""
    again: str = "the same command with --resume tries them again"


@dataclass(frozen=True, slots=True)
class Ending:
    """The exit code, the status and what to tell the user."""

    code: ExitCode
    messages: tuple[str, ...] = ()
    decided: bool = False
    """It ended early, because what was asked of it was certain."""

    @property
    def status(self) -> RunStatus:
        """What ``run.json`` says."""
        if self.decided and self.code is ExitCode.DONE:
            return RunStatus.DECIDED
        return STATUS.get(self.code, RunStatus.INCOMPLETE)


def ending_of(
    summaries: Sequence[BenchmarkSummary],
    terms: Terms,
    *,
    ends: Sequence[BenchmarkEnd] = (),
    control: Control | None = None,
) -> Ending:
    """The ending of a run with these results."""
    control = control or Control()
    known = {summary.slug for summary in summaries}
    unbegun = {slug: count for slug, count in terms.planned.items() if slug not in known}
    down = [f"error: {end.slug}: {end.service_down}" for end in ends if end.service_down]
    scored = [summary.n_scored >= summary.n_rollouts for summary in summaries]
    whole = not unbegun and bool(scored) and all(scored)
    interrupted = None if whole else control.interrupted  # too late to change anything
    if control.stopped and not whole:
        hint = "raise it and repeat the command with --resume to go on"
        down.append(f"stopped: {control.stopped}; {hint}")
    if control.finishing and not whole:
        down.append(_finished(control))
    if interrupted is not None:
        down.append("interrupted: the same command with --resume continues the run")
    early = terms.early if control.decided is None else {*known, *terms.planned}
    broken = {end.slug for end in ends if end.failure is not None}
    missing = _missing(summaries, unbegun, terms, {*early, *broken})
    to_fix = [error for error in (control.fatal, *(end.failure for end in ends)) if error]
    if to_fix:
        errors = [f"error: {error}" for error in to_fix]
        also = missing if control.fatal is None and interrupted is None else []
        return Ending(ExitCode.USER_ERROR, (*errors, *down, *also))
    if interrupted is not None:
        return Ending(interrupted, tuple(down))
    if down or missing:
        return Ending(ExitCode.INCOMPLETE, (*down, *missing))
    thin = tuple(
        f"failed: {s.slug}: coverage {s.coverage:.1%} is below min_coverage {floor:.1%}"
        for s in summaries
        if (floor := terms.min_coverage.get(s.slug)) is not None
        and s.coverage < floor
        and s.slug not in early
    )
    code = ExitCode.FAILED_CHECK if thin else ExitCode.DONE
    cut = any(s.slug in early and s.n_scored < s.n_rollouts for s in summaries)
    return Ending(code, thin, decided=cut or control.decided is not None)


def ending_of_error(error: BaseException) -> Ending:
    """The ending of a run that could not be brought to its end."""
    if isinstance(error, ConfigError):
        return Ending(ExitCode.USER_ERROR, (f"error: {error}",))
    if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
        return Ending(ExitCode.INTERRUPTED, ("interrupted",))
    return Ending(ExitCode.BUG, (f"unexpected error: {type(error).__name__}: {error}",))


def _finished(control: Control) -> str:
    named = ", ".join(control.given_up[:NAMED])
    more = len(control.given_up) - NAMED
    if more > 0:
        named += f" and {more} more"
    given_up = f"; given up in flight: {named}" if named else ""
    return f"finished early {control.finishing}{given_up}; the same command with --resume goes on"


def _missing(
    summaries: Sequence[BenchmarkSummary],
    unbegun: Mapping[str, int],
    terms: Terms,
    explained: Collection[str],
) -> list[str]:
    """A line for each benchmark that is not complete, but for those that are ``explained``."""
    lines = [
        _incomplete(summary, terms.again)
        for summary in summaries
        if summary.n_scored < summary.n_rollouts
        and not terms.skip_failed.get(summary.slug)
        and summary.slug not in explained
    ]
    return lines + [
        f"incomplete: {slug}: not begun, none of {count} rollouts has a verdict; {terms.again}"
        for slug, count in unbegun.items()
        if count and slug not in explained
    ]


def _incomplete(summary: BenchmarkSummary, again: str) -> str:
    count = summary.n_rollouts - summary.n_scored
    text = f"incomplete: {summary.slug}: {count} of {summary.n_rollouts} rollouts have no verdict"
    own = sum(kind.count for name, kind in summary.failures.items() if name in OWN_CODE)
    if not own:
        return f"{text}; {again}"
    example = next((e.error for e in summary.examples if e.category in OWN_CODE), "")
    fix = f"{own} failed in the code of the solver or scorer ({example}): fix that first"
    return f"{text}; {fix}" if own >= count else f"{text}; {fix}, then {again}"
