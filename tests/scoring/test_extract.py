from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.scoring import extract
from nemo_evaluator.scoring.numeric import number

NUMBERS = [
    ("first 5, then 7, so 12 apples in total", "12", "last_number"),
    ("A: 3", "3", "a_line"),
    ("#### 3", "3", "hashes"),
    ("so 3.", "3", "last_number"),
    ("The answer is 10", "10", "answer_is"),
    ("**Answer:** 42", "42", "answer_line"),
    ("#### -$38,000", "-$38,000", "hashes"),
    ("Answer:\n\n$\\frac{3}{4}$", "\\frac{3}{4}", "answer_line"),
    ("The answer is 5 + 7 = 12.", "12", "answer_is"),
    ("it costs $5.50 on the 2nd", "$5.50", "last_number"),
    ("pages 5-7 say 8", "8", "last_number"),
    ("so \\boxed{1,234}.", "1,234", "boxed"),
    ("The final answer is 12. I hope 3 is correct.", "12", "answer_is"),
    ("The answer is 5. Wait. The answer is 6.", "6", "answer_is"),
    ("\\boxed{1} or rather \\boxed{2}", "2", "boxed"),
    ("<answer> 8 </answer> done", "8", "answer_tag"),
    ("一共有5个苹果，还剩3个", "3", "last_number"),
    ("温度是-5度", "-5", "last_number"),
    ("Antwort: १२३", "१२३", "other_language"),
]


@pytest.mark.parametrize(("text", "value", "rule"), NUMBERS)
def test_the_number_a_text_ends_on(text: str, value: str, rule: str) -> None:
    found = number(text)
    assert found is not None
    assert (found.value, found.rule) == (value, rule)
    assert text[slice(*found.span)].strip() == value


@pytest.mark.parametrize("text", ["", "no number", "x^2", "m2", "the 2nd", "Answer: none"])
def test_texts_without_a_number(text: str) -> None:
    assert number(text) is None


def test_lenient_can_be_switched_off() -> None:
    assert number("so 12 apples", lenient=False) is None
    assert number("Answer: 12 apples", lenient=False) is not None


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("最终答案：7个，不是8个", "答案"),
        ("คำตอบ: 7 (8)", "คำตอบ"),
        ("উত্তর: ৭ (৮)", "উত্তর"),
        ("**答え**: 7 (8)", "答え"),
    ],
)
def test_prefixes_in_other_scripts(text: str, prefix: str) -> None:
    found = number(text, prefixes=(prefix,))
    assert found is not None
    assert found.rule == "answer_line"
    assert int(found.value) == 7


def test_prefixes_of_other_languages() -> None:
    found = number("14 Äpfel. Antwort: 7. Davon 3 rot", prefixes=("Antwort",))
    assert found is not None
    assert (found.value, found.rule) == ("7", "answer_line")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Answer: 3\n**Final Answer:** 42", "42"),
        ("Answer: **St. Louis**", "St. Louis"),
        ('Final answer: "Paris".', "Paris"),
        ("The correct answer is Paris. It is in France.", "Paris"),
        ("**Answer**: x = 5", "x = 5"),
        ("\\boxed{\\frac{1}{\\sqrt{2}}}", "\\frac{1}{\\sqrt{2}}"),
        ("Answer: $\\{1, 2\\}$", "\\{1, 2\\}"),
        ("ANSWER:\n\nB", "B"),
    ],
)
def test_final_answer(text: str, value: str) -> None:
    found = extract.final_answer(text)
    assert found is not None
    assert found.value == value
    assert found.rule in extract.STRICT


@pytest.mark.parametrize("text", ["", "Answer:", "\\boxed{}", "\\boxed{1", "reanswered: x"])
def test_no_final_answer(text: str) -> None:
    assert extract.final_answer(text) is None


def test_a_pattern_of_your_own_takes_its_last_match() -> None:
    found = extract.answer_line("Result = 1; Result = 2", pattern=r"Result = (\d)")
    assert found is not None
    assert (found.value, found.rule, found.span) == ("2", "pattern", (21, 22))


@given(st.integers(-(10**9), 10**9), st.sampled_from(["**{}**", "${}$", "\\({}\\)", "{}.", " {} "]))
def test_formatting_does_not_change_an_answer(value: int, form: str) -> None:
    found = extract.final_answer("Answer: " + form.format(value))
    assert found is not None
    assert found.value == str(value)


@given(st.text(max_size=300))
def test_any_text_gives_a_span_inside_it(text: str) -> None:
    for found in (
        extract.final_answer(text, a_line=True),
        number(text),
        extract.boxed(text),
    ):
        if found is not None:
            assert 0 <= found.span[0] < found.span[1] <= len(text)
            assert found.value
