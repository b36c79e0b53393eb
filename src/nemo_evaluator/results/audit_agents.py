"""Doubts about the work of agents: what ended it, what it did not do, what its verifier found.

Steps are read once, in the order of the rows; of each rollout only its doubts are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ..errors import ConfigError
from ..steps import Step, StepSource, ToolCall
from ..types import EndedBy, Failure, Json, RolloutKey
from .published import Published
from .read_bundle import BUNDLES, read_bundle
from .result_row import ResultRow
from .trajectory_row import read_trajectories

Doubt = tuple[str, str]
"""A kind, and what shows it."""
LOOP = 3
"""The same call this many times in a row is a loop."""
LIMITS = {
    EndedBy.TURNS: "turn_limit",
    EndedBy.TOKENS: "budget",
    EndedBy.COST: "budget",
    EndedBy.TIME: "time_limit",
    EndedBy.CONTEXT: "context_limit",
}
FAILURES = {Failure.BUDGET: "budget", Failure.SOLVE_TIMEOUT: "time_limit"}
"""Errors that are limits."""
UNDONE = frozenset({"no_steps", "no_command", "no_usage"})
"""What an agent did not do."""
SINGLE_TURN = (None, "simple")
"""Solvers without steps of their own; None: the bundle does not say."""


class StepDoubts:
    """The doubts about the rollouts of one benchmark; none where no agent worked on it."""

    def __init__(
        self, found: Mapping[RolloutKey, Sequence[Doubt]], *, in_workspace: bool = False
    ) -> None:
        self._found = found
        self.in_workspace = in_workspace
        """Whether what agents left in a workspace was verified, and not a text."""

    def of(self, row: ResultRow) -> Iterator[Doubt]:
        """What there is to doubt about a rollout. One without a verdict may have been ended before
        its agent could do anything."""
        yield from _of_the_end(row)
        yield from _of_the_verifier(row.scoring_details)
        for kind, text in self._found.get(row.key, ()):
            if row.reward is not None or kind not in UNDONE:
                yield kind, text


def step_doubts(folder: Path) -> StepDoubts:
    """Read the steps of a benchmark's folder, where an agent made some."""
    bundle = _bundle(folder)
    if bundle is not None and bundle.effort is None and bundle.solver in SINGLE_TURN:
        return StepDoubts({})
    asks = bundle is None or bundle.service is not None
    in_workspace = bundle is not None and "workspace" in bundle.identity
    uses_tools = in_workspace
    found: dict[RolloutKey, Sequence[Doubt]] = {}
    for row in read_trajectories(folder):
        steps = tuple(step for step in row.steps if not step.is_copied_context)
        uses_tools = uses_tools or any(step.tool_calls for step in steps)
        if doubts := tuple(_of_steps(steps, asks=asks)):
            found[row.key] = doubts
    return StepDoubts(found if uses_tools else {}, in_workspace=in_workspace)


def planned_rollouts(folder: Path) -> int | None:
    """How many rollouts there were to be, if a bundle says so."""
    bundle = _bundle(folder)
    return None if bundle is None else bundle.n_rollouts


def _bundle(folder: Path) -> Published | None:
    for path in sorted(folder.glob(BUNDLES)):
        try:
            return read_bundle(path, strict=False)
        except ConfigError:
            continue
    return None


def _of_the_end(row: ResultRow) -> Iterator[Doubt]:
    """The limit that ended a rollout, as an answer or as an error."""
    if row.ended_by is EndedBy.LOOP:
        yield "loop", "ended for it"
    elif row.ended_by is not None:
        yield LIMITS[row.ended_by], row.model_response or row.ended_by
    elif row.reward is None and row.failure in FAILURES:
        yield FAILURES[row.failure], row.error or row.failure


def _of_the_verifier(details: Mapping[str, Json]) -> Iterator[Doubt]:
    if before := details.get("reward_file_before"):
        yield "reward_before", "" if before is True else str(before)


def _of_steps(steps: tuple[Step, ...], *, asks: bool) -> Iterator[Doubt]:
    own = [step for step in steps if step.source is StepSource.AGENT]
    if not own:
        yield "no_steps", f"{len(steps)} steps, none of the agent"
        return
    if not any(step.tool_calls for step in own):
        yield "no_command", str(own[-1].message or "")
    if (looped := _loop(own)) is not None:
        yield "loop", looped
    last = next((step for step in reversed(own) if step.tool_calls), None)
    if last is not None and last.observation is not None:
        broken = [result for result in last.observation.results if result.failed]
        if broken:
            yield "last_step_failed", str(broken[-1].content)
    silent = [step.step_id for step in own if step.is_turn and not _tells_tokens(step)]
    if asks and silent:
        yield "no_usage", f"steps {', '.join(map(str, silent[:10]))}"


def _loop(steps: list[Step]) -> str | None:
    """The first call that is made ``LOOP`` times in a row, with its number."""
    before: tuple[str, bytes] | None = None
    run, longest = 0, 0
    repeated_call = ""
    for call in (call for step in steps for call in step.tool_calls):
        this = (call.function_name, msgspec.json.encode(call.arguments, order="sorted"))
        run = run + 1 if this == before else 1
        before = this
        if run > longest:
            longest, repeated_call = run, _call_text(call)
    return f"{longest} times {repeated_call}" if longest >= LOOP else None


def _call_text(call: ToolCall) -> str:
    arguments = msgspec.json.encode(call.arguments, enc_hook=str).decode()
    return f"{call.function_name}({arguments})"


def _tells_tokens(step: Step) -> bool:
    found = step.metrics
    return found is not None and (
        found.prompt_tokens is not None or found.completion_tokens is not None
    )
