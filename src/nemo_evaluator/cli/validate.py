"""`nel validate`: a few problems of a benchmark, each with verdict, answer, time and tokens; of one
whose answers are workspaces, what its solutions and attempts at cheating are worth."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

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
    type=click.IntRange(1),
    help="Number of problems.  [5; of tasks with a workspace: all]",
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
@click.option(
    "--stateless",
    is_flag=True,
    help="Of tasks with a workspace: run the tests in a fresh container.",
)
@click.option("--json", "as_json", is_flag=True, help="Of tasks with a workspace: as JSON.")
def command(
    bench: str,
    samples: int | None,
    model_url: str | None,
    model_id: str | None,
    api_key: str | None,
    api_key_env: str | None,
    verbose: bool,
    stateless: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Run the first problems of a benchmark. Exit code 1 if an answer could not be verified.

    Where answers are workspaces (harbor://...), no model is asked: the solution of every task must
    be worth 1, no work and each of six attempts at cheating 0. Exit code 1 if one is not.
    """
    if _is_probed(bench):
        given = {"--model-url": model_url, "--model-id": model_id, **settings}
        _no_model([name for name, value in given.items() if value])
        _probe(bench, samples, stateless=stateless, as_json=as_json)
    if as_json or stateless:
        flag = "--json" if as_json else "--stateless"
        raise click.UsageError(f"{flag} is for tasks with a workspace, such as harbor://...")
    samples = samples or 5
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


def _is_probed(bench: str) -> bool:
    from ..tasks.probing import is_probed

    return is_probed(bench)


def _no_model(given: list[str]) -> None:
    if given:
        flags = ", ".join("--" + name.lstrip("-").replace("_", "-") for name in given)
        raise click.UsageError(f"no model is asked for tasks with a workspace: leave out {flags}")


def _probe(bench: str, samples: int | None, *, stateless: bool, as_json: bool) -> NoReturn:
    """Print what the attempts at a benchmark's tasks came to, and exit."""
    import json

    from ..runtime import run_blocking
    from ..tasks import probing

    outcomes = run_blocking(probing.probe(bench, samples, stateless=stateless))
    fine = probing.as_it_should_be(outcomes)
    if as_json:
        document = {"as_it_should_be": fine, "attempts": [one.plain for one in outcomes]}
        click.echo(json.dumps(document, indent=2))
    else:
        for line in probing.table(outcomes):
            click.echo(line)
        if fine:
            click.echo("all is as it should be")
        elif not stateless and probing.could_patch(outcomes):
            click.echo(f"\n{probing.HINT}")
    sys.exit(0 if fine else 1)


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
