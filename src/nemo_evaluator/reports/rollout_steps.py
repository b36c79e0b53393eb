"""A rollout of an agent as text: each step with its calls, what it cost, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from ..results.call import Call
from ..results.rollout_steps import RolloutSteps, StepCalls
from ..results.traffic import Conversation, SessionTotals
from ..steps import ObservationResult, Step, StepMetrics
from ..types import Json
from .escape import one_line
from .figures import usd
from .rollout import as_text, cut, rollout_head
from .traffic import call_head, conversation_lines, said, totals_text

LONG = 2_000
"""Characters of a text that are shown unless all is asked for."""

EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")


def talk_lines(talk: RolloutSteps | Conversation, *, full: bool = False) -> Iterator[str]:
    """An attempt as text. ``full``: no text of a step is cut."""
    if isinstance(talk, Conversation):
        return conversation_lines(talk)
    return rollout_lines(talk, full=full)


def talk_json(talk: RolloutSteps | Conversation) -> Iterator[str]:
    """A line of JSON for each step with its calls, and one for each call of no step."""
    steps = () if isinstance(talk, Conversation) else talk.steps
    calls = talk.calls if isinstance(talk, Conversation) else talk.rest
    where: dict[str, object] = {
        "benchmark": talk.benchmark,
        "problem_idx": talk.key[0],
        "repeat": talk.key[1],
    }
    where["attempt"] = talk.attempt
    for found in steps:
        yield _line({**where, "kind": "step", "step": found.step, "calls": found.calls})
    for call in calls:
        yield _line({**where, "kind": "call", "call": call})


def rollout_lines(rollout: RolloutSteps, *, full: bool = False) -> Iterator[str]:
    """The whole rollout. ``full``: no text is cut."""
    totals = SessionTotals(rollout.benchmark, *rollout.key, rollout.attempt)
    for call in rollout.calls:
        totals.add(call)
    title = f"{rollout.benchmark} {rollout.key}, attempt {rollout.attempt}"
    yield f"{title}: {len(rollout.steps)} steps, {totals_text(totals)}"
    limit = None if full else LONG
    start = next((found.step.timestamp for found in rollout.steps if found.step.timestamp), None)
    number = 1
    for found in rollout.steps:
        yield ""
        yield from _step(found, number, start, limit)
        number += len(found.calls)
    if rollout.rest:
        yield ""
        yield "── calls of no step"
        for extra, call in enumerate(rollout.rest, number):
            yield f"   call {extra}: {one_line(call_head(call))}"
    if rollout.result is not None:
        row = rollout.result
        yield ""
        end = "" if row.ended_by is None else f" · ended by the limit of {row.ended_by}"
        yield f"── verdict: {rollout_head(row)}{end}"
        if row.error is not None:
            yield from said("error", cut(row.error, limit))


def _line(document: dict[str, object]) -> str:
    return msgspec.json.encode(document).decode()


def _step(found: StepCalls, number: int, start: str | None, limit: int | None) -> Iterator[str]:
    step = found.step
    parts = [f"step {step.step_id} {step.source.value}"]
    parts += [f"({one_line(step.model_name)})"] if step.model_name else []
    figures = [_after(start, step.timestamp), *_metrics(step.metrics, found.calls)]
    yield " · ".join([f"── {' '.join(parts)}", *filter(None, figures)])
    for place, call in enumerate(found.calls, number):
        yield f"   call {place}: {one_line(call_head(call))}"
    if step.reasoning_content:
        yield from said("reasoning", cut(step.reasoning_content, limit))
    if message := _text(step.message):
        yield from said("message", cut(message, limit))
    yield from _tools(step, limit)


def _tools(step: Step, limit: int | None) -> Iterator[str]:
    """Each tool call with its result; then what the agent saw besides."""
    results = list(step.observation.results) if step.observation is not None else []
    for call in step.tool_calls:
        arguments = cut(as_text(call.arguments), limit)
        yield from said("tool call", f"{call.function_name}({arguments})")
        own = [result for result in results if result.source_call_id == call.tool_call_id]
        results = [result for result in results if result not in own]
        for result in own:
            yield from _result(result, limit)
    for result in results:
        yield from _result(result, limit)


def _result(result: ObservationResult, limit: int | None) -> Iterator[str]:
    code = result.extra.get("exit_code")
    how = f", exit code {code}" if code not in (None, 0) else ""
    name = f"result (failed{how})" if result.failed else "result"
    text = _text(result.content).rstrip()
    if limit is not None:
        text = EMPTY_LINES.sub("\n\n", text)  # the rest of a terminal's screen
    yield from said(name, cut(text, limit))


def _metrics(metrics: StepMetrics | None, calls: Sequence[Call]) -> Iterator[str]:
    """Tokens and cost of a step; the cost is that of its calls where it tells none itself."""
    metrics = metrics or StepMetrics()
    asked, answered = (
        "?" if count is None else f"{count:,}"
        for count in (metrics.prompt_tokens, metrics.completion_tokens)
    )
    if (asked, answered) != ("?", "?"):
        yield f"{asked} + {answered} tokens"
    costs = [call.cost_usd for call in calls if call.cost_usd is not None]
    if metrics.cost_usd is not None or costs:
        yield usd(sum(costs) if metrics.cost_usd is None else metrics.cost_usd)


def _after(start: str | None, now: str | None) -> str:
    """``+12.3 s`` after the first step; nothing where times are not told."""
    try:
        first, this = (datetime.fromisoformat(text or "") for text in (start, now))
        return f"+{(this - first).total_seconds():.1f} s"
    except (ValueError, TypeError):
        return ""


def _text(content: Json) -> str:
    """A text, or the texts of a list of parts with the kinds of the others."""
    if isinstance(content, list | tuple):
        parts = (
            part.get("text", f"[{part.get('type')}]") if isinstance(part, dict) else as_text(part)
            for part in content
        )
        return "\n".join(map(str, parts))
    return as_text(content)
