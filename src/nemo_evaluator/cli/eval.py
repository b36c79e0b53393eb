"""`nel eval`: the group of commands about runs."""

from __future__ import annotations

import click

from .lazy import LazyGroup

COMMANDS = {
    "run": ("nemo_evaluator.cli.eval_run:command", "Run benchmarks against a model."),
    "status": ("nemo_evaluator.cli.eval_status:command", "Show what a run is doing."),
    "logs": ("nemo_evaluator.cli.eval_logs:command", "Show the log of a run."),
    "fetch": ("nemo_evaluator.cli.eval_fetch:command", "Copy a run from another host."),
    "stop": ("nemo_evaluator.cli.eval_stop:command", "Stop a run; it can be resumed."),
    "ctl": ("nemo_evaluator.cli.eval_ctl:command", "Change a run while it goes on."),
    "resume": ("nemo_evaluator.cli.eval_resume:command", "Go on with a run."),
    "jobs": ("nemo_evaluator.cli.eval_jobs:jobs", "List runs."),
    "clean": ("nemo_evaluator.cli.eval_jobs:clean", "Remove runs from the list."),
    "merge": ("nemo_evaluator.cli.eval_merge:command", "Merge the shards of a run."),
    "rescore": ("nemo_evaluator.cli.eval_rescore:command", "Score a run's answers again."),
    "report": ("nemo_evaluator.cli.eval_report:command", "Report on a finished or stopped run."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def group() -> None:
    """Run evaluations and report on them."""
