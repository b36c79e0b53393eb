"""A report in three lines."""

from __future__ import annotations

from nemo_evaluator.reports.view import Report


class Haiku:
    """The number of results, their names, and whether they mean anything."""

    suffix = "haiku"

    def render(self, report: Report) -> str:
        """The text."""
        names = ", ".join(report.benchmarks)
        last = "Nothing was real." if report.simulated else "All of it happened."
        return f"{len(report.results)} scores in a row\n{names}\n{last}\n"
