"""What serving commands print: the address on stdout, for scripts; everything else on stderr."""

from __future__ import annotations

import click


class Listening:
    """Told what a server does."""

    def listening(self, url: str, token: str | None) -> None:
        """Print the address that the server listens at."""
        click.echo(f"listening on {url}")
        if token is not None:
            click.echo(f"token: {token}")

    def say(self, text: str) -> None:
        """What a user should read."""
        click.echo(text, err=True)
