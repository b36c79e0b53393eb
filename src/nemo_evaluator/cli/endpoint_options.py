"""Options of the commands that take an endpoint: its key, headers, certificates and proxy."""

from __future__ import annotations

from collections.abc import Callable

import click

from ..config.connecting import ENDPOINT_FLAGS

ENDPOINT_SETTINGS = ENDPOINT_FLAGS


def endpoint_options(command: Callable[..., object]) -> Callable[..., object]:
    """The options that say how the model's endpoint is reached, but for its key."""
    for option in (
        click.option("--http-proxy", metavar="URL", help="HTTP proxy, or 'direct'."),
        click.option("--client-key", metavar="FILE", help="Key of --client-cert (PEM)."),
        click.option("--client-cert", metavar="FILE", help="Client certificate (PEM)."),
        click.option("--ca-file", metavar="FILE", help="Additional certificates to trust (PEM)."),
        click.option(
            "--header", "headers", metavar="NAME=VALUE", multiple=True,
            callback=lambda _context, _option, value: value or None,
            help="Header of every request to the endpoint; repeatable.",
        ),
        click.option(
            "--api-key-command", metavar="COMMAND",
            help="Command that prints the API key; run again when the key expires.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command
