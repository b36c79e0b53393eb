"""`nel eval`: the group of commands about runs."""

from __future__ import annotations

import click

from .lazy import LazyGroup

COMMANDS = {
    "run": ("nemo_evaluator.cli.eval_run:command", "Run benchmarks against a model."),
    "merge": ("nemo_evaluator.cli.eval_merge:command", "Merge the shards of a run."),
    "rescore": ("nemo_evaluator.cli.eval_rescore:command", "Score a run's answers again."),
    "report": ("nemo_evaluator.cli.eval_report:command", "Report on a finished or stopped run."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def group() -> None:
    """Run evaluations and report on them."""
