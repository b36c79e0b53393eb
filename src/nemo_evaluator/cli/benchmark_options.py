"""Options of the commands that take a benchmark: its completion, and how a data file is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from ..config.load import Loaded

TABLE_SETTINGS = (
    "question_field",
    "target_field",
    "options_field",
    "category_field",
    "prompt",
    "scorer",
)


def table_options(command: Callable[..., object]) -> Callable[..., object]:
    """The options that say how a data file given as --bench is read."""
    for option in (
        click.option(
            "--scorer", metavar="NAME", help="Scorer for a data file; see `nel list scorers`."
        ),
        click.option(
            "--prompt",
            metavar="TEMPLATE",
            help="Prompt for the rows of a data file, as '{question}'.",
        ),
        click.option("--category-field", metavar="COLUMN", help="Column of the category."),
        click.option(
            "--options-field", metavar="COLUMNS", help="Columns of the options, as A,B,C,D."
        ),
        click.option("--target-field", metavar="COLUMN", help="Column of the expected answer."),
        click.option(
            "--question-field", metavar="COLUMN", help="Column of the question in a data file."
        ),
    ):
        command = option(command)
    return command


def say_tables(loaded: Loaded) -> None:
    """Say how the data files among the benchmarks are read."""
    from ..environments.tables import described, is_table

    for benchmark in loaded.config.benchmarks:
        if is_table(benchmark.name):
            click.echo(described(Path(benchmark.name), benchmark.params), err=True)


def complete_benchmark(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of benchmarks; files where none fits."""
    from ..environments.registry import list_benchmarks

    found = [
        CompletionItem(name, help=text)
        for name, text in list_benchmarks()
        if name.startswith(incomplete)
    ]
    return found or [CompletionItem(incomplete, type="file")]
