"""From what a scorer returned to a ``Score``.

Invariant: nonsense raises here and becomes an error; it never becomes a reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import InfraError
from ..measured import Metric, can_be_averaged, metrics_in
from ..scoring.reasoning import Visible
from ..scoring.targets import ImpossibleTarget
from ..types import Failure, Json, Phase, Score, Solution

OURS = (__name__.partition(".")[0] + ".", "asyncio.", "concurrent.")
"""How the names of the modules begin through which a scorer is called."""


def to_score(verdict: Any) -> Score:
    """A bool, a number, or a dict with ``correct`` or ``reward`` as a score.

    >>> to_score({"correct": True, "extracted": "7", "rule": "boxed"}).reward
    1.0

    Raises TypeError or ValueError for anything else, ImpossibleTarget where the scorer says that no
    answer could be right.
    """
    verdict = _python_scalar(verdict)
    if isinstance(verdict, bool):
        return Score(reward=float(verdict), correct=verdict)
    if isinstance(verdict, int | float):
        return Score(reward=to_reward(verdict))
    if not isinstance(verdict, Mapping):
        raise TypeError(f"a scorer returns a dict, a bool or a number, not {verdict!r:.80}")
    details = dict(verdict)
    correct, reward = _python_scalar(details.pop("correct", None)), details.pop("reward", None)
    if correct is None and reward is None:
        raise ValueError(f"a scorer's dict needs 'correct' or 'reward'; it has {list(details)}")
    if correct is not None and (
        not isinstance(correct, bool | int | float) or correct not in (0, 1)
    ):
        raise ValueError(f"'correct' must be true or false, not {correct!r:.80}")
    metrics = to_metrics(details.pop("metrics", None))
    failure = details.pop("failure", None)
    if failure == Failure.TARGET:
        raise ImpossibleTarget(f"no answer can meet the target: {details.get('reason')}")
    return Score(
        reward=to_reward(correct if reward is None else reward),
        correct=None if correct is None else bool(correct),
        extracted=details.pop("extracted", None),
        details=details,
        failure=Failure(failure) if failure else None,
        metrics=metrics,
    )


def to_metrics(given: Any) -> dict[str, Metric]:
    """What a scorer put under ``metrics``: name → number, or pair ``[numerator, denominator]``.
    Raises ValueError: what cannot be averaged must not reach a journal."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"'metrics' must be a dict of numbers, not {given!r:.80}")
    found = metrics_in(given)
    for name, value in given.items():
        if str(name) not in found:
            raise ValueError(
                f"the metric {name!r} is {value!r:.80}, "
                "not a finite number or a pair [numerator, denominator]"
            )
    return found


def to_reward(value: Any) -> float:
    """A number that can be averaged. Raises TypeError or ValueError."""
    value = _python_scalar(value)
    if not isinstance(value, int | float):
        raise TypeError(f"a reward is a number, not {value!r:.80}")
    if not can_be_averaged(value):
        raise ValueError(f"the reward is {value!r:.40}")
    return float(value)


def in_view_of(shown: Visible, solution: Solution, score: Score) -> Score:
    """The score with what the response's form adds.

    ``span`` becomes offsets in the raw response; ``truncated`` is set where the model was cut off,
    by ``finish_reason`` or in the midst of its reasoning. An answer that a content filter left
    nothing of fails for that reason.
    """
    truncated = shown.unclosed or solution.truncated
    filtered = solution.filtered_out and score.extracted is None
    moved = shown.reasoning and "span" in score.details
    if not truncated and not moved and not filtered:
        return score
    details = dict(score.details)
    if moved:
        details["span"] = _raw_span(shown, details["span"])
    failure = score.failure
    if truncated:
        details["truncated"] = True
        failure = Failure.TRUNCATED if score.extracted is None else failure
    if filtered:
        failure = Failure.CONTENT_FILTER
    return msgspec.structs.replace(score, details=details, failure=failure)


def scorer_failed(name: str, idx: int, error: Exception) -> InfraError:
    """The error of a scorer, attributed: its name, the problem, and the line that raised."""
    theirs = any(not ours for _, ours in _lines_of(error))  # else we refused what it returned
    what = f"{type(error).__name__}: {error}{raised_at(error) if theirs else ''}"
    if isinstance(error, TypeError | AttributeError) and "'coroutine' object" in str(error):
        what += "; await what is asynchronous, such as code_sandbox(...), in an `async def`"
    return InfraError(
        f"scorer {name} failed on problem {idx}: {what}",
        kind=Failure.VERIFIER,
        phase=Phase.VERIFY,
        peer=name,
    )


def raised_at(error: BaseException) -> str:
    """The innermost line of an error's traceback that is not ours, else of any, as
    `` (file:line)``; empty without one."""
    lines = _lines_of(error)
    return next((line for line, ours in reversed(lines) if not ours), lines[-1][0] if lines else "")


def _lines_of(error: BaseException) -> list[tuple[str, bool]]:
    """The lines of a traceback, and whether they are of what calls user code."""
    lines, frame = [], error.__traceback__
    while frame is not None:
        ours = str(frame.tb_frame.f_globals.get("__name__")).startswith(OURS)
        lines.append((f" ({frame.tb_frame.f_code.co_filename}:{frame.tb_lineno})", ours))
        frame = frame.tb_next
    return lines


def _raw_span(shown: Visible, span: Json) -> Json:
    match span:
        case [int(start), int(stop)]:
            return list(shown.raw_span((start, stop)))
    return span


def _python_scalar(value: Any) -> Any:
    """A numpy scalar as Python's own."""
    return value.item() if hasattr(value, "dtype") and hasattr(value, "item") else value
