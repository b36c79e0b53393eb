"""Beside ``worker.py``: what lm_eval's results say, as our measures."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

from nel_lm_eval_errors import quick_errors

Theirs = Any
"""An object of lm_eval, whose types are not ours to know."""
Data = Any
"""What JSON can say."""


Failed = dict[tuple[str, str], tuple[str, bool]]
"""Why an aggregation gave no number, and whether its function is at fault, by task and metric."""


def evaluated(tasks: Mapping[str, Theirs], once: Callable[[int | None], Theirs]) -> Theirs:
    """lm_eval's results and what failed. ``once`` evaluates, with this many draws of a bootstrap,
    or as many as were asked for. Where lm_eval would end because the aggregation of one metric
    fails, the others have their values."""
    failed: Failed = {}
    try:
        with quick_errors():
            return once(None), failed
    except Exception:
        with _contained(tasks, failed, None):
            once(0)
        if not failed:
            raise
        with quick_errors(), _contained(tasks, failed, frozenset(failed)):
            return once(None), failed


@contextlib.contextmanager
def _contained(
    tasks: Mapping[str, Theirs], failed: Failed, only: Set[tuple[str, str]] | None
) -> Iterator[None]:
    """Aggregations that fail (only these, if given) are not a number, and say why. One that is
    replaced has no standard error: lm_eval knows its functions by identity."""

    def guarded(place: tuple[str, str], function: Theirs) -> Theirs:
        def aggregate(items: Theirs) -> Theirs:
            try:
                return function(items)
            except OverflowError:
                failed[place] = "is too large for a number", False
            except Exception as error:
                said = " ".join(str(error).split())
                failed[place] = f"could not be made: {type(error).__name__}: {said:.200}", True
            return math.nan

        return aggregate

    def aggregations(name: str, task: Theirs) -> Callable[[], Theirs]:
        functions = {
            metric: guarded((name, metric), function)
            if only is None or (name, metric) in only
            else function
            for metric, function in task.aggregation().items()
        }
        return lambda: functions

    with contextlib.ExitStack() as stack:
        for name, task in tasks.items():
            replaced, task.aggregation = task.aggregation, aggregations(name, task)
            stack.callback(setattr, task, "aggregation", replaced)
        yield


def measured(results: Theirs, sizes: Mapping[str, int], failed: Failed) -> Iterator[Data]:
    """Every number of lm_eval's results that is no error of another, with its error; of what is no
    finite number, why there is none."""
    members = results.get("group_subtasks", {})

    def size(name: str) -> int:
        return sizes.get(name) or sum(size(member) for member in members.get(name) or ())

    for name, metrics in {**results["results"], **results.get("groups", {})}.items():
        higher = results["higher_is_better"].get(name) or {}
        for key, value in metrics.items():
            metric, comma, chosen = key.partition(",")
            if not comma or metric.endswith("_stderr"):
                continue
            value = value.tolist() if hasattr(value, "tolist") else value  # numpy's numbers
            known = _is_number(value)
            why, raised = failed.get((name, metric)) or (_why_absent(value), False)
            stderr = json_value(metrics.get(f"{metric}_stderr,{chosen}"))
            yield {
                "task": name,
                "name": metric,
                "filter": chosen,
                "value": float(value) if known else None,
                "absent": None if known else why,
                "raised": raised and not known,
                "stderr": float(stderr) if _is_number(stderr) else None,
                "higher_is_better": higher.get(metric) is not False,
                "n": size(name),
            }


def _why_absent(value: object) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "is not a number (nan)"
    return "is infinite" if isinstance(value, float) else f"is not a number: {value!r:.80}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def json_value(value: Data) -> Data:
    """The value as JSON can hold it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
