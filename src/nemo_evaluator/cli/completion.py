"""`nel completion SHELL`: the script that completes nel's commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a completion script for SHELL.

    For bash: nel completion bash >> ~/.bashrc
    """
    from .main import cli

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(cli, {}, "nel", "_NEL_COMPLETE").source())
