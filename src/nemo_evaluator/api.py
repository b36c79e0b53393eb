"""Evaluate from Python: the same run as `nel eval run`, with a typed result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config.load import Loaded
    from .executors.local import RunResult
    from .results.loaded_run import LoadedRun
    from .tasks.steer import Steered

Source = str | PathLike[str] | Mapping[str, Any]


def evaluate(
    config: Source | None = None,
    *,
    bench: str | Sequence[str] | None = None,
    model_url: str | None = None,
    model_id: str | None = None,
    output_dir: str | PathLike[str] | None = None,
    resume: bool = False,
    shard: str | None = None,
    overrides: Sequence[str] = (),
    **settings: Any,
) -> RunResult:
    """Run an evaluation and wait for it. See `evaluate_async` for the arguments.

    Inside a running event loop (a notebook) use ``await evaluate_async(...)``.
    """
    from .runtime import run_blocking

    return run_blocking(
        evaluate_async(
            config,
            bench=bench,
            model_url=model_url,
            model_id=model_id,
            output_dir=output_dir,
            resume=resume,
            shard=shard,
            overrides=overrides,
            **settings,
        )
    )


async def evaluate_async(
    config: Source | None = None,
    *,
    bench: str | Sequence[str] | None = None,
    model_url: str | None = None,
    model_id: str | None = None,
    output_dir: str | PathLike[str] | None = None,
    resume: bool = False,
    shard: str | None = None,
    overrides: Sequence[str] = (),
    **settings: Any,
) -> RunResult:
    """Run an evaluation.

    ``config`` is a YAML file or the same document as a mapping; without it, ``bench`` names the
    benchmarks (a name, ``FILE.py`` or ``FILE.py:NAME``) and ``model_url`` and ``model_id`` the
    model. ``settings`` are those of the command line: ``repeats``, ``max_problems``,
    ``system_prompt``, ``temperature``, ``top_p``, ``max_tokens``, ``seed``, ``max_concurrent``,
    ``timeout``, ``api_key`` (a text, or a function that gives it, asked again when the key has
    expired), ``api_key_env``, ``api_key_command``, ``headers``, ``ca_file``, ``client_cert``,
    ``client_key``, ``http_proxy``, and without a config ``judge_url``, ``judge_id`` and
    ``judge_key_env`` for the model that grades. They apply to every benchmark.
    ``shard`` (``"2/8"``) does a part only, in a folder of its own below ``output_dir``; `nel eval
    merge` joins the parts.

    Returns the summaries, the exit code and the messages a terminal would show. Raises ConfigError
    for what must be fixed before the run can start.
    """
    from .engine.shards import parse_shard
    from .executors.options import Options
    from .tasks.running import run

    if output_dir is not None:
        settings["output_dir"] = str(output_dir)
    loaded = _loaded(config, bench, model_url, model_id, overrides, settings)
    aside = config is None and output_dir is None
    part = parse_shard(shard) if shard is not None else None
    options = Options(resume=resume, shard=part, set_aside=aside, command="evaluate()")
    return await run(loaded, options)


def _loaded(
    config: Source | None,
    bench: str | Sequence[str] | None,
    model_url: str | None,
    model_id: str | None,
    overrides: Sequence[str],
    settings: dict[str, Any],
) -> Loaded:
    from .config.load import load, parse
    from .config.quick import apply_flags, quick_config
    from .errors import ConfigError

    if config is None:
        if bench is None:
            raise ConfigError("nothing to evaluate", hint="give a config, or bench and model_url")
        names = [bench] if isinstance(bench, str) else list(bench)
        return quick_config(
            names, model_url=model_url, model_id=model_id, overrides=overrides, **settings
        )
    if bench is not None:
        raise ConfigError(
            "both a config and bench were given", hint="add the benchmark to the config"
        )
    if isinstance(config, Mapping):
        loaded = parse(config, overrides=overrides)
    else:
        loaded = load(Path(config), overrides=overrides)
    for name, value in (("model_url", model_url), ("model_id", model_id)):
        if value is not None:
            settings[name] = value
    return apply_flags(loaded, **settings)


def load_run(directory: str | PathLike[str]) -> LoadedRun:
    """The results of a run directory, derived afresh from its journals, with its tables as data
    frames (``to_pandas``, ``to_polars``, ``to_arrow``). Of a directory that cannot be written the
    tables are those that are there. Raises ConfigError."""
    from .results.loaded_run import LoadedRun
    from .tasks.reporting import refresh

    found = refresh(Path(directory), must_write=False)
    return LoadedRun(run=found.run, benchmarks=found.benchmarks, directory=found.directory)


def control_run(
    directory: str | PathLike[str],
    action: str | None = None,
    *,
    max_concurrent: int | None = None,
    benchmark: str | None = None,
    limits: Mapping[str, int] | None = None,
    older_than: float = 0.0,
    wait: float = 30.0,
) -> list[Steered]:
    """Change a run while it goes on, as `nel eval ctl` does; what became of it, for each shard.

    ``action``: ``pause``, ``resume``, ``requeue-errored`` or ``finish`` (with ``older_than``:
    seconds that what is in flight may take in all). ``limits``: requests in flight by service.
    Raises ConfigError where no run is at work. Inside a running event loop use ``steer`` of
    ``nemo_evaluator.tasks.steer``.
    """
    from .errors import ConfigError, suggest
    from .results.requests import Action, ControlRequest
    from .runtime import run_blocking
    from .tasks.steer import runs_in, steer

    if action is not None and action not in [*Action]:
        raise ConfigError(
            f"a run cannot be asked to {action!r}",
            where="action",
            hint=suggest(action, [known.value for known in Action]),
        )
    request = ControlRequest(
        action=None if action is None else Action(action),
        older_than=older_than,
        max_concurrent=max_concurrent,
        benchmark=benchmark,
        limits=dict(limits or {}),
    )
    return run_blocking(steer(runs_in(Path(directory)), request, wait=wait))
