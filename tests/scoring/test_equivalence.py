"""Numeric and mathematical matching as relations: what must hold whatever the answer."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_evaluator import evaluate
from nemo_evaluator.benchmarks.gsm8k import gsm8k
from nemo_evaluator.benchmarks.mgsm import mgsm
from nemo_evaluator.benchmarks.mmlu import mmlu
from nemo_evaluator.benchmarks.triviaqa import triviaqa
from nemo_evaluator.scoring import numbers
from nemo_evaluator.scoring import primitives as p
from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.mathematics import decide
from nemo_evaluator.scoring.numeric import numeric_match

integers = st.integers(-(10**12), 10**12)
decimals = st.decimals(-(10**6), 10**6, places=3, allow_nan=False).map(str)
fractions = st.fractions(min_value=-999, max_value=999, max_denominator=999)
written = st.one_of(
    integers.map(str),
    integers.map(lambda n: f"{n:,}"),
    decimals,
    fractions.map(str),
    fractions.map(lambda q: rf"\frac{{{q.numerator}}}{{{q.denominator}}}"),
)
FORMS = [
    "Answer: {}",
    "**Answer:** {}",
    "**Answer: {}**",
    "Answer:\n{}",
    "The answer is {}.",
    "The answer is **{}**.",
    "#### {}",
    "<answer>{}</answer>",
    "Answer: ${}$",
    r"Answer: \({}\)",
    r"so \boxed{{{}}}.",
    "<think>Answer: 99999</think>Answer: {}",
]


@given(written)
def test_every_number_equals_itself(text: str) -> None:
    assert numbers.equal(text, text)
    assert decide(text, text) is True


@given(written, written)
def test_equality_is_symmetric(a: str, b: str) -> None:
    assert numbers.equal(a, b) == numbers.equal(b, a)
    assert decide(a, b) == decide(b, a)


@given(integers, integers)
def test_equal_exactly_if_the_values_are(a: int, b: int) -> None:
    for x in (str(a), f"{a:,}", f"{a}.0", f"{a}.00"):
        for y in (str(b), f"{b:,}", f"{b}.000"):
            assert numbers.equal(x, y) is (a == b)
            assert decide(x, y) is (a == b)


@given(st.integers(-(10**9), 10**9).filter(bool), st.integers(1, 9))
def test_powers_of_ten_differ(number: int, zeros: int) -> None:
    longer = str(number) + "0" * zeros
    assert not numbers.equal(str(number), longer)
    assert decide(str(number), longer) is False
    for name in ("numeric_match", "math_match", "answer_line"):
        verdict = p.PRIMITIVES[name](ScorerInput(f"Answer: {number}", longer))
        assert verdict["correct"] is False


@given(fractions, fractions)
def test_fractions_are_transitive_with_their_values(a: Fraction, b: Fraction) -> None:
    forms = (
        str(a),
        rf"\frac{{{a.numerator}}}{{{a.denominator}}}",
        f"{a.numerator}/{a.denominator}",
    )
    for form in forms:
        assert numbers.equal(form, str(b)) is (a == b)


@given(st.integers(-(10**9), 10**9), st.sampled_from(FORMS))
@settings(max_examples=300)
def test_formatting_changes_no_verdict(number: int, form: str) -> None:
    sample = ScorerInput("First 3, then 4.\n" + form.format(number), str(number))
    wrong = ScorerInput(sample.response, str(number + 1))
    for name in ("numeric_match", "math_match"):
        assert p.PRIMITIVES[name](sample)["correct"] is True
        assert p.PRIMITIVES[name](wrong)["correct"] is False


@given(st.integers(-(10**9), 10**9), st.sampled_from(FORMS))
def test_strict_is_never_right_where_lenient_is_wrong(number: int, form: str) -> None:
    for target in (str(number), str(number + 1)):
        for asked in (("answer_line",), ("answer_is",), None):
            verdict = numeric_match(ScorerInput(form.format(number), target), asked=asked)
            assert verdict["correct"] or not verdict["strict_correct"]


@pytest.mark.parametrize(
    ("scorer", "response", "target", "metadata", "strict"),
    [
        (gsm8k, "The answer is 1,200.", "1200", {}, True),
        (gsm8k, "#### 1200", "1200", {}, False),
        (gsm8k, "It is 1200 in all", "1200", {}, False),
        (mmlu, "Answer: B", "B", {"choices": ["a", "b"]}, True),
        (mmlu, "The answer is B", "B", {"choices": ["a", "b"]}, False),
        (mmlu, "**B**", "B", {"choices": ["a", "b"]}, False),
        (mgsm, "উত্তর: ৭", "7", {"language": "bn"}, True),
        (mgsm, "৭টি আপেল", "7", {"language": "bn"}, False),
        (triviaqa, "Paris", "Paris", {}, True),
        (triviaqa, "The answer is Paris.", "Paris", {}, False),
    ],
)
def test_benchmarks_ask_for_their_format(
    scorer: p.Scorer, response: str, target: str, metadata: dict[str, object], strict: bool
) -> None:
    verdict = scorer(ScorerInput(response, target, metadata))
    assert (verdict["correct"], verdict["strict_correct"]) == (True, strict)


def test_a_report_shows_strict_beside_the_score(tmp_path: Path) -> None:
    result = evaluate(
        bench="sample", model_url="simulated", max_problems=20, output_dir=tmp_path / "r"
    )
    metrics = result.summary.benchmarks[0].metrics
    assert 0 < metrics["strict"].value <= metrics["pass@1"].value
    assert "| strict |" in (tmp_path / "r" / "report.md").read_text()
