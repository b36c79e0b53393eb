"""Figures of the code: lengths of files and functions, ``Any``, tests beside sources.

    python benchmarks/code_figures.py

``tests/test_code_figures.py`` holds the limits.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TESTS = ROOT / "src" / "nemo_evaluator", ROOT / "tests"
LONG = 60
ROOMS = ("engine", "results", "reports", "decisions")
"""Rooms that should have as many lines of tests as of source."""


@dataclass(frozen=True)
class Figures:
    """Of one tree of Python files. Lengths in lines."""

    files: tuple[int, ...]
    functions: tuple[int, ...]
    anys: int
    """Lines that say ``Any``, imports apart."""

    @property
    def lines(self) -> int:
        """Of all files."""
        return sum(self.files)

    @property
    def any_rate(self) -> float:
        """``Any`` per 1,000 lines."""
        return 1000 * self.anys / self.lines

    @property
    def long_share(self) -> float:
        """Share of the functions that are longer than 60 lines."""
        return sum(length > LONG for length in self.functions) / len(self.functions)


def figures(folder: Path) -> Figures:
    """Read every file below a folder."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))]
    said = (line for text in texts for line in text.splitlines())
    anys = sum(bool(re.search(r"\bAny\b", line)) for line in said if "import" not in line)
    functions = tuple(length for text in texts for length in _functions(text))
    return Figures(tuple(text.count("\n") for text in texts if text), functions, anys)


def at(share: float, values: Sequence[int]) -> int:
    """A percentile, by the nearest rank."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _functions(text: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def _spread(values: Sequence[int], *shares: float) -> str:
    return " / ".join(str(at(share, values)) for share in shares) + f" / {max(values)}"


def main() -> None:
    """Print the table."""
    found, tests = figures(SOURCE), figures(TESTS)
    print(f"{len(found.files)} files, {found.lines:,} lines")
    print(f"lines of a file, median / p90 / max: {_spread(found.files, 0.5, 0.9)}")
    print(f"lines of a function, median / p90 / p99 / max: "
          f"{_spread(found.functions, 0.5, 0.9, 0.99)}")  # fmt: skip
    print(f"functions longer than {LONG} lines: {found.long_share:.2%}")
    print(f"Any per 1,000 lines: {found.any_rate:.1f}")
    print(f"test lines ÷ source lines: {tests.lines / found.lines:.2f}")
    for room in ROOMS:
        share = figures(TESTS / room).lines / figures(SOURCE / room).lines
        print(f"  {room}: {share:.2f}")


if __name__ == "__main__":
    main()
