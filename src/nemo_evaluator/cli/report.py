"""`nel report`: a report on any number of runs, side by side or in time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .decision_options import DIRECTION, FORCE, METRIC
from .numbers import FloatRange
from .report_format import as_json

if TYPE_CHECKING:
    from ..decisions.options import CompareOptions

OF_HISTORY = ("max_drop", "metric", "higher_is_better", "force")
"""Parameters that say how runs in time are compared."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-f", "--format", "fmt", help="markdown (the default), html, csv, json or latex.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [stdout]")
@click.option("--model-card", is_flag=True, help="A model-index for a Hugging Face README.")
@click.option(
    "--history",
    is_flag=True,
    help="Compare each run with the first and the one before (text, markdown, html or json).",
)
@click.option(
    "-t", "--max-drop", default=0.05, show_default=True, type=FloatRange(0),
    help="With --history: largest drop since the first run that is allowed.",
)  # fmt: skip
@METRIC
@DIRECTION
@FORCE
def command(
    paths: tuple[Path, ...],
    fmt: str | None,
    output: Path | None,
    model_card: bool,
    history: bool,
    **chosen: Any,
) -> None:
    """Report on run directories, benchmark directories and bundles (eval-*.json), also those of
    other tools. Models are shown side by side; results with the same name are all kept."""
    from ..decisions.options import CompareOptions
    from ..reports.view import build_report
    from ..tasks.reporting import find
    from .eval_report import emit

    if model_card and (fmt is not None or history):
        raise click.UsageError("give one of --format, --history and --model-card")
    if history:
        return _history(paths, fmt or "text", output, CompareOptions(**chosen))
    _only_of_history(click.get_current_context())
    emit(build_report(find(paths)), fmt, output, model_card=model_card)


def _only_of_history(context: click.Context) -> None:
    """An option that has no effect is refused, not ignored."""
    given = click.core.ParameterSource.COMMANDLINE
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in OF_HISTORY and context.get_parameter_source(name) is given:
            raise click.UsageError(f"{max(parameter.opts, key=len)} needs --history")


def _history(
    paths: tuple[Path, ...], fmt: str, output: Path | None, options: CompareOptions
) -> None:
    from ..reports.formats import in_format
    from ..reports.history import history_document, history_report
    from ..reports.render import save
    from ..tasks.decide import history_of

    if fmt not in ("text", "markdown", "html", "json"):
        raise click.UsageError(f"--history has no format {fmt!r}: text, markdown, html or json")
    found = history_of(paths, options)
    text = (
        as_json(history_document(found)) if fmt == "json" else in_format(history_report(found), fmt)
    )
    if output is None:
        click.echo(text, nl=False)
    else:
        save(text, output.resolve())
