"""How alike two texts are: ROUGE-L, Levenshtein, BLEU, chrF. Pure functions; empty is like nothing.

The first two are our own, by bit-parallel dynamic programming (one big integer per row): a text of
ten thousand words costs milliseconds. BLEU and chrF are sacrebleu's (extra ``scoring``).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .late import late_pattern

if TYPE_CHECKING:
    from types import ModuleType

_WORD = late_pattern(r"\w+")


def words(text: str) -> list[str]:
    """Lower-case words without punctuation, as ROUGE counts them, in any script."""
    return _WORD.findall(text.lower())


def longest_common_subsequence(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence (Hyyrö 2004, bit-parallel).

    >>> longest_common_subsequence("police killed".split(), "police kill killed".split())
    2
    """
    where = _positions(a)
    full = (1 << len(a)) - 1
    row = full
    for item in b:
        matches = row & where.get(item, 0)
        row = ((row + matches) | (row - matches)) & full
    return len(a) - row.bit_count()


def _positions(items: Iterable[Hashable]) -> dict[Hashable, int]:
    """Each item with the positions it stands at, as bits."""
    where: dict[Hashable, int] = {}
    bit = 1
    for item in items:
        where[item] = where.get(item, 0) | bit
        bit <<= 1
    return where


def rouge_l(prediction: str, reference: str) -> float:
    """Sentence-level ROUGE-L in 0..1: the F-measure (β = 1) of the longest common subsequence of
    words. Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", equations
    2-4, without stemming.

    >>> round(rouge_l("police kill the gunman", "police killed the gunman"), 3)
    0.75
    """
    said, gold = words(prediction), words(reference)
    if not said or not gold:
        return 0.0
    common = longest_common_subsequence(said, gold)
    return 2 * common / (len(said) + len(gold))


def levenshtein(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Insertions, deletions and substitutions from one sequence to the other (Myers 1999 in the
    form of Hyyrö 2003, bit-parallel).

    >>> levenshtein("kitten", "sitting")
    3
    """
    if not a or not b:
        return len(a) + len(b)
    where, size = _positions(a), len(a)
    full, last = (1 << size) - 1, 1 << (size - 1)
    plus, minus, distance = full, 0, size
    for item in b:
        equal = where.get(item, 0)
        diagonal = (((equal & plus) + plus) ^ plus) | equal | minus
        up = minus | (full & ~(diagonal | plus))
        down = plus & diagonal
        distance += 1 if up & last else -1 if down & last else 0
        up = ((up << 1) | 1) & full
        plus = ((down << 1) & full) | (full & ~(diagonal | up))
        minus = up & diagonal
    return distance


def edit_similarity(a: str, b: str) -> float:
    """1 minus the Levenshtein distance over the longer length, in 0..1; 0 if either is empty.

    >>> round(edit_similarity("kitten", "sitting"), 3)
    0.571
    """
    return 1 - levenshtein(a, b) / max(len(a), len(b)) if a and b else 0.0


def bleu(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU of a corpus in 0..100 (Papineni et al. 2002), sacrebleu's with its defaults; of one
    segment its sentence BLEU. ``references[i]`` are those of prediction ``i``. Raises ConfigError
    where sacrebleu is not installed."""
    library = _sacrebleu()
    if len(predictions) == 1:
        return float(library.sentence_bleu(predictions[0], list(references[0])).score)
    return float(library.corpus_bleu(list(predictions), _by_column(references)).score)


def chrf(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """chrF2 of a corpus in 0..100 (Popović 2015), sacrebleu's. Raises ConfigError where it is not
    installed."""
    return float(_sacrebleu().corpus_chrf(list(predictions), _by_column(references)).score)


def _by_column(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """sacrebleu wants the first references of all segments, then the second ones, ..."""
    most = max((len(row) for row in references), default=0)
    return [[row[at] if at < len(row) else None for row in references] for at in range(most)]


def _sacrebleu() -> ModuleType:
    try:
        import sacrebleu
    except ImportError:
        raise ConfigError(
            "BLEU and chrF need sacrebleu", hint="pip install 'nemo-evaluator[scoring]'"
        ) from None
    return sacrebleu
