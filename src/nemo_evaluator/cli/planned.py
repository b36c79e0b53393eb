"""Commands of NVIDIA NeMo Evaluator that have another name here: which one."""

from __future__ import annotations

from collections.abc import Mapping

import click

RENAMED: Mapping[str, str] = {
    "regression": "nel compare, which is the same",
    "run": "nel eval run",
}
"""Command → what to use."""


def about(context: click.Context, word: str) -> str | None:
    """The message for a command that only NVIDIA NeMo Evaluator has; None for other words."""
    names = [word]
    while context.parent is not None:
        names.insert(0, context.info_name or "")
        context = context.parent
    command = " ".join(names)
    now = RENAMED.get(command)
    return None if now is None else f"'nel {command}' is not available in this version. Now: {now}"


def explained(error: click.ClickException) -> click.ClickException:
    """The error, or in the place of an unknown option what to use."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error
    explanation = about(error.ctx, error.option_name)
    return click.UsageError(explanation, error.ctx) if explanation is not None else error
