"""`nel gate`: may the candidate ship?"""

from __future__ import annotations

from pathlib import Path

import click

from .decision_options import FORCE
from .report_format import FORMAT, as_json


@click.command()
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path))
@click.option(
    "-p",
    "--policy",
    required=True,
    type=click.Path(path_type=Path),
    help="YAML file with the rules.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON report."
)
@FORMAT
@click.option(
    "--strict/--no-strict",
    default=True,
    show_default=True,
    help="Exit with 1 on NO-GO, 2 on INCONCLUSIVE.",
)
@click.option("--explain", "--verbose", is_flag=True, help="Print every rule with its numbers.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a markdown report; -o alone writes one beside it.",
)
@click.option("--no-report", is_flag=True, help="Write no markdown report.")
@click.option(
    "--junit",
    "junit_xml",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write JUnit XML for a CI system.",
)
@click.option(
    "--rules", type=click.Choice(["sound", "published"]),
    help="Decision rules to use instead of the policy's.",
)  # fmt: skip
@FORCE
def command(
    baseline: Path,
    candidate: Path,
    policy: Path,
    output: Path | None,
    fmt: str,
    strict: bool,
    explain: bool,
    report: Path | None,
    no_report: bool,
    junit_xml: Path | None,
    rules: str | None,
    force: bool,
) -> int:
    """Check CANDIDATE against BASELINE by the rules of a policy: GO, NO-GO or INCONCLUSIVE.

    A policy to begin with, which allows each benchmark a drop of 2 points:

    \b
    version: 1
    defaults: {metric: mean_reward, max_drop: 0.02}
    """
    from ..decisions.documents import gate_document
    from ..reports.formats import in_format
    from ..reports.gate import gate_report
    from ..reports.junit import junit
    from ..reports.render import save
    from ..tasks.decide import gate_directories

    decision = gate_directories(baseline, candidate, policy, rules=rules, force=force)
    document = as_json(gate_document(decision))
    shown = gate_report(decision, explain=explain)
    if report is None and output is not None and not no_report and fmt != "json":
        report = output.with_suffix(".md")
    for path, text in (
        (output, document),
        (None if no_report else report, in_format(shown, "markdown")),
        (junit_xml, junit(decision)),
    ):
        if path is not None:
            save(text, path)
    click.echo(document if fmt == "json" else in_format(shown, fmt), nl=False)
    return decision.verdict.exit_code if strict else 0
