"""Verdicts, case by case: the table of the specification and the nastiest answers we know of.

Each case: scorer, response, target, the lenient verdict, and the strict one where it matters
(the default formats asked for; ``None`` where there is nothing to say).
"""

from __future__ import annotations

from typing import Any

import pytest

from nemo_evaluator.scoring import primitives as p
from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.multichoice import multichoice_regex
from nemo_evaluator.scoring.numeric import numeric_match

Case = tuple[str, str, Any, bool, bool | None]
YES, NO = True, False

LATER: list[Case] = [
    ("multichoice_regex", "C, because of its mass", "C", YES, NO),
    ("multichoice_regex", "B - London", "B", YES, NO),
    ("multichoice_regex", "A - B", "A", NO, NO),
    ("multichoice_regex", "正确选项为C", "C", YES, YES),
    ("multichoice_regex", "选项：\nA. x\nB. y", "A", NO, NO),
    ("numeric_match", "Step 1: 10. Step 2: 20. Step 3: 30.", "30", YES, NO),
    ("numeric_match", "The ratio is 3: 4", "4", NO, NO),
    ("numeric_match", "1. First we add.\n2. Then we subtract.\n3. Done.", "3", NO, NO),
    ("numeric_match", "We get 12 in all.\n\n1. Add them.\n2. Check.", "12", YES, NO),
    ("numeric_match", "1. 5 apples\n2. 7 pears", "7", YES, NO),
    ("numeric_match", "Total: 18\n\nStep 1: check.\nStep 2: done.", "18", YES, NO),
    ("numeric_match", "Thus 18 (not 19)", "18", YES, NO),
    ("numeric_match", "Thus 18 (not 19)", "19", NO, NO),
    ("math_match", "Total: 18\n\nStep 1: check.\nStep 2: done.", "18", YES, NO),
    ("math_match", "So in the end we get 18 (not 19)", "18", YES, NO),
    ("math_match", "The answer is $5$ because $2+3=5$ and $7-2=5$.", "5", YES, YES),
    ("math_match", r"The answer is \(\frac{1}{2}\), since \(1+1=2\).", "0.5", YES, YES),
    ("math_match", r"Answer: $$p - q$$ because $2+2=4$", "p-q", YES, YES),
    ("math_match", r"We find that it is $\$36$.", "36", YES, NO),
    ("math_match", "The answer is 5, which is less than $7$.", "5", YES, YES),
    ("math_match", r"\boxed{\text{The answer is }5}", "5", YES, YES),
    ("math_match", r"\boxed{}", "0", NO, NO),
    ("fuzzy_match", "São Paulo", "Sao Paulo", YES, YES),
    ("fuzzy_match", "が", "か", NO, NO),
]
SPECIFIED: list[Case] = [
    ("numeric_match", "The answer is 10", "100", NO, NO),
    ("numeric_match", "", "0", NO, NO),
    ("fuzzy_match", "the", "Theseus", NO, NO),
    ("fuzzy_match", "It is not Paris, it is London", "Paris", NO, NO),
    ("multichoice_regex", "Answer: A is tempting. Final Answer: B", "B", YES, YES),
    ("multichoice_regex", "**Answer:** (B)", "B", YES, YES),
    ("multichoice_regex", "**B**", "B", YES, YES),
    ("multichoice_regex", "I think it is **B** here", "B", YES, NO),
    ("multichoice_regex", "(B)", "B", YES, YES),
    ("multichoice_regex", r"\boxed{B}", "B", YES, YES),
    ("multichoice_regex", "The answer is (B).", "B", YES, YES),
    ("multichoice_regex", "B.", "B", YES, YES),
    ("multichoice_regex", "Answer: Because it is so", "B", NO, NO),
    ("numeric_match", "Answer: $1,234.50", "1234.5", YES, NO),
    ("numeric_match", "Answer: १२३", "123", YES, YES),
    ("numeric_match", "Answer: 3/4", "0.75", YES, YES),
    ("numeric_match", "Answer: 75%", "0.75", YES, NO),
    ("numeric_match", "Answer: -7", "−7", YES, YES),
    ("numeric_match", "Answer: −7", "-7", YES, YES),
    ("numeric_match", "first 5, then 7, so 12 apples in total", "12", YES, NO),
    ("math_match", r"Answer: \frac{1}{2}", "0.5", YES, YES),
    ("math_match", "Answer: (1,2)", "(2,1)", NO, NO),
    ("math_match", "Answer: x^2-1", "(x-1)(x+1)", YES, YES),
    ("multichoice_regex", "<think>so... Answer: A</think> Answer: C", "C", YES, YES),
    ("multichoice_regex", "<think>so... Answer: A", "A", NO, NO),
    ("numeric_match", "72 km/h", "72", YES, NO),
    ("numeric_match", "$72", "72", YES, NO),
    ("numeric_match", "72%", "72", YES, NO),
    ("numeric_match", "72 apples", "72", YES, NO),
    ("numeric_match", "72", "72", YES, YES),
    ("numeric_match", "Answer: 1/3", "0.333", NO, NO),
    ("numeric_match", "Answer: 1,234", 1234, YES, YES),
    ("numeric_match", "A: 3", "3", YES, NO),
    ("numeric_match", "#### 3", "3", YES, NO),
    ("numeric_match", "so 3.", "3", YES, NO),
    ("numeric_match", "I cannot answer that.", "3", NO, NO),
    ("math_match", r"\boxed{1} or rather \boxed{2}", "2", YES, YES),
    ("math_match", r"\boxed{1} or rather \boxed{2}", "1", NO, NO),
    ("multichoice_regex", "Answer: E", "A", NO, NO),
]

NASTY: list[Case] = [
    # the last word counts
    ("numeric_match", "The answer is 5. Wait, no. The answer is 6.", "6", YES, YES),
    ("numeric_match", "The answer is 5. Wait, no. The answer is 6.", "5", NO, NO),
    ("multichoice_regex", "Answer: B\n\nActually, let me check.\nAnswer: C", "C", YES, YES),
    ("multichoice_regex", "The answer is B, not C.", "B", YES, YES),
    ("multichoice_regex", "Answer: B. No. Answer: Z", "B", NO, NO),
    # numbers that look alike
    ("numeric_match", "Answer: 1000", "1", NO, NO),
    ("numeric_match", "Answer: 5", "50", NO, NO),
    ("numeric_match", "Answer: 0", "", NO, NO),
    ("numeric_match", "Answer: 1.10", "1.1", YES, YES),
    ("numeric_match", "Answer: 1.01", "1.1", NO, NO),
    ("numeric_match", "Answer: 007", "7", YES, YES),
    ("numeric_match", "Answer: 1e3", "1000", YES, YES),
    ("numeric_match", r"Answer: $1.5 \times 10^{3}$", "1500", YES, YES),
    ("numeric_match", "Answer: 12.", "12", YES, YES),
    ("numeric_match", "Answer: **12**", "12", YES, YES),
    ("numeric_match", "Answer: $12$", "12", YES, YES),
    ("numeric_match", r"Answer: \(12\)", "12", YES, YES),
    ("numeric_match", "Answer: 12 (not 13)", "12", YES, NO),
    ("numeric_match", "The answer is 5 + 7 = 12.", "12", YES, NO),
    ("numeric_match", "Answer: -0", "0", YES, YES),
    ("numeric_match", "Answer: +4", "4", YES, YES),
    ("numeric_match", "Answer: 1 1/2", "1.5", YES, None),
    ("numeric_match", r"Answer: 1\frac{1}{2}", "3/2", YES, None),
    ("numeric_match", "Answer: 3.0", "3", YES, YES),
    ("numeric_match", "Answer: ٣٫٥", "3.5", YES, YES),
    ("numeric_match", "Answer: 1,23,456", "123456", YES, YES),
    ("numeric_match", "Answer: 1234567890123456789", "1234567890123456788", NO, NO),
    ("numeric_match", "Answer: 0.1", "0.10000000000000001", NO, NO),
    ("numeric_match", "on the 2nd try in 1999 there were none", "2", NO, NO),
    ("numeric_match", "x^2", "2", NO, NO),
    ("numeric_match", "H2O", "2", NO, NO),
    ("numeric_match", "#### 18\nQ: next question\nAnswer: 3", "18", NO, NO),
    ("numeric_match", "Answer: five", "5", YES, NO),
    ("numeric_match", "Answer: nan", "nan", NO, NO),
    ("numeric_match", "Answer: inf", "inf", NO, NO),
    ("numeric_match", "Answer: 1/0", "0", NO, NO),
    ("numeric_match", "So she has 18 eggs left.\n\nI hope this helps!", "18", YES, NO),
    ("numeric_match", "</think>Answer: 4", "4", YES, YES),
    ("numeric_match", "<think>4</think>", "4", NO, NO),
    ("numeric_match", "<think>a</think>The answer is <think>9</think> 4", "4", YES, YES),
    # letters that are words
    ("multichoice_regex", "Answer: A man walks in.", "A", NO, NO),
    ("multichoice_regex", "The answer is a mystery", "A", NO, NO),
    ("multichoice_regex", "I would not choose any", "A", NO, NO),
    ("multichoice_regex", "Answer: Dunno", "D", NO, NO),
    ("multichoice_regex", "Answer: B'", "B", NO, None),
    ("multichoice_regex", "Answer - b)", "B", NO, None),
    ("multichoice_regex", "answer: b", "B", YES, YES),
    ("multichoice_regex", "ANSWER: (C)", "C", YES, YES),
    ("multichoice_regex", "Answer: $\\textbf{(C)}$", "C", YES, YES),
    ("multichoice_regex", "Answer: C) because it is", "C", YES, YES),
    ("multichoice_regex", "A) no\nB) maybe\nC) yes", "C", NO, NO),
    ("multichoice_regex", "Answer:\n\n**D**", "D", YES, YES),
    ("multichoice_regex", "Option A is wrong. Option B is correct.", "B", YES, None),
    ("multichoice_regex", "Answer: A or B", "B", NO, NO),
    ("multichoice_regex", "Answer: A\u200b", "A", YES, YES),
    ("multichoice_regex", "Answer: Ａ", "A", YES, YES),
    # texts
    ("fuzzy_match", "Parisian", "Paris", NO, NO),
    ("fuzzy_match", "London or Paris", "Paris", NO, NO),
    ("fuzzy_match", "The capital is not Paris.", "Paris", NO, NO),
    ("fuzzy_match", "The capital is Paris.", "Paris", YES, NO),
    ("fuzzy_match", "Answer: paris!", "Paris", YES, YES),
    ("fuzzy_match", "Answer: \"Paris\"", "Paris", YES, YES),
    ("fuzzy_match", "!!!", "???", NO, NO),
    ("fuzzy_match", "an", "the", NO, NO),
    ("exact_match", "A", "a", YES, YES),
    ("exact_match", "ﬁne", "fine", YES, YES),
    ("exact_match", "Beyoncé", "Beyonce\u0301", YES, YES),
    ("exact_match", "İstanbul is it", "istanbul", NO, NO),
    ("includes", "We went to Theseus", "the", NO, NO),
    ("includes", "It costs 100", "10", NO, NO),
    ("includes", "It costs 1.5", "5", NO, NO),
    ("includes", "It costs -5", "5", NO, NO),
    ("includes", "pages 4-5", "5", YES, None),
    ("includes", "in Paris, France", "paris", YES, None),
    ("includes", "他住在北京市", "北京", YES, None),
    ("includes", "Anything", "", NO, NO),
    ("includes", "anything", "...", NO, NO),
    ("trivia_match", "Answer: The Beatles", "beatles", YES, YES),
    ("trivia_match", "the a an", "The", NO, NO),
    ("drop_match", "Answer: an", "the", NO, None),
    ("drop_match", "Answer: A", "A", YES, YES),
    ("trivia_match", "Answer: The The", ["The The"], YES, YES),
    ("trivia_match", "Answer: an", ["the"], NO, NO),
    ("drop_match", "Answer: 7 points", ["7"], NO, NO),
    ("drop_match", "Answer: 7.0", ["7"], YES, YES),
    # mathematics
    ("math_match", r"Answer: $\boxed{\frac{1}{\sqrt{2}}}$", r"\frac{\sqrt2}{2}", YES, YES),
    ("math_match", r"\boxed{\{1, 2\}}", r"\{2, 1\}", YES, YES),
    ("math_match", "Answer: [0,1)", "(0,1)", NO, NO),
    ("math_match", "Answer: 2\\pi", "6.28", NO, NO),
    ("math_match", "Answer: x = 5", "5", YES, YES),
    ("math_match", r"Answer: 50\%", "0.5", YES, YES),
    ("math_match", "Answer: 5 cm", "5", YES, YES),
    ("math_match", "Answer: 10", "100", NO, NO),
    ("math_match", r"so \boxed{", "", NO, NO),
    ("math_match", r"\boxed{}", "", NO, NO),
    ("math_match", "Hence\n$x=3$ follows as wished", "3", YES, NO),
    # JSON
    ("json_match", '```json\n{"a": 1}\n```', '{"a": 1.0}', YES, YES),
    ("json_match", 'Here: {"a": [1, {"b": null}]} ok', {"a": [1, {"b": None}]}, YES, NO),
    ("json_match", '{"a": true}', {"a": 1}, NO, NO),
    ("json_match", '{"a": NaN}', {"a": None}, NO, NO),
    ("json_match", "{'a': 1}", {"a": 1}, NO, NO),
    ("json_match", '{"a": 1', {"a": 1}, NO, NO),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "response", "target", "correct", "strict"), SPECIFIED + LATER + NASTY
)
def test_every_case_has_its_verdict(
    name: str, response: str, target: Any, correct: bool, strict: bool | None
) -> None:
    verdict = p.PRIMITIVES[name](ScorerInput(response, target))
    assert verdict["correct"] is correct, verdict
    if strict is not None:
        assert verdict["strict_correct"] is strict, verdict
    if verdict["extracted"] is not None:
        assert verdict["rule"]
        start, stop = verdict["span"]
        assert response[start:stop]


@pytest.mark.parametrize(
    ("said", "locale", "target"),
    [
        ("1 234,50", "fr", "1234.5"),
        ("1\u202f234,50", "fr", "1234.5"),
        ("1.234,5", "de", "1234.5"),
        ("1.234,5", None, "1234.5"),
        ("১২৩", "bn", "123"),
        ("１２３", "ja", "123"),
    ],
)
def test_numbers_of_other_languages(said: str, locale: str | None, target: str) -> None:
    sample = ScorerInput(f"Answer: {said}", target, config={"locale": locale})
    assert numeric_match(sample)["correct"] is True


def test_a_tolerance_is_asked_for() -> None:
    assert numeric_match(ScorerInput("Answer: 0.333", "1/3", config={"tolerance": 1e-3}))["correct"]
    assert not numeric_match(ScorerInput("Answer: 0.333", "1/3"))["correct"]


def test_letters_are_compared_after_shuffling() -> None:
    from random import Random

    from nemo_evaluator.benchmarks.gpqa import prepare

    row = {
        "Question": "?",
        "Correct Answer": "right",
        **{f"Incorrect Answer {i}": f"w{i}" for i in (1, 2, 3)},
    }
    for seed in range(8):
        prepared = prepare(dict(row), 0, Random(seed))
        letter = "ABCD"[prepared["choices"].index("right")]
        verdict = multichoice_regex(ScorerInput(f"Answer: {letter}", prepared["target"]))
        assert verdict["correct"] is True


STRICT = [
    ("multichoice_regex", "the answer is B", "B", ("answer_line",), False),
    ("multichoice_regex", "Answer: B", "B", ("answer_line",), True),
    ("multichoice_regex", "Answer: A. So the answer is B", "B", ("answer_line",), False),
    ("multichoice_regex", "Answer: B. So the answer is B", "B", ("answer_line",), True),
    ("multichoice_regex", "#### B", "B", ("hashes",), True),
    ("numeric_match", "#### 12", "12", ("hashes",), True),
    ("numeric_match", "#### 12", "12", ("answer_is",), False),
    ("numeric_match", "The answer is 12.", "12", ("answer_is",), True),
    ("numeric_match", "The answer is 12 eggs.", "12", ("answer_is",), False),
    ("numeric_match", "Antwort: 12", "12", ("answer_line",), False),
    ("math_match", "Answer: 5\n\\boxed{5}", "5", ("answer_line",), True),
    ("math_match", "\\boxed{5}", "5", ("answer_line",), False),
    ("trivia_match", "Paris", "Paris", ("whole",), True),
    ("trivia_match", "Answer: Paris", "Paris", ("whole",), False),
    ("drop_match", "It was 7", "7", ("answer_line",), False),
    ("fuzzy_match", "Paris", "Paris", ("answer_line",), False),
]


@pytest.mark.parametrize(("name", "response", "target", "asked", "strict"), STRICT)
def test_strict_is_what_was_asked_for(
    name: str, response: str, target: str, asked: tuple[str, ...], strict: bool
) -> None:
    by_argument = p.PRIMITIVES[name](ScorerInput(response, target), asked=asked)
    by_config = p.PRIMITIVES[name](ScorerInput(response, target, config={"asked": list(asked)}))
    assert by_argument == by_config
    assert by_argument["strict_correct"] is strict


async def test_strict_of_mathematics_is_the_same_in_a_coroutine() -> None:
    for response in ("Answer: 5\n\\boxed{6}", "\\boxed{5}", "Answer: 5", "it is $5$ then\nyes"):
        sample = ScorerInput(response, "5")
        for asked in (("answer_line",), ("boxed",), ("whole",), None):
            expected = p.math_match(sample, asked=asked)
            assert await p.math_match_async(sample, asked=asked) == expected


def test_a_format_that_does_not_exist_is_refused() -> None:
    from nemo_evaluator.errors import ConfigError

    with pytest.raises(ConfigError, match="unknown rule 'bold'"):
        numeric_match(ScorerInput("Answer: 3", "3", config={"asked": "bold"}))


OPTIONS = {"choices": ["Paris", "London", "New York", "None of the above"]}
BY_TEXT: list[tuple[str, dict[str, Any], str, bool | None]] = [
    ("London", OPTIONS, "B", True),
    ("The answer is **London**.", OPTIONS, "B", True),
    (r"\boxed{\text{London}}", OPTIONS, "B", True),
    ("<think>London</think>Answer: None of the above", OPTIONS, "D", True),
    ("The answer is London.", OPTIONS, "A", False),
    ("The answer is not London.", OPTIONS, "B", None),
    ("Answer: London or Paris", OPTIONS, "B", None),
    ("I love London", OPTIONS, "B", None),
    ("Answer: (A). Not London", OPTIONS, "A", True),
    ("Answer: 1", {"choices": ["0", "1", "2"]}, "B", True),
    ("Answer: 1", {"choices": ["1", "1.", "2"]}, "A", None),
    ("The answer is (C) both A and B.", {"choices": ["x", "y", "both A and B"]}, "C", True),
    ("D. (A), (B), and (C) are", {"choices": ["x", "y", "z", "(A), (B), and (C) are"]}, "D", True),
    ("The answer is (C) both A and B.", {"choices": ["x", "y", "z"]}, "C", None),
    ("Answer: y", {"choices": {"text": ["y", "x"], "label": ["1", "2"]}}, "1", True),
    ("Answer: red", {"options": {"A": "blue", "B": "red"}}, "B", True),
]


@pytest.mark.parametrize(("response", "row", "target", "correct"), BY_TEXT)
def test_the_text_of_an_option_is_its_label(
    response: str, row: dict[str, Any], target: str, correct: bool | None
) -> None:
    verdict = multichoice_regex(ScorerInput(response, target, metadata=row))
    assert verdict["correct"] is bool(correct)
    assert (verdict["extracted"] is None) is (correct is None)
    if verdict["rule"] == "option_text":
        assert verdict["strict_correct"] is False
