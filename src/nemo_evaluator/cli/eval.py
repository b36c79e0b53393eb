"""`nel eval`: the group of commands about runs."""

from __future__ import annotations

import click

from .lazy import LazyGroup

COMMANDS = {
    "run": ("nemo_evaluator.cli.eval_run:command", "Run benchmarks against a model."),
    "merge": ("nemo_evaluator.cli.eval_merge:command", "Make one run of its shards."),
    "rescore": ("nemo_evaluator.cli.eval_rescore:command", "Verify a run's answers again."),
    "report": ("nemo_evaluator.cli.eval_report:command", "Report on a finished or stopped run."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def group() -> None:
    """Run evaluations and report on them."""
