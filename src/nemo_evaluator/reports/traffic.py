"""The traffic of a run as text: totals by session, or one conversation turn by turn."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import msgspec

from ..results.call import Call, CallUsage
from ..results.traffic import Conversation, SessionTotals
from ..traffic.ledger import Totals
from .escape import one_line

WIDTH = 100


def session_lines(sessions: Sequence[SessionTotals], limit: int) -> Iterator[str]:
    """A table of the sessions with most tokens."""
    total = sum(session.tokens for session in sessions)
    errors = sum(session.errors for session in sessions)
    costs = [session.cost_usd for session in sessions if session.cost_usd is not None]
    plural = "s" * (len(sessions) != 1)
    text = f"{len(sessions):,} session{plural}, {sum(s.calls for s in sessions):,} calls"
    yield f"{text}, {errors:,} failed, {total:,} tokens{_usd(sum(costs) if costs else None)}"
    shown = sorted(sessions, key=lambda session: -session.tokens)[:limit]
    wide = max([12, *(len(one_line(session.name)) for session in shown)])
    what = "rollout" if all(session.is_rollout for session in shown) else "session"
    yield f"{what:>{wide}}  {'attempt':>7}  {'calls':>6}  {'failed':>6}  {'tokens':>9}  {'s':>8}"
    for session in shown:
        yield (
            f"{one_line(session.name):>{wide}}  {session.attempt:>7}  {session.calls:>6}"
            f"  {session.errors:>6}  {session.tokens:>9,}  {session.latency_ms / 1000:>8.1f}"
        )
    if len(sessions) > limit:
        yield f"{'...':>{wide}}  ({len(sessions) - limit:,} more)"


def session_json(sessions: Sequence[SessionTotals]) -> Iterator[str]:
    """A line of JSON for each session."""
    yield from (msgspec.json.encode(session).decode() for session in sessions)


def totals_line(totals: Totals, sessions: int) -> str:
    """The accounts of a proxy: ``12 calls in 2 sessions: 10 answered, 2 failed (timeout 2)...``."""
    errors = sum(totals.errors.values())
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(totals.errors.items()))
    parts = [
        f"{totals.answers:,} answered"
        + (f" ({totals.cached_answers:,} from the cache)" if totals.cached_answers else ""),
        f"{errors:,} failed" + (f" ({kinds})" if kinds else ""),
        *([f"{totals.abandoned:,} given up by clients"] if totals.abandoned else []),
        f"{totals.prompt_tokens:,} prompt and {totals.completion_tokens:,} completion tokens",
    ]
    where = f" in {sessions:,} session{'s' * (sessions > 1)}" if sessions else ""
    return f"{totals.calls:,} calls{where}: {', '.join(parts)}{_usd(totals.cost_usd)}"


def totals_text(totals: SessionTotals) -> str:
    """``12 calls, 1 failed, 4,120 tokens, 0.0123 USD``."""
    counts = f"{totals.calls} calls, {totals.errors} failed, {totals.tokens:,} tokens"
    return counts + _usd(totals.cost_usd)


def conversation_lines(conversation: Conversation) -> Iterator[str]:
    """One attempt at one rollout."""
    totals = SessionTotals(conversation.benchmark, *conversation.key, conversation.attempt)
    for call in conversation.calls:
        totals.add(call)
    yield (f"{conversation.title}, attempt {conversation.attempt}: {totals_text(totals)}")
    for number, call in enumerate(conversation.calls, 1):
        yield ""
        yield f"── call {number}: {call_head(call)}"
        for message in call.request_messages:
            yield from _message(message)
        if call.reasoning_content:
            yield from said("reasoning", call.reasoning_content)
        if call.message_content:
            yield from said("assistant", call.message_content)
        for tool in call.tool_calls_full:
            yield from said("tool call", f"{tool.name}({tool.arguments})")
    if (result := conversation.result) is not None:
        yield ""
        yield "── texts from results.jsonl (the log holds summaries; model_traffic.level: full)"
        yield from said("prompt", str(result.prompt))
        if result.reasoning:
            yield from said("reasoning", result.reasoning)
        yield from said("assistant", str(result.model_response))


def call_head(call: Call) -> str:
    """One call in a line: tokens, time and how it ended, or why it failed."""
    if call.failed:
        status = f" (HTTP {call.status_code})" if call.status_code else ""
        return f"{call.error_type}{status}: {call.error_message}"
    usage = call.usage or CallUsage()
    asked, answered = (
        "?" if count is None else count for count in (usage.prompt_tokens, usage.completion_tokens)
    )
    parts = [
        f"{asked} + {answered} tokens",
        f"{call.latency_ms or 0:.0f} ms",
        call.finish_reason or "no finish reason",
    ]
    if call.source not in (None, "endpoint"):
        parts.append(f"from {call.source}")
    if (call.tries or 1) > 1:
        parts.append(f"{call.tries} tries")
    return ", ".join(parts)


def _message(message: object) -> Iterator[str]:
    if not isinstance(message, dict):
        yield from said("?", str(message))
        return
    content = message.get("content")
    role = str(message.get("role") or message.get("type") or "?")
    if isinstance(content, list):
        content = "\n".join(_part(part) for part in content)
    if content:
        yield from said(role, str(content))
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {} if isinstance(call, dict) else {}
        yield from said("tool call", f"{function.get('name')}({function.get('arguments')})")
    if "output" in message:
        yield from said(role, str(message["output"]))


def _part(part: object) -> str:
    if isinstance(part, dict):
        return str(part["text"]) if "text" in part else f"[{part.get('type')}]"
    return str(part)


def said(who: str, text: str) -> Iterator[str]:
    """A text with who said it, wrapped and indented."""
    yield f"{who}:"
    for line in text.splitlines() or [""]:
        yield from textwrap.wrap(
            line,
            WIDTH,
            initial_indent="  ",
            subsequent_indent="  ",
            replace_whitespace=False,
            drop_whitespace=False,
        ) or [""]


def _usd(cost: float | None) -> str:
    return "" if cost is None else f", {cost:.4f} USD"
