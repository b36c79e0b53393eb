"""`nel audit`: where a score may be wrong."""

from __future__ import annotations

from pathlib import Path

import click

from .numbers import NamedShare


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--examples",
    default=3,
    show_default=True,
    type=click.IntRange(0, 10),
    help="Examples per finding.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json", "markdown")),
    default="text",
    show_default=True,
    help="How the findings are written.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="KIND=SHARE",
    type=NamedShare(),
    help="Flag a finding above this share, e.g. turn_limit=0.05; repeatable.",
)
@click.option("--check", is_flag=True, help="Exit with 1 if a finding is flagged.")
def command(
    directory: Path,
    examples: int,
    form: str,
    as_json: bool,
    limits: tuple[tuple[str, float], ...],
    check: bool,
) -> int:
    """List findings that may make the score of the run in DIRECTORY wrong.

    It looks for answers that were not found, verdicts that depend on formatting, cut-off and empty
    answers, duplicate problems and disagreeing judges; of agents, for those that a limit ended,
    that repeated the same call, called no tool or ended on a failed one, and for rewards that were
    there before the verifier ran.

    No model is called. DIRECTORY may also be a result of another tool, or the folder of one
    benchmark.
    """
    from ..errors import ConfigError, ExitCode, suggest
    from ..reports.audit import audit_text
    from ..results.audit import audit
    from ..results.audit_kinds import KINDS
    from ..tasks.reporting import result_folders

    for name, _ in limits:
        if name not in KINDS:
            hint = suggest(name, KINDS)
            raise ConfigError(f"there is no finding {name!r}", where="--limit", hint=hint)
    audits = [audit(folder, dict(limits)) for folder in result_folders(directory)]
    click.echo(audit_text(audits, examples, "json" if as_json else form))
    failed = check and any(one.flagged for one in audits)
    return ExitCode.FAILED_CHECK if failed else ExitCode.DONE
