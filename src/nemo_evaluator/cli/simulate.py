"""`nel simulate`: the simulated model as an HTTP endpoint."""

from __future__ import annotations

import click


@click.command()
@click.option("--port", default=0, show_default=True, help="Port; 0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--model-id", default="simulated", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--accuracy", default=0.7, show_default=True, type=click.FloatRange(0, 1))
@click.option("--latency-ms", default=0.0, show_default=True, type=click.FloatRange(0))
@click.option("--completion-tokens", default=64, show_default=True, type=click.IntRange(1))
@click.option("--reasoning", is_flag=True, help="Answer with reasoning_content too.")
@click.option("--tool-call-rate", default=0.0, show_default=True, type=click.FloatRange(0, 1))
@click.option("--faults", default="", help="Like rate_limit=0.1,drop=0.03,hang=0.01,hang_s=5")
@click.option("--bench", help="Benchmark whose right answers it shall know.")
def command(
    port: int,
    host: str,
    model_id: str,
    seed: int,
    accuracy: float,
    latency_ms: float,
    completion_tokens: int,
    reasoning: bool,
    tool_call_rate: float,
    faults: str,
    bench: str | None,
) -> None:
    """Serve a simulated OpenAI-compatible model until interrupted.

    The first line on stdout is `listening on http://HOST:PORT/v1`.
    """
    from pydantic import ValidationError

    from ..config.services import SimulatedService
    from ..errors import ConfigError
    from ..executors.simulate import serve_simulated
    from ..runtime import run_blocking

    try:
        service = SimulatedService.model_validate(
            {
                "type": "simulated",
                "model": model_id,
                "seed": seed,
                "accuracy": accuracy,
                "latency": {"mean_ms": latency_ms},
                "completion_tokens": {"mean": completion_tokens},
                "reasoning": reasoning,
                "tool_call_rate": tool_call_rate,
                "faults": _faults(faults),
            }
        )
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise ConfigError(f"{where}: {problem['msg']}", where="--faults") from None
    run_blocking(serve_simulated(service, bench=bench, host=host, port=port))


def _faults(text: str) -> dict[str, float]:
    faults = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        try:
            faults[name.strip()] = float(value)
        except ValueError:
            raise click.BadParameter(
                f"{part!r} is not name=number", param_hint="--faults"
            ) from None
        if not equals:
            raise click.BadParameter(f"{part!r} is not name=number", param_hint="--faults")
    return faults
