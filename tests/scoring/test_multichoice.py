"""Which label a response chooses, in many languages and shapes, and when it chooses none."""

from __future__ import annotations

from typing import Any

import pytest

from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.multichoice import multichoice_regex

RIGHT: list[tuple[str, Any]] = [
    ("Answer: A and C", "A, C"),
    ("Answer: A, C", "AC"),
    ("Answer: C/A", ["A", "C"]),
    ("Answer: AC", "A,C"),
    ("Answer: “B”", "B"),
    ("Answer: 'B'", "B"),
    ("Answer: ‘B’", "B"),
    ("Answer: «B»", "B"),
    ("Answer: 「B」", "B"),
    ("Answer: 【B】", "B"),
    ("Answer: （B）", "B"),
    ("Answer: <B>", "B"),
    ('Answer: "b"', "B"),
    ('"B"', "B"),
    ("'B'", "B"),
    ("(B)", "B"),
    ('The answer is "B".', "B"),
    ("Respuesta: B", "B"),
    ("La respuesta correcta es B", "B"),
    ("La respuesta correcta es la opción B.", "B"),
    ("Réponse : B", "B"),
    ("La bonne réponse est B.", "B"),
    ("La réponse est la lettre B", "B"),
    ("Die richtige Antwort ist B.", "B"),
    ("Die Antwort lautet: B", "B"),
    ("Risposta: B", "B"),
    ("La risposta corretta è B.", "B"),
    ("Resposta: B", "B"),
    ("A resposta correta é B.", "B"),
    ("A resposta correta é a alternativa B", "B"),
    ("Ответ: B", "B"),
    ("Правильный ответ — B", "B"),
    ("Правильный ответ: B", "B"),
    ("答案：B", "B"),
    ("答案为B", "B"),
    ("正确答案是B", "B"),
    ("因此选B", "B"),
    ("故选：B", "B"),
    ("我选择B", "B"),
    ("应选C", "C"),
    ("所以選擇 (B)", "B"),
    ("答え：B", "B"),
    ("答えはBです", "B"),
    ("正解はBです。", "B"),
    ("Bを選びます", "B"),
    ("정답: B", "B"),
    ("정답은 B입니다", "B"),
    ("답은 B", "B"),
    ("الإجابة: B", "B"),
    ("الإجابة الصحيحة هي B", "B"),
    ("الجواب هو B", "B"),
    ("उत्तर: B", "B"),
    ("सही उत्तर B है", "B"),
    ("উত্তর: B", "B"),
    ("সঠিক উত্তর হল B", "B"),
    ("Jibu: B", "B"),
    ("Jibu sahihi ni B", "B"),
    ("సమాధానం: B", "B"),
    ("คำตอบ: B", "B"),
    ("คำตอบคือ B", "B"),
    ("คำตอบที่ถูกต้องคือข้อ B", "B"),
    ("Jawaban: B", "B"),
    ("Jawaban yang benar adalah B", "B"),
    ("Cevap: B", "B"),
    ("Doğru cevap: B", "B"),
    ("Doğru cevap B'dir", "B"),
    ("Đáp án: B", "B"),
    ("Đáp án đúng là B", "B"),
    ("Tôi chọn B", "B"),
    ("Antwoord: B", "B"),
    ("Het juiste antwoord is B", "B"),
    ("Odpowiedź: B", "B"),
    ("Prawidłowa odpowiedź to B", "B"),
    ("Wybieram B", "B"),
    ("Elijo la opción B", "B"),
    ("Je choisis B", "B"),
    ("Ich wähle B", "B"),
    ("Scelgo B", "B"),
    ("Escolho a alternativa B", "B"),
    ("Я выбираю B", "B"),
    ("Saya memilih B", "B"),
    ("Answer: B is wrong, D is right", "D"),
    ("Answer\u200b: B", "B"),
    ("Answer: \u2066B\u2069", "B"),
    ("Ａｎｓｗｅｒ：Ｂ", "B"),
    ("Answer: 𝐁", "B"),
    ("Answer: Ⓑ", "B"),
    ("Answer: B\ufeff", "B"),
    ("Answer: B<|eot_id|>", "B"),
    ("Answer: A", ["A"]),
    ("Answer: B", 1),
    ("Answer: B", 1.0),
    ("Answer: B.", "b)"),
    ("Answer: B, because C is wrong", "B"),
    ("Answer: B. C is wrong", "B"),
    ("Answer: B; A is wrong.", "B"),
    ("The answer is B, not A.", "B"),
    ("Answer: A, I think", "A"),
    ("Answer: B!", "B"),
    ("Answer: B?", "B"),
    ("Answer is: B", "B"),
    ("Answer:B", "B"),
    ("answer=B", "B"),
    ("The final answer is: **B**", "B"),
    ("Answer: Option B", "B"),
    ("\\boxed B", "B"),
]
WRONG: list[tuple[str, Any]] = [
    ("Answer: A", "AC"),
]
NO_CHOICE = [
    ("Answer: A and B", "A"),
    ("Answer: A/B", "A"),
    ("Answer: A or B", "A"),
    ("Answer: (A), (C)", "A"),
    ("Answer: A & B", "B"),
    ("Answer: A+B", "A"),
    ("The answer is both A and C", "C"),
    ("**A** and **C**", "C"),
    ("不应选A", "A"),
    ("La respuesta no es A", "A"),
    ("La réponse n'est pas A", "A"),
    ("Die Antwort ist nicht A", "A"),
    ("答案不是A", "A"),
    ("Ответ не A", "A"),
    ("I would not choose A", "A"),
    ("**A** is incorrect.", "A"),
    ("The answer cannot be **A**", "A"),
    ("I'd rule out A", "A"),
    ("A is wrong", "A"),
    ("A\nC", "A"),
    ("Answer: A B", "A"),
    ("Answer: B, C", "B"),
    ("Answer: B’s", "B"),
    ("Answer - B", "B"),
    ("Option B", "B"),
    ("Answer: None", "A"),
]
BAD_TARGET: list[tuple[str, Any]] = [
    ("Answer: -1", -1),
    ("Answer: A", None),
    ("Answer: A", "Z9"),
    ("Answer: A", []),
    ("Answer: A", True),
]
OWN_PATTERN: list[tuple[str, str, Any, bool | None]] = [
    ("[1-4]", "Answer: 2", "2", True),
    ("[1-4]", "Answer: 2", 2, True),
    ("yes|no", "I say yes", "yes", True),
    ("yes|no", "I say no", "yes", False),
    ("(?i)yes|no", "YES", "yes", True),
    ("\\((\\d+)\\)", "(1) then (12)", "12", True),
    ("true|false", "it is false", False, True),
    ("choice: (\\w+)", "choice: north", "North", True),
    ("[a-d]", "b", "B", True),
    ("[A-D]", "B", 1, True),
    ("[①②③]", "②", "②", True),
    ("yes|no", "maybe", "yes", None),
]
OWN_LABELS: list[tuple[str, str, str, bool | None]] = [
    ("1234", "Answer: 2", "2", True),
    ("1234", "The answer is (3).", "3", True),
    ("1234", "**4**", "4", True),
    ("1234", "2", "2", True),
    ("1234", "Answer: 12", "1", None),
    ("1234", "Answer: 2.5", "2", None),
    ("АБВГ", "Ответ: Б", "Б", True),
    ("АБВГ", "Б", "Б", True),
    ("TF", "Answer: T", "T", True),
    ("12", "Answer: 1 and 2", "1", None),
]


@pytest.mark.parametrize(("response", "target"), RIGHT)
def test_the_label_is_read(response: str, target: Any) -> None:
    verdict = multichoice_regex(ScorerInput(response, target))
    assert verdict["correct"] is True, verdict


@pytest.mark.parametrize(("response", "target"), WRONG)
def test_another_label_is_wrong(response: str, target: Any) -> None:
    verdict = multichoice_regex(ScorerInput(response, target))
    assert verdict["correct"] is False and verdict["extracted"] is not None


@pytest.mark.parametrize(("response", "target"), NO_CHOICE)
def test_no_single_label_is_no_answer(response: str, target: str) -> None:
    verdict = multichoice_regex(ScorerInput(response, target))
    assert (verdict["correct"], verdict["extracted"]) == (False, None)


@pytest.mark.parametrize(("response", "target"), BAD_TARGET)
def test_a_target_that_names_no_option_is_said(response: str, target: Any) -> None:
    verdict = multichoice_regex(ScorerInput(response, target))
    assert (verdict["correct"], verdict["failure"]) == (False, "impossible_target")
    assert verdict["reason"]


@pytest.mark.parametrize(("pattern", "response", "target", "correct"), OWN_PATTERN)
def test_a_pattern_of_your_own_reads_what_it_names(
    pattern: str, response: str, target: Any, correct: bool | None
) -> None:
    verdict = multichoice_regex(ScorerInput(response, target), pattern=pattern)
    assert verdict["correct"] is bool(correct)
    assert (verdict["extracted"] is None) == (correct is None)


@pytest.mark.parametrize(("options", "response", "target", "correct"), OWN_LABELS)
def test_options_may_have_other_labels_than_letters(
    options: str, response: str, target: str, correct: bool | None
) -> None:
    verdict = multichoice_regex(ScorerInput(response, target, config={"options": options}))
    assert verdict["correct"] is bool(correct)
    assert (verdict["extracted"] is None) == (correct is None)


def test_the_options_of_a_row_may_name_their_labels() -> None:
    choices = {"text": ["w", "x", "y", "z"], "label": ["1", "2", "3", "4"]}
    assert multichoice_regex(ScorerInput("Answer: 3", "3", {"choices": choices}))["correct"]
    beyond = multichoice_regex(ScorerInput("Answer: A", "4", {"choices": ["w", "x", "y", "z"]}))
    assert beyond["failure"] == "impossible_target"
