"""`nel eval run`: a configuration file, or a benchmark and a model by flags."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .benchmark_options import TABLE_SETTINGS, complete_benchmark, say_tables, table_options
from .endpoint_options import ENDPOINT_SETTINGS, endpoint_options
from .numbers import FloatRange

if TYPE_CHECKING:
    from ..config.load import Loaded
    from ..engine.shards import Shard
    from ..executors.options import Options

DEFAULT_DIR = "./eval_results"
SETTINGS = (
    "repeats",
    "max_problems",
    "max_concurrent",
    "timeout",
    "system_prompt",
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "output_dir",
    "keep_workspaces",
    "budget_usd",
    "budget_tokens",
    "budget_hours",
    "gate",
    "baseline",
    "stop_when",
    *TABLE_SETTINGS,
    *ENDPOINT_SETTINGS,
)


@click.command(
    epilog="Exit codes: 0 done, 1 failed a check, 2 user error, 3 incomplete, 70 bug in nel, "
    "130 interrupted, 143 terminated."
)
@click.argument("config_file", required=False, type=click.Path(path_type=Path))
@click.option(
    "-b", "--bench", multiple=True, shell_complete=complete_benchmark,
    help="Benchmark name, FILE.py[:NAME] or a data file; repeatable.",
)  # fmt: skip
@click.option("--model-url", envvar="NEMO_MODEL_URL", help="Endpoint, or 'simulated'.")
@click.option("--model-id", envvar="NEMO_MODEL_ID", help="Model name sent to the endpoint.")
@click.option("--api-key", help="API key (prefer --api-key-env: it stays out of your history).")
@click.option("--api-key-env", help="Name of the environment variable that holds the API key.")
@endpoint_options
@click.option("--judge-url", help="Endpoint of the judge model, or 'simulated'.")
@click.option("--judge-id", help="Model name of the judge.")
@click.option("--judge-key-env", help="Environment variable that holds the judge's key.")
@click.option("-n", "--repeats", type=click.IntRange(1), help="Rollouts per problem.  [1]")
@click.option("--max-problems", type=click.IntRange(1), help="Use at most this number of problems.")
@click.option("--system-prompt", help="System prompt; replaces the benchmark's own.")
@click.option(
    "--temperature",
    type=FloatRange(0),
    help="Sampling temperature.  [not sent: the endpoint's default]",
)
@click.option("--top-p", type=FloatRange(0, 1), help="Nucleus sampling.  [not sent]")
@click.option("--max-tokens", type=click.IntRange(1), help="Limit on completion tokens.")
@click.option("--seed", type=int, help="Sampling seed; repeat r sends seed + r.")
@click.option(
    "--max-concurrent", type=click.IntRange(1), help="Maximum number of requests in flight.  [32]"
)
@table_options
@click.option("--timeout", type=FloatRange(0, min_open=True), help="Seconds per rollout.")
@click.option("--budget-usd", type=FloatRange(0, min_open=True), help="Stop at this cost.")
@click.option("--budget-tokens", type=click.IntRange(1), help="Stop at this number of tokens.")
@click.option(
    "--budget-hours",
    type=FloatRange(0, min_open=True),
    help="Stop after this number of hours.",
)
@click.option("--gate", metavar="POLICY", help="Tell what this policy says of the results.")
@click.option("--baseline", metavar="RUN", help="The run that --gate compares the results with.")
@click.option(
    "--stop-when",
    type=click.Choice(["decided"]),
    help="decided: end as soon as the answer of --gate is certain.",
)
@click.option("-o", "--output-dir", help=f"Run directory.  [{DEFAULT_DIR}]")
@click.option(
    "-O", "--override", multiple=True, help="Set a configuration field: key.path[0]=value."
)
@click.option("--shard", metavar="I/N", help="Run only shard I of N, counted from 0.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in the output directory; with more repeats or problems: extend it.",
)
@click.option(
    "--background", is_flag=True, help="Run in a process of its own; see nel eval status."
)
@click.option(
    "--submit", is_flag=True, help="Submit to the cluster of the file (done anyway, if it has one)."
)
@click.option("--wait", is_flag=True, help="Stay until a submitted run has ended; show its log.")
@click.option(
    "--forecast-from",
    metavar="RUN",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Say how long it takes by the times of this run.  [of clusters: the last such run]",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the plan, or what is submitted; call no model."
)
@click.option(
    "--keep-workspace", "keep_workspaces", type=click.Choice(["failed", "all", "none"]),
    help="Keep workspaces of agents, and say how to look into them.  [none]",
)  # fmt: skip
@click.option("--no-progress", is_flag=True, help="No live display.")
@click.option("-v", "--verbose", count=True, help="Log progress to stderr; -vv: every request.")
def command(config_file: Path | None, **flags: Any) -> None:
    """Evaluate a model: CONFIG_FILE, or --bench with --model-url and --model-id.

    Sampling parameters (temperature, top_p, max_tokens, seed) are sent only if a flag or the
    file sets them; --dry-run shows what is sent.
    """
    from ..runtime import run_blocking
    from .log import show_log

    show_log(flags["verbose"])
    loaded = _load(config_file, flags)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    say_tables(loaded)
    options = _options(loaded, config_file, flags)
    _say_forecast(loaded, flags["forecast_from"])
    if flags["dry_run"]:
        from ..tasks.running import describe

        click.echo(run_blocking(describe(loaded, options)))
        return
    sys.exit(_run(loaded, options, flags))


def _say_forecast(loaded: Loaded, past: Path | None) -> None:
    """Print how long the run will take, before anything is submitted."""
    from ..executors.registry import LOCAL, place_of

    if past is None and place_of(loaded) == LOCAL:
        return
    from ..tasks.forecast import forecast_lines

    for line in forecast_lines(loaded, past):
        click.echo(line, err=True)


def _shard(text: str | None, *, elsewhere: bool) -> Shard | None:
    """What the flag says, else the environment; a cluster makes the shards itself."""
    from ..engine.shards import parse_shard, shard_from_env

    if elsewhere:
        if text is not None:
            raise click.UsageError("--shard is for this machine: a cluster makes the shards itself")
        return None
    shard = parse_shard(text) if text is not None else shard_from_env(os.environ)
    if shard is not None:
        click.echo(f"shard {shard.index} of {shard.total}", err=True)
    return shard


def _load(config_file: Path | None, flags: dict[str, Any]) -> Loaded:
    from ..config.load import load
    from ..config.quick import apply_flags, quick_config
    from .user_settings import with_settings

    if config_file is not None:
        _check_is_configuration(config_file)
    if config_file is None and flags["bench"]:
        flags.update(with_settings(flags))
    settings = {name: flags[name] for name in SETTINGS if flags[name] is not None}
    if config_file is None:
        if not flags["bench"]:
            raise click.UsageError("give a CONFIG_FILE, or --bench with --model-url and --model-id")
        return quick_config(
            list(flags["bench"]),
            model_url=flags["model_url"],
            model_id=flags["model_id"],
            overrides=flags["override"],
            **{name: flags[name] for name in ("judge_url", "judge_id", "judge_key_env")},
            **settings,
        )
    if flags["judge_url"]:
        raise click.UsageError(
            "--judge-url cannot be used with a CONFIG_FILE: define the judge in the file"
        )
    if flags["bench"]:
        raise click.UsageError(
            "--bench cannot be used with a CONFIG_FILE: add the benchmark to the file"
        )
    # An exported NEMO_MODEL_URL is a default for quick runs; it does not overrule a file.
    context = click.get_current_context()
    for name in ("model_url", "model_id"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            settings[name] = flags[name]
    return apply_flags(load(config_file, overrides=flags["override"]), **settings)


def _check_is_configuration(path: Path) -> None:
    """Raise ConfigError for a benchmark or a run that was named in the place of a file."""
    from ..environments.tables import is_table
    from ..errors import ConfigError
    from ..kinds import BENCHMARKS

    name = str(path)
    if path.is_dir():
        raise ConfigError(
            "is a folder, not a configuration file", where=name,
            hint=f"to continue the run in it: nel eval resume {name}",
        )  # fmt: skip
    table = is_table(name) and path.suffix != ".json"  # JSON is YAML
    if path.suffix == ".py" or table or (not path.exists() and BENCHMARKS.offers(name)):
        raise ConfigError(
            "is a benchmark, not a configuration file", where=name,
            hint=f"nel eval run --bench {name} --model-url URL --model-id MODEL",
        )  # fmt: skip


def _options(loaded: Loaded, config_file: Path | None, flags: dict[str, Any]) -> Options:
    from ..config.snapshot import safe_command
    from ..executors.options import Options
    from ..executors.registry import LOCAL, place_of

    elsewhere = place_of(loaded) != LOCAL
    if flags["submit"] and not elsewhere:
        raise click.UsageError(
            "--submit needs a cluster to submit to: cluster.type is 'local'. "
            "--background runs it in a process of its own"
        )
    return Options(
        resume=flags["resume"],
        shard=_shard(flags["shard"], elsewhere=elsewhere),
        set_aside=config_file is None and flags["output_dir"] is None,
        command=safe_command(["nel", *sys.argv[1:]]),
    )


def _run(loaded: Loaded, options: Options, flags: dict[str, Any]) -> int:
    from ..tasks.running import leaves_alone
    from .running import execute

    if flags["wait"] and (flags["background"] or flags["submit"]):
        raise click.UsageError("give --wait, or --background or --submit")
    alone = flags["background"] or flags["submit"] or (leaves_alone(loaded) and not flags["wait"])
    return execute(loaded, options, background=alone, display=not flags["no_progress"])
