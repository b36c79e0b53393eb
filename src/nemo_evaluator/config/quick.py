"""Configurations from flags: a benchmark and a model named on the command line, or flags that
change a file's settings. A flag given always has effect, or is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .expand import environment
from .load import Loaded, parse
from .services import SUFFIXES, ApiService

KEY_VARIABLES = ("NEMO_API_KEY", "NVIDIA_API_KEY")
SIMULATED = "simulated"
BENCHMARK_FLAGS = ("repeats", "max_problems", "max_concurrent", "timeout")
GENERATION_FLAGS = ("temperature", "top_p", "max_tokens", "seed")
MODEL_FLAGS = {"model_url": "url", "model_id": "model"}


def quick_config(
    benches: Sequence[str],
    *,
    model_url: str | None,
    model_id: str | None,
    api_key: str | None = None,
    api_key_env: str | None = None,
    overrides: Sequence[str] = (),
    system_prompt: str | None = None,
    output_dir: str | None = None,
    **settings: Any,
) -> Loaded:
    """A run of some benchmarks against one model. Raises ConfigError.

    The key is ``api_key``, or the variable ``api_key_env`` names, or NEMO_API_KEY or
    NVIDIA_API_KEY where one of them is set. Temperature is 0 unless given.
    """
    _refuse_unknown(settings, BENCHMARK_FLAGS + GENERATION_FLAGS)
    generation = {name: settings[name] for name in GENERATION_FLAGS if name in settings}
    solver: dict[str, Any] = {"type": "simple", "service": "model"}
    if system_prompt is not None:
        solver["system_prompt"] = system_prompt
    shared = {name: settings[name] for name in BENCHMARK_FLAGS if name in settings}
    service = _service(model_url, model_id, api_key, api_key_env)
    service["generation"] = {"temperature": 0.0, **generation}
    document: dict[str, Any] = {
        "services": {"model": service},
        "benchmarks": [{"name": name, "solver": solver, **shared} for name in benches],
    }
    if output_dir is not None:
        document["output"] = {"dir": output_dir}
    return parse(document, overrides=overrides)


def apply_flags(
    loaded: Loaded,
    *,
    system_prompt: str | None = None,
    output_dir: str | None = None,
    api_key: str | None = None,
    api_key_env: str | None = None,
    **settings: Any,
) -> Loaded:
    """A loaded configuration with flags applied to every benchmark. Raises ConfigError."""
    _refuse_unknown(settings, (*BENCHMARK_FLAGS, *GENERATION_FLAGS, *MODEL_FLAGS))
    changes: dict[str, Any] = {}
    if output_dir is not None:
        changes["output.dir"] = output_dir
    for index, benchmark in enumerate(loaded.config.benchmarks):
        where = f"benchmarks[{index}]"
        for name in BENCHMARK_FLAGS:
            if name in settings:
                changes[f"{where}.{name}"] = settings[name]
        solver = {name: settings[name] for name in GENERATION_FLAGS if name in settings}
        if solver or system_prompt is not None:
            _need_simple(loaded, index)
            service = getattr(benchmark.solver, "service", None)
            changes[f"{where}.solver.type"] = "simple"
            changes[f"{where}.solver.service"] = service
        for name, value in solver.items():
            changes[f"{where}.solver.generation.{name}"] = value
        if system_prompt is not None:
            changes[f"{where}.solver.system_prompt"] = system_prompt
    changes |= _model_changes(loaded, settings, api_key, api_key_env)
    if not changes:
        return loaded
    return loaded.with_overrides([f"{key}={json.dumps(value)}" for key, value in changes.items()])


def _service(
    url: str | None, model: str | None, api_key: str | None, api_key_env: str | None
) -> dict[str, Any]:
    if url is None:
        raise ConfigError(
            "no model endpoint", hint="give --model-url (or NEMO_MODEL_URL), or 'simulated'"
        )
    if url == SIMULATED:
        return {"type": SIMULATED, **({"model": model} if model else {})}
    if "://" in url and not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"{url!r} is not an http address", where="--model-url", hint="use http:// or https://"
        )
    if not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"{url!r} has no scheme", where="--model-url", hint=f"did you mean http://{url} ?"
        )
    if model is None:
        raise ConfigError("no model id", hint="give --model-id (or NEMO_MODEL_ID)")
    protocol = next((p for end, p in SUFFIXES.items() if url.rstrip("/").endswith(end)), None)
    service = {
        "type": "api",
        "url": url,
        "protocol": protocol or "chat_completions",
        "model": model,
    }
    if api_key is not None:
        service["api_key"] = api_key.replace("${", "$${")
    elif name := api_key_env or _key_variable():
        service["api_key"] = f"${{{name}}}"
    return service


def _key_variable() -> str | None:
    env = environment([Path.cwd()])
    return next((name for name in KEY_VARIABLES if env.get(name)), None)


def _model_changes(
    loaded: Loaded, settings: dict[str, Any], api_key: str | None, api_key_env: str | None
) -> dict[str, Any]:
    flags = {MODEL_FLAGS[name]: settings[name] for name in MODEL_FLAGS if name in settings}
    if api_key is not None:
        flags["api_key"] = api_key.replace("${", "$${")
    elif api_key_env is not None:
        flags["api_key"] = f"${{{api_key_env}}}"
    if not flags:
        return {}
    services = loaded.config.services
    names = [name for name, service in services.items() if isinstance(service, ApiService)]
    if len(names) != 1:
        raise ConfigError(
            f"--model-url, --model-id and --api-key need exactly one api service, there are {len(names)}",
            hint="set the field with -O services.<name>.<field>=...",
        )
    return {f"services.{names[0]}.{field}": value for field, value in flags.items()}


def _need_simple(loaded: Loaded, index: int) -> None:
    benchmark = loaded.config.benchmarks[index]
    if benchmark.solver is None or benchmark.solver.type != "simple":
        raise ConfigError(
            "--temperature, --max-tokens, --system-prompt and the like need the simple solver",
            where=f"benchmarks[{index}]",
        )


def _refuse_unknown(settings: dict[str, Any], known: Sequence[str]) -> None:
    if unknown := sorted(set(settings) - set(known)):
        raise ConfigError(
            f"unknown setting {', '.join(unknown)}", hint=f"settings: {', '.join(sorted(known))}"
        )
