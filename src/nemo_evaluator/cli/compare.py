"""`nel compare`: is the difference between two runs real?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .decision_options import DIRECTION, FORCE, METRIC
from .numbers import FloatRange
from .report_format import FORMAT, as_json, print_report

if TYPE_CHECKING:
    from ..decisions.compare import Comparison
    from ..decisions.options import CompareOptions
    from ..decisions.provenance import Provenance
    from ..reports.comparison import Detail

LISTED = 500
"""Flips of one kind that a written report lists."""


@click.command()
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("candidates", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON report."
)
@click.option(
    "-t",
    "--max-drop",
    default=0.05,
    show_default=True,
    type=FloatRange(0),
    help="Largest drop that is allowed, in units of the score.",
)
@click.option(
    "--strict/--no-strict",
    default=True,
    show_default=True,
    help="Exit with 1 on BLOCK, 2 on WARN or INCONCLUSIVE.",
)
@click.option(
    "--correct-above",
    default=0.0,
    show_default=True,
    help="Count a reward above this as a correct answer.",
)
@click.option("--show-flips", is_flag=True, help="List the problems whose result flipped.")
@click.option("--compact", is_flag=True, help="Print only the verdict, its reasons and warnings.")
@FORMAT
@click.option("--verbose", is_flag=True, help="Also print metrics and cost, and all flips.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a markdown report here.",
)
@click.option("--no-report", is_flag=True, hidden=True, help="No report is written unasked.")
@click.option(
    "--test",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "mcnemar", "sign", "permutation"]),
    help="Paired test to use.",
)
@click.option(
    "--alpha", type=FloatRange(0, 1, True, True),
    help="One-sided level of the verdict: 0.025, by published rules 0.05.",
)  # fmt: skip
@METRIC
@DIRECTION
@click.option(
    "--rules", default="sound", show_default=True, type=click.Choice(["sound", "published"]),
    help="By which rules the verdict is given.",
)  # fmt: skip
@click.option(
    "--min-coverage", type=FloatRange(0, 1),
    help="Share of the planned problems that must be paired.",
)  # fmt: skip
@click.option(
    "--correction",
    default="holm",
    show_default=True,
    type=click.Choice(["holm", "bh", "none"]),
    help="Correction of the p-values for several candidates.",
)
@FORCE
def command(
    baseline: Path,
    candidates: tuple[Path, ...],
    output: Path | None,
    fmt: str,
    strict: bool,
    show_flips: bool,
    compact: bool,
    verbose: bool,
    report: Path | None,
    no_report: bool,
    correction: Any,
    rules: str,
    **chosen: Any,
) -> int:
    """Compare CANDIDATES with BASELINE: run directories, benchmark folders, or bundles.

    Pairs the problems, tests the difference, and prints PASS, WARN, BLOCK or INCONCLUSIVE.
    """
    from ..config.gate_policy import Rules
    from ..decisions.options import CompareOptions

    options = CompareOptions(rules=Rules(rules), **chosen)
    if len(candidates) > 1:
        return _compare_several(
            baseline, candidates, options, correction, fmt, output, report, strict
        )
    return _pair(
        baseline,
        candidates[0],
        options,
        _style(fmt, show_flips, compact, verbose),
        output,
        None if no_report else report,
        strict,
    )


@dataclass(frozen=True, slots=True)
class _Style:
    """How much of a comparison is shown."""

    fmt: str
    detail: Detail
    flips: int | None
    """Problems of each kind that changed sides; None for all."""


def _style(fmt: str, show_flips: bool, compact: bool, verbose: bool) -> _Style:
    from ..reports.comparison import Detail

    if compact:
        return _Style(fmt, Detail.VERDICT, 0)
    if fmt != "text":
        return _Style(fmt, Detail.EVERYTHING, LISTED)
    if verbose:
        return _Style(fmt, Detail.EVERYTHING, None)
    return _Style(fmt, Detail.FACTS, 20 if show_flips else 0)


def _pair(
    baseline: Path,
    candidate: Path,
    options: CompareOptions,
    style: _Style,
    output: Path | None,
    report: Path | None,
    strict: bool,
) -> int:
    from ..decisions.compare import overall
    from ..decisions.documents import comparison_document, comparisons_document
    from ..reports.comparison import comparison_report, overview_report
    from ..tasks.decide import compare_directories, evidence_of

    found, unmatched = compare_directories(baseline, candidate, options)
    for name, where in unmatched.items():
        click.echo(f"warning: {name} is not in {where}", err=True)
    missing = [name for name, where in unmatched.items() if where == str(candidate)]
    first = next(iter(found.values()))
    facts = evidence_of(baseline, candidate)
    if len(found) > 1 or unmatched:
        data = comparisons_document(found)
        shown = overview_report(
            found,
            unmatched,
            missing=missing,
            facts=facts,
            flips=style.flips,
            detail=style.detail,
        )
    else:
        data = comparison_document(first)
        shown = comparison_report(first, facts=facts, flips=style.flips, detail=style.detail)
    _write(output, data)
    print_report(style.fmt, data, shown)
    if report is not None:
        _report(found, unmatched, missing, facts, report)
    return overall(found.values(), missing).exit_code if strict else 0


def _compare_several(
    baseline: Path,
    candidates: tuple[Path, ...],
    options: CompareOptions,
    correction: Any,
    fmt: str,
    output: Path | None,
    report: Path | None,
    strict: bool,
) -> int:
    import msgspec

    from ..decisions.documents import field_document
    from ..decisions.verdicts import worst
    from ..reports.comparison import field_report
    from ..reports.formats import in_format
    from ..tasks.decide import compare_many, evidence_of

    field = compare_many(baseline, candidates, options, correction)
    facts = [evidence_of(baseline, candidate) for candidate in candidates]
    data = field_document(field) | {"provenance": [msgspec.to_builtins(one) for one in facts]}
    shown = field_report(field, facts)
    _write(output, data)
    print_report(fmt, data, shown)
    if report is not None:
        _save(report, in_format(shown, "markdown"))
    return worst(entry.verdict for entry in field.entries).exit_code if strict else 0


def _report(
    found: dict[str, Comparison],
    unmatched: dict[str, str],
    missing: list[str],
    facts: Provenance,
    report: Path,
) -> None:
    from ..reports.comparison import comparison_report, overview_report
    from ..reports.formats import in_format

    whole = (
        overview_report(found, unmatched, missing=missing, facts=facts, flips=LISTED)
        if len(found) > 1 or unmatched
        else comparison_report(next(iter(found.values())), facts=facts, flips=LISTED)
    )
    _save(report, in_format(whole, "markdown"))


def _save(path: Path, text: str) -> None:
    """A report that cannot be written is no reason to lose the verdict."""
    from ..errors import ConfigError
    from ..reports.render import save

    try:
        save(text, path)
    except ConfigError as error:
        click.echo(f"warning: no report: {error}", err=True)
    else:
        click.echo(f"report: {path}", err=True)


def _write(output: Path | None, document: dict[str, object]) -> None:
    if output is not None:
        from ..reports.render import save

        save(as_json(document), output)
