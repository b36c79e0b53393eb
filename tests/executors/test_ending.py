"""One rule for exit codes and statuses, whoever asks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from journals import plan

from nemo_evaluator.engine.control import Control
from nemo_evaluator.engine.run import BenchmarkEnd
from nemo_evaluator.errors import ConfigError, ExitCode
from nemo_evaluator.executors.ending import Terms, ending_of
from nemo_evaluator.results.collect import Collector
from nemo_evaluator.results.run_info import RunStatus
from nemo_evaluator.results.summary import BenchmarkSummary, FailureExample, FailureKind

PLAN = plan(10, name="sums", slug="sums")


def summary(scored: int, **more: Any) -> BenchmarkSummary:
    return msgspec.structs.replace(Collector(PLAN).finish(), n_scored=scored, **more)


def control(**changes: Any) -> Control:
    made = Control()
    for name, value in changes.items():
        setattr(made, name, value)
    return made


BROKEN = BenchmarkEnd("sums", failure=ConfigError("no"))
DOWN = BenchmarkEnd("sums", service_down="HTTP 401")
FLOOR = Terms(skip_failed={"sums": True}, min_coverage={"sums": 0.95})


@pytest.mark.parametrize(
    ("scored", "terms", "more", "code", "status"),
    [
        (10, Terms(), {}, 0, "done"),
        (9, Terms(), {}, 3, "incomplete"),
        (9, Terms(skip_failed={"sums": True}), {}, 0, "done"),
        (9, FLOOR, {}, 1, "done"),
        (10, Terms(), {"ends": [BROKEN]}, 2, "incomplete"),
        (5, Terms(), {"ends": [DOWN]}, 3, "incomplete"),
        (5, Terms(), {"control": control(stopped="the budget")}, 3, "incomplete"),
        (10, Terms(), {"control": control(stopped="the budget")}, 0, "done"),
        (9, Terms(), {"control": control(interrupted=ExitCode.TERMINATED)}, 143, "interrupted"),
        (10, Terms(), {"control": control(interrupted=ExitCode.TERMINATED)}, 0, "done"),
        (5, Terms(), {"control": control(fatal=ConfigError("disk"))}, 2, "incomplete"),
        (5, Terms(), {"control": control(interrupted=ExitCode.INTERRUPTED)}, 130, "interrupted"),
        (5, Terms(), {"control": control(interrupted=ExitCode.TERMINATED)}, 143, "interrupted"),
        (5, FLOOR, {"ends": [BROKEN], "control": control(interrupted=130)}, 2, "incomplete"),
    ],
)
def test_codes_and_statuses(
    scored: int, terms: Terms, more: dict[str, Any], code: int, status: str
) -> None:
    ending = ending_of([summary(scored)], terms, **more)
    assert (ending.code, ending.status) == (code, RunStatus(status))
    assert bool(ending.messages) == (code != 0)


def test_only_what_the_endpoint_failed_is_promised_to_resume() -> None:
    failures = {"connection": FailureKind(count=3, rate=0.3)}
    [text] = ending_of([summary(7, failures=failures)], Terms()).messages
    assert text.endswith("the same command with --resume tries them again")
    failures = {"bug": FailureKind(count=3, rate=0.3)}
    example = FailureExample(
        category="bug", problem_idx=0, repeat=0, error="TypeError: no (agent.py:7)"
    )
    own = summary(7, failures=failures, examples=(example,))
    [text] = ending_of([own], Terms()).messages
    assert "TypeError: no (agent.py:7)" in text and "fix that first" in text
    assert "--resume" not in text


def test_what_else_is_missing_is_told_beside_an_error() -> None:
    rest = summary(5, slug="rest")
    both = [summary(0), rest]
    ending = ending_of(both, Terms(), ends=[BROKEN])
    assert [text[:19] for text in ending.messages] == ["error: no", "incomplete: rest: 5"[:19]]
    stopped = ending_of(both, Terms(), ends=[BROKEN], control=control(stopped="the budget"))
    assert any(text.startswith("stopped: the budget") for text in stopped.messages)
    interrupted = ending_of(both, Terms(), ends=[BROKEN], control=control(interrupted=130))
    assert any(text.startswith("interrupted: ") for text in interrupted.messages)
    assert {stopped.code, interrupted.code} == {2}


def test_a_benchmark_that_has_not_begun_is_missing() -> None:
    terms = Terms(planned={"sums": 10, "later": 4})
    ending = ending_of([summary(10)], terms, control=control(stopped="the budget"))
    assert (ending.code, ending.status) == (3, RunStatus.INCOMPLETE)
    assert ending.messages[0].startswith("stopped: the budget")
    assert ending.messages[1].startswith("incomplete: later: not begun, none of 4 rollouts")
    decided = ending_of([summary(10)], terms, control=control(decided="GO"))
    assert (decided.code, decided.status) == (0, RunStatus.DECIDED)
