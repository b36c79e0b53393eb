"""lm_eval's results as measures: what has no value is named with its reason, and nothing is a mean
of less than it says."""

from __future__ import annotations

import msgspec
import pytest

from nemo_evaluator.environments.lm_eval.options import Mode
from nemo_evaluator.environments.lm_eval.scores import Measured, measures_of


def result(name: str, value: float | None, task: str = "t") -> Measured:
    absent = "is infinite" if value is None else None
    return Measured(
        task=task,
        name=name,
        filter="none",
        value=value,
        absent=absent,
        stderr=0.1,
        higher_is_better=True,
        n=4,
    )


def test_several_repeats_are_a_mean_without_an_error() -> None:
    made = measures_of([[result("acc", 0.25)], [result("acc", 0.75)]], "t", None)
    [measure] = made.measures
    assert (measure.key, measure.value, measure.stderr) == ("acc,none", 0.5, None)
    assert not made.absent


def test_what_one_repeat_lacks_has_no_value() -> None:
    made = measures_of([[result("ppl", 2.0)], [result("ppl", None)]], "t", None)
    assert not made.measures and made.absent == {"ppl,none": "is infinite"}
    assert not made.raised
    faulty = msgspec.structs.replace(result("ppl", None), raised=True)
    assert measures_of([[result("ppl", 2.0)], [faulty]], "t", None).raised == ("ppl,none",)


@pytest.mark.parametrize("mode", [Mode.FIRST_TOKEN, Mode.GENERATE])
def test_what_a_choice_alone_does_not_tell_is_named(mode: Mode) -> None:
    results = [result("acc", 0.5, "part"), result("brier_score", 0.1, "part")]
    made = measures_of([results], "whole", mode)
    assert [measure.key for measure in made.measures] == ["part/acc,none"]
    assert "mode: loglikelihood" in made.absent["part/brier_score,none"]
    assert not measures_of([results], "whole", Mode.LOGLIKELIHOOD).absent
