"""Options that several commands which compare runs have in common, so that they mean the same."""

from __future__ import annotations

import click

METRIC = click.option(
    "--metric", default="mean_reward", show_default=True,
    help="What is compared: a metric of the runs, by its published name.",
)  # fmt: skip
DIRECTION = click.option(
    "--higher-is-better/--lower-is-better", default=None,
    help="Direction of the metric, if not the metric's own.",
)  # fmt: skip
FORCE = click.option(
    "--force", is_flag=True, help="Compare even if problems, prompts or scorers differ."
)
