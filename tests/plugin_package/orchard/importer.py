"""An importer of almanacs: a line for each question, with the answer and what was said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from nemo_evaluator.importers.contract import Imported, Rollout
from nemo_evaluator.types import Problem, Score, Solution


class Almanac:
    """Reads files that end in ``.almanac``."""

    def takes(self, path: Path) -> bool:
        """By the name of the file."""
        return path.suffix == ".almanac"

    def read(self, path: Path) -> Sequence[Imported]:
        """One benchmark, named after the file."""
        lines = path.read_text().splitlines()

        def rollouts() -> Iterator[Rollout]:
            for idx, line in enumerate(lines):
                question, target, said = line.split("|")
                right = said == target
                yield Rollout(
                    problem=Problem(idx=idx, prompt=question, target=target),
                    solution=Solution(response=said),
                    score=Score(reward=float(right), correct=right, extracted=said),
                )

        return [
            Imported(
                name=path.stem,
                model="gardener",
                source=str(path),
                tool="almanac",
                size=len(lines),
                rollouts=rollouts,
            )
        ]
