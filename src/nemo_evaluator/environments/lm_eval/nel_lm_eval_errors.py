"""Beside ``worker.py``: lm_eval's standard errors by bootstrap, in seconds where it takes minutes.

The draws are lm_eval's own (Python's generator, seeded 0, 1, 2 ... for each 1,000), made by numpy's
implementation of the same generator; the statistics are those of lm_eval, of all draws at once.
Invariant: the error is lm_eval's to rounding; what is not known here, or not a number, is left to
lm_eval.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Theirs = Any
"""An object of lm_eval or numpy, whose types are not ours to know."""
CHUNK = 1000
"""Draws that lm_eval makes with one seed."""
AT_ONCE = 1 << 21
"""Numbers that are drawn at once, about."""
Statistic = Callable[[Theirs], Theirs]
"""Of a matrix of places, a draw in each line: the value of each draw."""


@contextlib.contextmanager
def quick_errors() -> Iterator[None]:
    """lm_eval bootstraps by this module."""
    from lm_eval.api import metrics

    slow = metrics.bootstrap_stderr

    def bootstrapped(function: Theirs, items: Sequence[Theirs], iters: int) -> float:
        made = STATISTICS.get(getattr(function, "__name__", ""))
        known = getattr(metrics, getattr(function, "__name__", ""), None) is function
        statistic = made(items) if made is not None and known else None
        try:
            if statistic is None:
                return float(slow(function, items, iters))
            return float(metrics.sample_stddev(_drawn(statistic, len(items), iters)))
        except (OverflowError, ZeroDivisionError):  # an infinite perplexity, fewer than two draws
            return float("nan")

    metrics.bootstrap_stderr = bootstrapped
    try:
        yield
    finally:
        metrics.bootstrap_stderr = slow


def _drawn(statistic: Statistic, size: int, iters: int) -> list[float]:
    """The statistic of each draw."""
    import numpy as np

    chunk, found = min(CHUNK, iters), list[float]()
    lines = max(1, AT_ONCE // size)
    for seed in range(iters // chunk):
        _, state, _ = random.Random(seed).getstate()
        generator = np.random.RandomState()
        key = np.array(state[:-1], dtype=np.uint32)
        generator.set_state(("MT19937", key, state[-1], 0, 0.0))
        for start in range(0, chunk, lines):
            drawn = generator.random_sample((min(lines, chunk - start), size))
            places = (drawn * float(size)).astype(np.int64)
            found += statistic(places).tolist()
    return found


def _perplexity(items: Sequence[Theirs]) -> Statistic | None:
    import numpy as np

    values = np.asarray(items, dtype=float)
    if values.ndim != 1 or not np.isfinite(np.exp(-values.min())):
        return None
    return lambda places: np.exp(-values[places].mean(axis=1))


def _median(items: Sequence[Theirs]) -> Statistic | None:
    import numpy as np

    values, middle = np.asarray(items, dtype=float), len(items) // 2
    if values.ndim != 1 or not np.isfinite(values).all():
        return None
    return lambda places: np.partition(values[places], middle, axis=1)[:, middle]


def _f1(items: Sequence[Theirs]) -> Statistic | None:
    """Of label 1, as scikit-learn has it."""
    pairs = _pairs(items)
    if pairs is None or pairs.min() < 0 or pairs.max() > 1:
        return None

    def f1(places: Theirs) -> Theirs:
        import numpy as np

        counts = _counted(places, pairs, 2)
        both = 2.0 * counts[:, 1, 1]
        either = counts[:, 1, :].sum(axis=1) + counts[:, :, 1].sum(axis=1)
        return np.divide(both, either, out=np.zeros(len(counts)), where=either > 0)

    return f1


def _mcc(items: Sequence[Theirs]) -> Statistic | None:
    """Matthews' correlation of any number of labels, as scikit-learn has it."""
    import numpy as np

    pairs = _pairs(items)
    if pairs is None:
        return None
    labels, codes = np.unique(pairs, return_inverse=True)
    codes = codes.reshape(pairs.shape)

    def mcc(places: Theirs) -> Theirs:
        counts = _counted(places, codes, len(labels)).astype(float)
        right, size = np.trace(counts, axis1=1, axis2=2), float(places.shape[1])
        golds, chosen = counts.sum(axis=2), counts.sum(axis=1)
        both = right * size - (golds * chosen).sum(axis=1)
        spread = (size**2 - (golds**2).sum(axis=1)) * (size**2 - (chosen**2).sum(axis=1))
        return np.divide(both, np.sqrt(spread), out=np.zeros(len(counts)), where=spread > 0)

    return mcc


def _pairs(items: Sequence[Theirs]) -> Theirs:
    """Pairs of whole numbers, right one first; None for any other."""
    import numpy as np

    pairs = np.asarray(items) if all(len(item) == 2 for item in items) else np.zeros(0)
    return pairs if pairs.ndim == 2 and pairs.dtype.kind in "iu" else None


def _counted(places: Theirs, codes: Theirs, labels: int) -> Theirs:
    """For each draw how often each pair is in it."""
    import numpy as np

    kinds = labels * labels
    drawn = (codes[:, 0] * labels + codes[:, 1])[places]
    drawn += np.arange(len(places))[:, None] * kinds
    counts = np.bincount(drawn.ravel(), minlength=len(places) * kinds)
    return counts.reshape(len(places), labels, labels)


STATISTICS: dict[str, Callable[[Sequence[Theirs]], Statistic | None]] = {
    "perplexity": _perplexity,
    "median": _median,
    "f1_score": _f1,
    "matthews_corrcoef": _mcc,
}
"""By the name of lm_eval's function."""
