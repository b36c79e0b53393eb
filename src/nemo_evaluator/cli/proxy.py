"""`nel proxy`: a model endpoint behind interceptors, for any client."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .endpoint_options import ENDPOINT_SETTINGS, endpoint_options
from .listening import Listening
from .numbers import FloatRange

if TYPE_CHECKING:
    from ..traffic.ledger import Totals

FIELDS = {
    **{name: name for name in ENDPOINT_SETTINGS},
    "upstream": "url",
    "model": "model",
    "max_turns": "max_turns",
    "budget_tokens": "budget_tokens",
    "budget_usd": "budget_usd",
    "log": "log",
}
"""Flags that set something of the configuration, by its name there."""


@click.command()
@click.option("--upstream", metavar="URL", help="Endpoint that requests are sent to.")
@click.option("--model", metavar="ID", help="Model for requests that name none.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port; 0 takes a free one.  [4000 if free, else any]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="File with a `proxy:` section; other fields are those of an `api` service.",
)
@click.option("--api-key-env", metavar="NAME", help="Variable that holds the endpoint's key.")
@endpoint_options
@click.option("--max-turns", type=click.IntRange(1), help="Maximum number of turns per session.")
@click.option(
    "--budget-tokens", type=click.IntRange(1), help="Refuse calls after this number of tokens."
)
@click.option(
    "--budget-usd",
    type=FloatRange(0, min_open=True),
    help="Refuse calls at this cost; needs a `price` in the file.",
)
@click.option(
    "--log",
    type=click.Choice(["full", "meta", "off"]),
    help="Log the traffic to ./model_traffic.jsonl, with texts (full) or without (meta).",
)
@click.option(
    "--max-body-mb", default=64, show_default=True, type=click.IntRange(1),
    help="Largest request that is accepted, in megabytes.",
)  # fmt: skip
@click.option(
    "--drain-seconds",
    default=30.0,
    show_default=True,
    type=FloatRange(0),
    help="Time for requests in flight to finish on shutdown.",
)
@click.option(
    "-v", "--verbose", count=True, help="Log every request to stderr; -vv: upstream ones too."
)
def command(config: Path | None, verbose: int, **flags: Any) -> None:
    """Serve a model endpoint through interceptors until interrupted.

    The first line on stdout is `listening on http://HOST:PORT`. Clients speak OpenAI (chat
    completions, completions, responses, embeddings, models) or Anthropic messages. If the proxy
    listens beyond loopback, clients must send a token: NEL_PROXY_TOKEN, or the one printed on the
    second line.

    If neither a flag nor the file sets them, endpoint, model and key are read from NEMO_MODEL_URL,
    NEMO_MODEL_ID and NEMO_API_KEY. The key from the environment is not sent to an endpoint that
    the file names.
    """
    from ..runtime import run_blocking
    from ..tasks.proxy import Door, serve_proxy
    from .log import show_log

    show_log(verbose)
    given = {field: flags[flag] for flag, field in FIELDS.items() if flags.get(flag) is not None}
    door = Door(flags["host"], flags["port"], flags["max_body_mb"], flags["drain_seconds"])
    try:
        run_blocking(serve_proxy(config, given, door, _Terminal()))
    except asyncio.CancelledError:
        raise click.Abort from None


class _Terminal(Listening):
    """The address, and the accounts at the end."""

    def ended(self, totals: Totals, sessions: int) -> None:
        """The accounts."""
        from ..reports.traffic import totals_line

        click.echo(totals_line(totals, sessions), err=True)
