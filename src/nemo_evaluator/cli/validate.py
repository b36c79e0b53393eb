"""`nel validate`: a few problems of a benchmark, each with verdict, answer, time and tokens."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .benchmark_options import complete_benchmark, say_tables, table_options
from .endpoint_options import endpoint_options

if TYPE_CHECKING:
    from ..config.services import Service
    from ..results.result_row import ResultRow


@click.command()
@click.option(
    "-b", "--bench", "--benchmark", "bench", required=True, shell_complete=complete_benchmark,
    help="Benchmark name, FILE.py[:NAME] or a data file.",
)  # fmt: skip
@table_options
@click.option(
    "-s",
    "--samples",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="Number of problems.",
)
@click.option("--model-url", envvar="NEMO_MODEL_URL", help="Endpoint.  [simulated]")
@click.option("--model-id", envvar="NEMO_MODEL_ID", help="Model name sent to the endpoint.")
@click.option("--api-key", help="API key (prefer --api-key-env).")
@click.option("--api-key-env", help="Name of the environment variable that holds the API key.")
@endpoint_options
@click.option("--judge-url", help="Endpoint of the judge model, or 'simulated'.")
@click.option("--judge-id", help="Model name of the judge.")
@click.option("--judge-key-env", help="Environment variable that holds the judge's key.")
@click.option("-v", "--verbose", is_flag=True, help="Show prompts and responses.")
def command(
    bench: str,
    samples: int,
    model_url: str | None,
    model_id: str | None,
    api_key: str | None,
    api_key_env: str | None,
    verbose: bool,
    **settings: Any,
) -> None:
    """Run the first problems of a benchmark. Exit code 1 if an answer could not be verified."""
    from ..config.quick import quick_config
    from ..executors.local import run
    from ..executors.options import Options
    from ..results.result_row import read_rows
    from ..runtime import run_blocking

    settings |= {"api_key": api_key, "api_key_env": api_key_env, "max_problems": samples}
    endpoint = model_url or "simulated"
    given = {name: value for name, value in settings.items() if value is not None}
    with tempfile.TemporaryDirectory(prefix="nel-validate-") as folder:
        loaded = quick_config(
            [bench], model_url=endpoint, model_id=model_id, output_dir=folder, **given
        )
        say_tables(loaded)
        for role, service in loaded.config.services.items():
            click.echo(f"{role}: {_endpoint(service)}", err=True)
        result = run_blocking(run(loaded, Options()))
        verified = 0
        for child in sorted(Path(folder).iterdir()):
            if child.is_dir():
                verified += _print_rows(read_rows(child), verbose=verbose)
    click.echo(f"{verified} of {result.summary.n_rollouts} verified")
    for message in result.messages:
        click.echo(message, err=True)
    sys.exit(result.exit_code if result.exit_code in (0, 2, 130) else 1)


def _endpoint(service: Service) -> str:
    """Which endpoint is asked, without credentials."""
    from ..http.urls import peer_name

    url = getattr(service, "url", None)
    if url is None:
        return "simulated, inside this process: the answers say nothing about a model"
    return f"{peer_name(url)}, model {getattr(service, 'model', None)}"


def _print_rows(rows: Iterator[ResultRow], *, verbose: bool) -> int:
    verified = 0
    for row in rows:
        reward = row.reward
        verified += reward is not None
        verdict = "ERROR" if reward is None else "PASS" if reward == 1 else f"FAIL ({reward:g})"
        click.echo(
            f"{verdict:<8} {row.key}"
            f"  expected={row.expected_answer!s:.40}"
            f"  got={row.extracted_answer!s:.40}  {row.latency_ms or 0:.0f} ms"
            f"  {row.tokens or 0} tokens"
        )
        if reward is None and row.error:
            click.echo(f"    {row.error}")
        if verbose:
            click.echo(f"    prompt: {row.prompt}\n    response: {row.model_response}")
    return verified
