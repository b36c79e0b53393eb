"""The official DROP metric: exact match and F1 over bags of spans.

Source of the rules: Dua et al. 2019 (arXiv 1903.00161) and AllenNLP's ``drop_em_and_f1``. Spans
of prediction and gold are aligned one to one for the best total F1; a gold span with a number
scores only against a prediction with one of its numbers; F1 is rounded to two decimals; the best
of several annotators' answers counts.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

from .late import late_pattern

_SPLIT = late_pattern(r"[ -]")
_ARTICLES = late_pattern(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

Answer = str | Sequence[str]


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def _normalize_token(token: str) -> str:
    token = token.lower()
    if not _is_number(token):
        token = token.translate(_PUNCTUATION)
    if _is_number(token):
        token = str(float(token))
    return " ".join(_ARTICLES.sub(" ", token).split())


def normalize_span(text: str) -> str:
    """Tokens at spaces and hyphens, lower case, punctuation kept in numbers only."""
    tokens = (_normalize_token(token) for token in _SPLIT.split(text))
    return " ".join(token for token in tokens if token.strip()).strip()


def _spans(answer: Answer) -> list[str]:
    return [normalize_span(part) for part in ([answer] if isinstance(answer, str) else answer)]


def _folded(answer: Answer) -> list[str]:
    return [part.strip().lower() for part in ([answer] if isinstance(answer, str) else answer)]


def _bag_f1(predicted: set[str], gold: set[str]) -> float:
    gold_numbers = {word for word in gold if _is_number(word)}
    if gold_numbers and gold_numbers.isdisjoint(w for w in predicted if _is_number(w)):
        return 0.0
    overlap = len(predicted & gold)
    precision = overlap / len(predicted) if predicted else 1.0
    recall = overlap / len(gold) if gold else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def assignment(scores: Sequence[Sequence[float]]) -> float:
    """The largest total of a one-to-one assignment of rows to columns (Hungarian, O(n²·m)).

    >>> assignment([[1.0, 0.9], [0.9, 0.0]])
    1.8
    """
    if not scores or not scores[0]:
        return 0.0
    if len(scores) > len(scores[0]):
        scores = list(zip(*scores, strict=True))
    rows, columns = len(scores), len(scores[0])
    infinity = float("inf")
    row_price, column_price = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        slack, path = [infinity] * (columns + 1), [0] * (columns + 1)
        used = [False] * (columns + 1)
        while owner[column]:
            used[column] = True
            best, delta = 0, infinity
            current = owner[column]
            for j in range(1, columns + 1):
                if used[j]:
                    continue
                cost = -scores[current - 1][j - 1] - row_price[current] - column_price[j]
                if cost < slack[j]:
                    slack[j], path[j] = cost, column
                if slack[j] < delta:
                    delta, best = slack[j], j
            for j in range(columns + 1):
                if used[j]:
                    row_price[owner[j]] += delta
                    column_price[j] -= delta
                else:
                    slack[j] -= delta
            column = best
        while column:
            owner[column] = owner[path[column]]
            column = path[column]
    return sum(scores[owner[j] - 1][j - 1] for j in range(1, columns + 1) if owner[j])


def em_and_f1(predicted: Answer, gold: Answer) -> tuple[float, float]:
    """Exact match and F1 of one prediction against one annotator's answer.

    >>> em_and_f1(["78-yard"], ["78"])
    (0.0, 0.67)
    """
    said, right = _spans(predicted), _spans(gold)
    if not any(said) or not any(right):  # articles alone: "an" is not "the"
        said, right = _folded(predicted), _folded(gold)
    if not (predicted if isinstance(predicted, str) else "".join(predicted)).strip():
        return 0.0, 0.0
    exact = float(set(said) == set(right) and len(said) == len(right))
    if exact and len(said) == 1:
        return 1.0, 1.0
    table = [[_bag_f1(set(s.split()), set(g.split())) for s in said] for g in right]
    longest = max(len(said), len(right))
    return exact, round(assignment(table) / longest, 2) if longest else 0.0


def best_em_and_f1(predicted: Answer, golds: Sequence[Answer]) -> tuple[float, float]:
    """The best exact match and the best F1 over annotators; (0, 0) without golds."""
    scores = [em_and_f1(predicted, gold) for gold in golds]
    return max((em for em, _ in scores), default=0.0), max((f1 for _, f1 in scores), default=0.0)
