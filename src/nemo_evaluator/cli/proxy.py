"""`nel proxy`: a model endpoint behind interceptors, for any client."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from .endpoint_options import ENDPOINT_SETTINGS, endpoint_options


@click.command()
@click.option("--upstream", metavar="URL", help="Endpoint that requests are sent to.")
@click.option("--model", metavar="ID", help="Model of requests that name none.")
@click.option("--port", type=click.IntRange(0, 65535), help="0: any.  [4000 if free, else any]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="File with a `proxy:` section; other fields are those of an `api` service.",
)
@click.option("--api-key-env", metavar="NAME", help="Variable that holds the endpoint's key.")
@endpoint_options
@click.option("--max-body-mb", default=64, show_default=True, type=click.IntRange(1))
@click.option(
    "--drain-seconds",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Time that requests in flight get at the end.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def command(config: Path | None, verbose: bool, **flags: Any) -> None:
    """Serve a model endpoint through interceptors until interrupted.

    The first line on stdout is `listening on http://HOST:PORT`. Clients speak OpenAI (chat
    completions, completions, responses, embeddings, models) or Anthropic messages. Beyond
    loopback they must give the token, which is NEL_PROXY_TOKEN or printed as the second line.
    """
    from ..executors.proxy import Door, serve_proxy
    from ..runtime import run_blocking
    from .log import show_log

    show_log(verbose=verbose)
    fields = {"url": flags["upstream"], "model": flags["model"]}
    fields |= {name: flags.get(name) for name in ENDPOINT_SETTINGS}
    door = Door(flags["host"], flags["port"], flags["max_body_mb"], flags["drain_seconds"])
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        run_blocking(serve_proxy(config, given, door, _announce))
    except asyncio.CancelledError:
        raise click.Abort from None


def _announce(url: str, token: str | None) -> None:
    click.echo(f"listening on {url}")
    if token is not None:
        click.echo(f"token: {token}")
