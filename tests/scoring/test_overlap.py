from __future__ import annotations

import builtins
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.scoring import measures, overlap
from nemo_evaluator.scoring.input import ScorerInput

letters = st.text("abcd", max_size=12)


def slow_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y)),
            )
    return row[-1]


def slow_common(a: str, b: str) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], diagonal + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


@given(letters, letters)
def test_bit_parallel_equals_the_textbook(a: str, b: str) -> None:
    assert overlap.levenshtein(a, b) == slow_distance(a, b)
    assert overlap.longest_common_subsequence(a, b) == slow_common(a, b)


@given(letters, letters)
def test_measures_are_symmetric_bounded_and_one_for_equals(a: str, b: str) -> None:
    for measure in (overlap.rouge_l, overlap.edit_similarity):
        assert measure(a, b) == pytest.approx(measure(b, a))
        assert 0.0 <= measure(a, b) <= 1.0
        assert measure(a, a) == (1.0 if a else 0.0)


def test_rouge_l_worked_example() -> None:
    # Lin 2004, section 3.1: S1 "police killed the gunman", S2 "police kill the gunman": LCS 3 of 4;
    # S3 "the gunman kill police": LCS 2 of 4
    gold = "police killed the gunman"
    assert overlap.rouge_l("police kill the gunman", gold) == 0.75
    assert overlap.rouge_l("the gunman kill police", gold) == 0.5
    assert overlap.rouge_l("Полиция здесь.", "полиция здесь") == 1.0


def test_long_texts_cost_milliseconds() -> None:
    text = "one two three four five " * 2000
    start = time.perf_counter()
    overlap.rouge_l(text, text[::-1])
    overlap.levenshtein(text[:20_000], text[7:20_007])
    assert time.perf_counter() - start < 5


def test_measures_reward_the_best_reference() -> None:
    sample = ScorerInput(
        "<think>no</think>the cat sat", ["a dog", "the cat sat down"], {"correct_answers": ["x"]}
    )
    for measure in (measures.rouge_l, measures.edit_distance):
        verdict = measure(sample)
        assert 0.6 < verdict["reward"] < 1 and "correct" not in verdict
        assert sample.response[slice(*verdict["span"])] == "the cat sat"
    assert measures.f1(sample)["reward"] == pytest.approx(0.8)
    assert measures.f1(ScorerInput("Answer: cat sat", "The cat sat!"))["reward"] == 1.0


def test_bleu_and_chrf_are_sacrebleus() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    said, gold = "the cat sat on the mat", ["the cat is on the mat", "a cat sat on the mat"]
    sample = ScorerInput(said, gold)
    expected = sacrebleu.sentence_bleu(said, gold).score / 100
    assert measures.bleu(sample)["reward"] == pytest.approx(expected)
    assert measures.chrf(sample)["reward"] == pytest.approx(
        sacrebleu.sentence_chrf(said, gold).score / 100
    )
    # two segments, of which the second has one reference only
    two = overlap.bleu([said, said], [gold, gold[:1]])
    assert 0 < two < 100


def test_without_sacrebleu_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name in ("sacrebleu", "jsonschema"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"nemo-evaluator\[scoring\]"):
        measures.chrf(ScorerInput("a", "a"))
