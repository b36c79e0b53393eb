"""`nel simulate`: the simulated model as an HTTP endpoint."""

from __future__ import annotations

from typing import Any

import click

from .numbers import FloatRange


@click.command()
@click.option(
    "--port",
    default=0,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port; 0 takes a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--model-id", default="simulated", show_default=True, help="Model id in /v1/models.")
@click.option("--seed", default=0, show_default=True, help="Seed of all random choices.")
@click.option(
    "--accuracy",
    default=0.7,
    show_default=True,
    type=FloatRange(0, 1),
    help="Share of correct answers to the problems of --bench.",
)
@click.option(
    "-b", "--bench", multiple=True, help="Benchmark whose answers the model knows; repeatable."
)
@click.option(
    "--latency-ms", default=0.0, show_default=True, type=FloatRange(0), help="Mean latency."
)
@click.option(
    "--latency",
    default="constant",
    show_default=True,
    type=click.Choice(["constant", "uniform", "lognormal"]),
    help="Distribution of the latency.",
)
@click.option(
    "--completion-tokens",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="Mean number of tokens per answer.",
)
@click.option("--reasoning", is_flag=True, help="Add a reasoning text to each answer.")
@click.option(
    "--tool-call-rate",
    default=0.0,
    show_default=True,
    type=FloatRange(0, 1),
    help="Share of answers that call a tool.",
)
@click.option(
    "--faults",
    default="",
    help="Probabilities of faults, as rate_limit=0.1,drop=0.03,hang=0.01,hang_s=5.",
)
@click.option(
    "--vary-repeats",
    is_flag=True,
    help="Answer the same request differently each time (default: always the same).",
)
def command(**flags: Any) -> None:
    """Serve a simulated OpenAI-compatible model until interrupted.

    The first line on stdout is `listening on http://HOST:PORT/v1`.
    """
    from ..runtime import run_blocking
    from ..tasks.simulate import serve_simulated

    run_blocking(
        serve_simulated(
            _service(flags),
            benches=flags["bench"],
            host=flags["host"],
            port=flags["port"],
            vary_repeats=flags["vary_repeats"],
            announce=lambda url: click.echo(f"listening on {url}"),
        )
    )


def _service(flags: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from ..config.services import FaultsConfig, LatencyConfig, SimulatedService, TokensConfig
    from ..errors import ConfigError

    try:
        faults = FaultsConfig.model_validate(_pairs(flags["faults"]))
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        raise ConfigError(
            f"{name}: {problem['msg']}" if name else problem["msg"],
            where="--faults",
            hint=f"known: {', '.join(FaultsConfig.model_fields)}",
        ) from None
    return SimulatedService(
        model=flags["model_id"],
        seed=flags["seed"],
        accuracy=flags["accuracy"],
        latency=LatencyConfig(distribution=flags["latency"], mean_ms=flags["latency_ms"]),
        completion_tokens=TokensConfig(mean=flags["completion_tokens"]),
        reasoning=flags["reasoning"],
        tool_call_rate=flags["tool_call_rate"],
        faults=faults,
    )


def _pairs(text: str) -> dict[str, float]:
    pairs = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            pairs[name.strip()] = float(value)
        except ValueError:
            raise click.BadParameter(
                f"{part!r} is not name=number", param_hint="--faults"
            ) from None
    return pairs
