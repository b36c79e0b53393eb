"""Commands of the known system that are not in this version: what is planned, what to use now."""

from __future__ import annotations

from collections.abc import Mapping

import click

PLANNED: Mapping[str, tuple[str, str]] = {
    "regression": ("", "nel compare, which is the same"),
    "run": ("", "nel eval run"),
}
"""Command, or option of one → what is planned, and what to use now. Nothing is planned where the
same is another command here."""


def about(context: click.Context, word: str) -> str | None:
    """The message for a command that only the known system has; None for other words."""
    names = [word]
    while context.parent is not None:
        names.insert(0, context.info_name or "")
        context = context.parent
    command = " ".join(names)
    found = PLANNED.get(command)
    if found is None:
        return None
    planned, now = found
    plan = f"; planned: {planned}" if planned else ""
    return f"'nel {command}' is not available in this version{plan}. Now: {now}"


def explained(error: click.ClickException) -> click.ClickException:
    """The error, or in the place of an unknown option what is planned."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error
    told = about(error.ctx, error.option_name)
    return click.UsageError(told, error.ctx) if told is not None else error
