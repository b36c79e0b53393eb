from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.scoring.drop import assignment, best_em_and_f1, em_and_f1


@pytest.mark.parametrize(
    ("said", "gold", "em", "f1"),
    [
        ("17", "17.0", 1.0, 1.0),
        (["7 points"], ["7"], 0.0, 0.67),
        (["8"], ["7"], 0.0, 0.0),
        (["8 yards"], ["7 yards"], 0.0, 0.0),
        (["Smith", "Jones"], ["Jones", "Smith"], 1.0, 1.0),
        (["Smith"], ["Jones", "Smith"], 0.0, 0.5),
        ("", "7", 0.0, 0.0),
        ("", "the", 0.0, 0.0),
        ("the north-east", "north east", 1.0, 1.0),
    ],
)
def test_em_and_f1(said: str | list[str], gold: str | list[str], em: float, f1: float) -> None:
    assert em_and_f1(said, gold) == (em, f1)


def test_the_best_annotator_counts() -> None:
    assert best_em_and_f1("3", ["4", "3 goals", "3"]) == (1.0, 1.0)
    assert best_em_and_f1("3", []) == (0.0, 0.0)


@given(
    st.integers(1, 4).flatmap(
        lambda columns: st.lists(
            st.lists(st.floats(0, 1), min_size=columns, max_size=columns), min_size=1, max_size=4
        )
    )
)
def test_assignment_is_optimal(scores: list[list[float]]) -> None:
    wide = scores if len(scores) <= len(scores[0]) else [list(c) for c in zip(*scores, strict=True)]
    best = max(
        sum(row[column] for row, column in zip(wide, order, strict=True))
        for order in permutations(range(len(wide[0])), len(wide))
    )
    assert assignment(scores) == pytest.approx(best)
