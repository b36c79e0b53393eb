"""`nel doctor`: what is installed, and what is missing."""

from __future__ import annotations

import sys

import click

MARKS = {"ok": ("✓", "green"), "absent": ("·", "bright_black"), "problem": ("✗", "red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(as_json: bool) -> None:
    """Show what nel finds on this machine: extras, harnesses, engines, credentials, settings.

    What is absent is optional. Exit code 1 where something was set up and does not work. No value
    of a credential is shown.
    """
    import msgspec

    from ..runtime import run_blocking
    from ..tasks.doctor import Health, examine

    found = run_blocking(examine())
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        width = min(28, max(len(item.name) for item in found))
        group = ""
        for item in found:
            if item.group != group:
                click.echo(f"{chr(10) * bool(group)}{item.group}")
                group = item.group
            mark, colour = MARKS[item.health.value]
            text = f"  {click.style(mark, fg=colour)} {item.name:<{width}}  {item.what}"
            click.echo(text + (f"\n    {' ' * width}  → {item.fix}" if item.fix else ""))
    sys.exit(1 if any(item.health is Health.PROBLEM for item in found) else 0)
