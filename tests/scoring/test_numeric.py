"""What counts as the number of an answer, and what is no single number."""

from __future__ import annotations

import pytest

from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.numeric import number, numeric_match

RIGHT = [
    ("Answer: 2^10", "1024"),
    ("Answer: 2**10", "1024"),
    ("Answer: $10^{6}$", "1000000"),
    ("The answer is 10² .", "100"),
    ("Answer: 1.5e3", "1500"),
    ("Answer: 1.5 × 10^3", "1500"),
    ("Answer: 1.5E+3", "1500"),
    ("Answer: 6.02×10²³", "6.02e23"),
    ("Answer: 10⁻³", "0.001"),
    ("Answer: ½", "0.5"),
    ("Answer: 1½", "1.5"),
    ("Answer: 1 1/2", "1.5"),
    ("The answer is 2½ cups.", "2.5"),
    ("Answer: ¾", "0.75"),
    ("Answer: 3⁄4", "0.75"),
    ("Answer: —5", "-5"),
    ("Answer: ‐5", "-5"),
    ("Answer: ‑5", "-5"),
    ("Answer: ―5", "-5"),
    ("Answer: ﹣5", "-5"),
    ("Answer: minus five", "-5"),
    ("Answer: negative 5", "-5"),
    ("The answer is minus 5.", "-5"),
    ("It is negative 5", "-5"),
    ("Answer: 40K", "40000"),
    ("Answer: 2bn", "2000000000"),
    ("Answer: 3万", "30000"),
    ("Answer: 1.2 crore", "12000000"),
    ("Answer: 2 lakh", "200000"),
    ("Answer: $3.5M", "3500000"),
    ("Answer: 5 billion dollars", "5e9"),
    ("答案是3万元", "30000"),
    ("So it costs $3.5 million.", "3500000"),
    ("Answer: 2 thousand", "2000"),
    ("Answer: 3 hundred", "300"),
    ("Answer: 1 234 567", "1234567"),
    ("Answer: 1 234", "1234"),
    ("Answer: 1\u2009234", "1234"),
    ("Answer: 12,34,567", "1234567"),
    ("Answer: 1.234,56", "1234.56"),
    ("Answer: 1’234", "1234"),
    ("Answer: twelve", "12"),
    ("The answer is twenty-one.", "21"),
    ("Twelve", "12"),
    ("Answer: 5%", "0.05"),
    ("Answer: 50 percent", "0.5"),
    ("Answer: 3:45", "3:45"),
    ("Answer: 3:45 pm", "3:45 p.m."),
    ("Answer: 5-7", "5 to 7"),
    ("Answer: 5 or 7", "5 or 7"),
    ("Answer: 7, 5", "5, 7"),
    ("Answer: at least 5", "x >= 5"),
    ("Answer: 5 feet 3 inches", "5 ft 3 in"),
    ("Answer: 2024-05-17", "2024-05-17"),
    ("Answer: ５", "5"),
    ("Answer: ５．５", "5.5"),
    ("Answer:\u200b5", "5"),
    ("Answer: \u202a5\u202c", "5"),
    ("Answer: 5, not 7", "5"),
    ("The answer is 5 rather than 7", "5"),
    ("Answer: (5)", "5"),
    ("Answer: ~5", "5"),
    ("Answer: ≈5", "5"),
    ("Answer: about 5", "5"),
    ("Answer: 10/4", "2.5"),
    ("Respuesta: 5", "5"),
    ("La respuesta es 5 de 12.", "5"),
    ("Die Antwort ist 5 von 12.", "5"),
    ("La réponse est 5, sur 12.", "5"),
    ("Ответ: 5 из 12", "5"),
    ("答案是5，共12个", "5"),
    ("答えは5です。12ではない", "5"),
    ("정답은 5입니다. 12가 아닙니다", "5"),
    ("الجواب هو 5 من 12", "5"),
    ("उत्तर: 5 (12 में से)", "5"),
    ("Jibu: 5 kati ya 12", "5"),
    ("คำตอบ: 5 จาก 12", "5"),
    ("Đáp án: 5 trong 12", "5"),
    ("Odpowiedź: 5 z 12", "5"),
    ("Antwoord: 5 van 12", "5"),
    ("Answer: 12 eggs", "12"),
    ("Answer: 12 of the 20", "12"),
    ("Answer: 100 km/h", "100"),
    ("so there are 12 in total", "12"),
    ("Answer: 42</s>", "42"),
    ("Answer: 42<|im_end|>", "42"),
    ("The answer is not 12, it is 15.", "15"),
    ("Answer: 12?", "12"),
    ("Answer: 1e5", "100000"),
    ("Answer: 0,5", "0.5"),
    ("Answer: 1,5", "1.5"),
    ("Answer: 1,500", "1500"),
    ("Answer: 3 1/3", "10/3"),
    ("I get 3 1/3 in the end", "10/3"),
    ("Answer: one half", "1/2"),
    ("Answer: half", "0.5"),
]
WRONG = [
    ("The answer is 5", "-5"),
    ("Answer: 3.5 million", "3.5"),
    ("Answer: 1.5 mil", "1500000"),
    ("5", "5 or 7"),
    ("Answer: (5)", "-5"),
]
NO_NUMBER = [
    ("The answer is 5 or 7.", "5"),
    ("Answer: 3-5", "3"),
    ("Answer: 3–5", "5"),
    ("Answer: between 3 and 5", "3"),
    ("Answer: not 5", "5"),
    ("It isn't 5.", "5"),
    ("Answer: x > 5", "5"),
    ("Answer: at least 5", "5"),
    ("Answer: 5 or more", "5"),
    ("Answer: 5+", "5"),
    ("x ≥ 5", "5"),
    ("Answer: $x \\geq 5$", "5"),
    ("Answer: 5 ft 3 in", "5"),
    ("Answer: 2 h 30 min", "2"),
    ("Answer: 2 hours 30 minutes", "30"),
    ("Answer: 3:45", "3"),
    ("Answer: 3:4", "3"),
    ("Answer: 2024-05-17", "2024"),
    ("Answer: May 17, 2024", "17"),
    ("Answer: 17/05/2024", "17"),
    ("Answer: 17.05.2024", "17.05"),
    ("Answer: 3 to 4", "3"),
    ("Answer: 3 lb 4 oz", "3"),
    ("Answer: $5 and 30 cents", "5"),
    ("Answer: 5 dollars 30 cents", "5"),
    ("Answer: 5 ± 1", "5"),
    ("Answer: ±5", "5"),
    ("Answer: 5 × 3", "5"),
    ("Answer: 5 + 3", "5"),
    ("Answer: 5 - 3", "5"),
    ("Answer: √16", "16"),
    ("Answer: 5π", "5"),
    ("Answer: 5x + 3", "5"),
    ("Answer: 2x", "2"),
    ("Answer: 1,2,3", "1.2"),
    ("Answer: 3.5.2", "3.5"),
    ("v2", "2"),
    ("Answer: A4", "4"),
    ("Answer: 5th", "5"),
    ("Answer: COVID-19", "19"),
    ("Answer: 5'10\"", "5"),
    ("Answer: 5 apples and 3 pears", "5"),
    ("The numbers are 5 and 7.", "7"),
    ("He has 5 apples and 7 pears.", "7"),
    ("There are more than 12", "12"),
    ("Answer: -", "5"),
    ("Answer: 2 and a half", "2"),
    ("Answer: 5 (or 6)", "5"),
    ("Answer: 3x4", "3"),
]


@pytest.mark.parametrize(("response", "target"), RIGHT)
def test_the_number_is_read(response: str, target: str) -> None:
    verdict = numeric_match(ScorerInput(response, target))
    assert verdict["correct"] is True, verdict


@pytest.mark.parametrize(("response", "target"), WRONG)
def test_another_number_is_wrong(response: str, target: str) -> None:
    verdict = numeric_match(ScorerInput(response, target))
    assert verdict["correct"] is False and verdict["extracted"] is not None


@pytest.mark.parametrize(("response", "target"), NO_NUMBER)
def test_what_is_not_one_number_is_no_answer(response: str, target: str) -> None:
    verdict = numeric_match(ScorerInput(response, target))
    assert (verdict["correct"], verdict["extracted"], verdict["failure"]) == (
        False,
        None,
        "format_error",
    )


def test_spans_point_into_the_response_whatever_was_folded() -> None:
    response = "<think>9</think>\u200b\u200bAnswer:\u200b −1½ cups"
    verdict = numeric_match(ScorerInput(response, "-1.5"))
    assert verdict["correct"] is True
    assert response[slice(*verdict["span"])] == "−1½"


def test_an_earlier_number_does_not_stand_in_for_an_answer_that_is_none() -> None:
    assert number("First 12, so the answer is 5 or 7") is None
    assert number("First 12. x = 5 or x = 7") is None
