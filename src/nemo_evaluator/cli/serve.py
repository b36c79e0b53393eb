"""`nel serve`: a benchmark as a server, for other programs that train or evaluate."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .benchmark_options import complete_benchmark, say_tables, table_options
from .listening import Listening
from .numbers import FloatRange

if TYPE_CHECKING:
    from ..config.load import Loaded

MODEL = ("model_url", "model_id", "api_key_env")
JUDGE = ("judge_url", "judge_id", "judge_key_env")


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option(
    "-b", "--bench", "--benchmark", "bench", shell_complete=complete_benchmark,
    help="Benchmark name, FILE.py[:NAME], a data file; or one of CONFIG.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "-p", "--port", default=9090, show_default=True, type=click.IntRange(0, 65535),
    help="Port; 0 takes a free one.",
)  # fmt: skip
@click.option(
    "--gym-compat", is_flag=True,
    help="Name NeMo Gym's protocol in /health; both are always answered.",
)  # fmt: skip
@click.option(
    "--hide-answers", is_flag=True, help="Do not tell clients what is expected; see the guide."
)
@click.option(
    "--export-data", "export", metavar="PATH", type=click.Path(path_type=Path),
    help="First write the problems as NeMo Gym reads them: a .jsonl file, or a folder for it.",
)  # fmt: skip
@click.option("--export-only", is_flag=True, help="Serve nothing after --export-data.")
@click.option(
    "--token-env", default="NEL_SERVE_TOKEN", show_default=True, metavar="NAME",
    help="Variable that holds the token of clients; beyond loopback one is made if it is not set.",
)  # fmt: skip
@click.option("--token", help="The token itself (prefer --token-env).")
@table_options
@click.option("--model-url", help="Endpoint that /run asks, or 'simulated'.  [no /run]")
@click.option("--model-id", help="Model name sent to the endpoint.")
@click.option("--api-key-env", help="Environment variable that holds the endpoint's key.")
@click.option("--judge-url", help="Endpoint of the judge model, or 'simulated'.")
@click.option("--judge-id", help="Model name of the judge.")
@click.option("--judge-key-env", help="Environment variable that holds the judge's key.")
@click.option(
    "--max-concurrent", default=32, show_default=True, type=click.IntRange(1),
    help="Maximum number of verifications, and of rollouts, at a time.",
)  # fmt: skip
@click.option(
    "--max-body-mb", default=64, show_default=True, type=click.IntRange(1),
    help="Largest request that is accepted, in megabytes.",
)  # fmt: skip
@click.option(
    "--drain-seconds", default=30.0, show_default=True, type=FloatRange(0),
    help="Time for requests in flight to finish on shutdown.",
)  # fmt: skip
def command(
    config: Path | None, bench: str | None, export: Path | None, export_only: bool, **flags: Any
) -> None:
    """Serve a benchmark over HTTP until interrupted: problems, verdicts, and rollouts.

    The first line on stdout is `listening on http://HOST:PORT`. Clients speak the protocol of `nel
    serve` (environment gym://HOST:PORT) or that of NeMo Gym's resources servers. CONFIG says what a
    benchmark needs (a judge, a sandbox, params); without it, -b names the benchmark.
    """
    from ..runtime import run_blocking
    from ..tasks.serve import Door, serve

    if export_only and export is None:
        raise click.UsageError("--export-only needs --export-data")
    if (token := flags.pop("token")) is not None:
        os.environ[flags["token_env"]] = token
    given = {name: flags.pop(name) for name in [*flags] if name not in Door.__dataclass_fields__}
    given = {name: value for name, value in given.items() if value is not None}
    solves = config is not None or "model_url" in given
    loaded = _loaded(config, bench, given)
    say_tables(loaded)
    try:
        run_blocking(
            serve(
                loaded,
                Door(**flags),
                Listening(),
                solves=solves,
                export=export,
                stays=not export_only,
            )
        )
    except asyncio.CancelledError:
        raise click.Abort from None


def _loaded(config: Path | None, bench: str | None, given: dict[str, Any]) -> Loaded:
    """The configuration of what is served. Raises ConfigError."""
    from ..config.load import load
    from ..config.quick import quick_config
    from ..tasks.serve import only

    if config is not None:
        if given:
            flag = f"--{next(iter(given)).replace('_', '-')}"
            raise click.UsageError(f"{flag} has no effect on a configuration: set it in {config}")
        return only(load(config), bench)
    if bench is None:
        raise click.UsageError("name a benchmark (-b NAME) or a configuration")
    model = {name: given.pop(name) for name in MODEL if name in given}
    model.setdefault("model_url", "simulated")
    model.setdefault("model_id", None)
    return quick_config([bench], **model, **given)
