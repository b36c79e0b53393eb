"""What the repeats of a problem agree on, as counts of problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..types import Record, RolloutKey

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

LISTED = 20
ENOUGH_REPEATS = 3


class Agreement(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Agreement of repeats, over problems with two or more scored repeats."""

    problems: int
    same: int
    """Problems whose repeats all got the same reward."""
    always_right: int | None
    """None if rewards are graded: right and wrong cannot be distinguished."""
    always_wrong: int | None
    within_std: float
    """Root of the mean variance of the reward between the repeats of a problem."""
    right_counts: tuple[int, ...]
    """Problems right in 0, 1, … of all repeats, among those that have all; empty if graded."""
    unsteady: tuple[int, ...]
    """Indices of the problems that differ most between repeats, at most 20."""


def agreement(problems: Ints, rewards: Floats, right: Floats | None, n: int) -> Agreement | None:
    """Agreement over ``n`` repeats, from one row per scored rollout; None if no problem has two.

    Example: rewards 1 1 | 1 0 | 0 0 of three problems: same 2, always right 1, always wrong 1,
    right_counts 1, 1, 1, unsteady the second.
    """
    import numpy as np

    ids, codes, counts = np.unique(problems, return_inverse=True, return_counts=True)
    repeated = counts >= 2
    if not repeated.any():
        return None
    means = np.bincount(codes, weights=rewards) / counts
    squares = np.bincount(codes, weights=(rewards - means[codes]) ** 2)[repeated]
    variances = squares / (counts[repeated] - 1)
    varied = squares > 1e-12
    order = np.argsort(-variances, kind="stable")
    unsteady = ids[repeated][order[varied[order]]][:LISTED]
    always = never = None
    split: tuple[int, ...] = ()
    if right is not None:
        hits = np.bincount(codes, weights=right)
        always = int((hits == counts)[repeated].sum())
        never = int((hits == 0)[repeated].sum())
        whole = hits[counts == n].astype(np.int64)
        split = tuple(int(count) for count in np.bincount(whole, minlength=n + 1))
    return Agreement(
        problems=int(repeated.sum()),
        same=int((~varied).sum()),
        always_right=always,
        always_wrong=never,
        within_std=round(float(np.sqrt(variances.mean())), 6),
        right_counts=split,
        unsteady=tuple(int(problem) for problem in unsteady),
    )


class Sameness:
    """Counts the problems whose repeats all gave one text. Add rollouts in order of problems."""

    def __init__(self) -> None:
        self._problem = -1
        self._text: str | None = None
        self._repeats = self._same = 0

    def add(self, key: RolloutKey, text: str) -> None:
        """The answer of one repeat."""
        if key.problem_idx != self._problem:
            self._close()
            self._problem, self._text, self._repeats = key.problem_idx, text, 0
        elif text != self._text:
            self._text = None
        self._repeats += 1

    def count(self) -> int:
        """Problems with three repeats or more, all the same."""
        self._close()
        self._repeats = 0
        return self._same

    def _close(self) -> None:
        self._same += self._repeats >= ENOUGH_REPEATS and self._text is not None
