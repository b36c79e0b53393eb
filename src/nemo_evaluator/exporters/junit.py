"""A run as JUnit XML, for the test report of a CI: a suite per benchmark, a case per rollout.

A wrong answer is a failure, a rollout without a verdict an error, metrics alone are skipped. A run
has one file, which is replaced as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import BinaryIO
from xml.sax.saxutils import quoteattr

from ..files.writing import replacing
from ..reports.escape import one_line
from ..results.published import Published
from ..results.result_row import ResultRow
from ..results.tables import plain_text
from ..results.view import BenchmarkView, RunView
from .options import FileOptions
from .times import spent_ms

SHOWN = 300
"""Characters of an answer that a message shows."""
HEAD = b'<?xml version="1.0" encoding="utf-8"?>\n'


class Junit:
    """One file per run, ``<output_dir>/<run id>.junit.xml``."""

    class Options(FileOptions):
        """What counts as passed, and where it is written."""

        least_reward: float = 1.0
        """The reward from which on a rollout has passed, where its verdict is not yes or no."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def export(self, run: RunView) -> Sequence[str]:
        """See ``Exporter.export``."""
        path = self._options.folder(run) / f"{run.run_id}.junit.xml"
        with replacing(path) as file:
            file.write(HEAD + b"<testsuites" + _attributes(name=f"nel {run.run_id}") + b">\n")
            for benchmark in run.benchmarks():
                self._suite(file, benchmark)
            file.write(b"</testsuites>\n")
        return [str(path)]

    def _suite(self, file: BinaryIO, benchmark: BenchmarkView) -> None:
        bundle = benchmark.bundle
        counts = Counter(self._result(row)[0] for row in benchmark.rows())
        head = _attributes(
            name=bundle.slug,
            tests=counts.total(),
            failures=counts["failure"],
            errors=counts["error"],
            skipped=counts["skipped"],
            time=bundle.runtime.elapsed_seconds,
            timestamp=bundle.created,
        )
        file.write(b"  <testsuite" + head + b">\n    <properties>\n")
        for name, value in _properties(bundle):
            file.write(b"      <property" + _attributes(name=name, value=value) + b"/>\n")
        file.write(b"    </properties>\n")
        for row in benchmark.rows():
            file.write(self._case(bundle, row))
        file.write(b"  </testsuite>\n")

    def _case(self, bundle: Published, row: ResultRow) -> bytes:
        spent = spent_ms(row)
        name = f"problem {row.problem_idx}"
        if (bundle.repeats or 1) > 1 or row.repeat:
            name += f" repeat {row.repeat}"
        head = _attributes(
            classname=bundle.slug, name=name, time=None if spent is None else f"{spent / 1000:.6f}"
        )
        tag, message = self._result(row)
        if not tag:
            return b"    <testcase" + head + b"/>\n"
        kind = row.failure.value if row.failure is not None else "wrong"
        child = f"<{tag}".encode() + _attributes(message=message, type=kind) + b"/>"
        return b"    <testcase" + head + b">" + child + b"</testcase>\n"

    def _result(self, row: ResultRow) -> tuple[str, str]:
        """The element that says how it went, none if it passed, and why."""
        if not row.judged:
            return "error", row.error or f"no verdict: {row.failure or row.outcome}"
        if row.reward is None:
            return "skipped", "its verdict is metrics alone"
        correct = row.scoring_details.get("correct")
        if correct if isinstance(correct, bool) else row.reward >= self._options.least_reward:
            return "", ""
        got, expected = plain_text(row.extracted_answer), plain_text(row.expected_answer)
        words = [f"reward {row.reward:g}"]
        words += [] if expected is None else [f"expected {_short(expected)}"]
        words += [] if got is None else [f"got {_short(got)}"]
        return "failure", "; ".join(words)


def _properties(bundle: Published) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = [
        ("run_id", bundle.run_id),
        ("model", bundle.model),
        ("coverage", bundle.coverage),
    ]
    for name, measure in bundle.metrics.items():
        found.append((name, measure.value))
        found.append((f"{name} ci_lower", measure.ci_lower))
        found.append((f"{name} ci_upper", measure.ci_upper))
    return [(name, value) for name, value in found if value is not None]


def _attributes(**values: object) -> bytes:
    """Attributes of an element; those that are None are left out."""
    texts = {name: str(value) for name, value in values.items() if value is not None}
    text = "".join(f" {name}={quoteattr(_xml(value))}" for name, value in texts.items())
    return text.encode(errors="replace")


def _xml(text: str) -> str:
    """A text in one line, without the characters that XML cannot hold."""
    return one_line(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"
