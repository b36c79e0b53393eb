"""`nel validate`: a few problems of a benchmark, each with verdict, answer, time and tokens."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("-b", "--bench", required=True, help="Benchmark name or FILE.py[:NAME].")
@click.option("-s", "--samples", default=5, show_default=True, type=click.IntRange(1))
@click.option("--model-url", envvar="NEMO_MODEL_URL", help="Endpoint.  [simulated]")
@click.option("--model-id", envvar="NEMO_MODEL_ID", help="Model name sent to the endpoint.")
@click.option("--api-key", help="API key (prefer --api-key-env).")
@click.option("--api-key-env", help="Name of the environment variable that holds the API key.")
@click.option("-v", "--verbose", is_flag=True, help="Show prompts and responses.")
def command(
    bench: str,
    samples: int,
    model_url: str | None,
    model_id: str | None,
    api_key: str | None,
    api_key_env: str | None,
    verbose: bool,
) -> None:
    """Try the first problems of a benchmark, and exit 1 unless every one could be verified."""
    from ..api import evaluate

    keys: dict[str, Any] = {"api_key": api_key, "api_key_env": api_key_env}
    with tempfile.TemporaryDirectory(prefix="nel-validate-") as folder:
        result = evaluate(
            bench=bench,
            model_url=model_url or "simulated",
            model_id=model_id,
            output_dir=folder,
            max_problems=samples,
            **{name: value for name, value in keys.items() if value is not None},
        )
        verified = 0
        for path in sorted(Path(folder).glob("*/results.jsonl")):
            with path.open(encoding="utf-8") as file:
                rows = [json.loads(line) for line in file]
            verified += _print_rows(rows, verbose=verbose)
    simulated = " against the simulated model" if not model_url else ""
    click.echo(f"{verified} of {result.summary.n_rollouts} verified{simulated}")
    for message in result.messages:
        click.echo(message, err=True)
    sys.exit(result.exit_code if result.exit_code in (0, 2, 130) else 1)


def _print_rows(rows: list[dict[str, object]], *, verbose: bool) -> int:
    verified = 0
    for row in rows:
        reward = row.get("reward")
        verified += reward is not None
        verdict = "ERROR" if reward is None else "PASS" if reward == 1 else f"FAIL ({reward:g})"
        click.echo(
            f"{verdict:<8} {row['problem_idx']}/{row['repeat']}"
            f"  expected={row.get('expected_answer')!s:.40}"
            f"  got={row.get('extracted_answer')!s:.40}  {row.get('latency_ms') or 0:.0f} ms"
            f"  {row.get('tokens') or 0} tokens"
        )
        if verbose:
            click.echo(
                f"    prompt: {row.get('prompt')}\n    response: {row.get('model_response')}"
            )
    return verified
