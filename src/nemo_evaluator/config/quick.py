"""Configurations from flags: a benchmark and a model named on the command line, or flags that
change a file's settings. A flag that is given has effect, or is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, suggest
from .agent_solvers import ToolCallingSolverConfig
from .connecting import (
    ENDPOINT_FLAGS,
    KEY_FLAGS,
    flag_name,
    given_flags,
    refuse_for_simulated,
    with_endpoint,
)
from .endpoints import ApiService, SimulatedService, check_url, url_protocol
from .environment import environment
from .load import Loaded, check
from .overrides import apply_overrides
from .references import resolve_references
from .solvers import SimpleSolver
from .tree import KeyPath, Node, from_plain, set_at, step

KEY_VARIABLES = ("NEMO_API_KEY", "NVIDIA_API_KEY")
SIMULATED = ("simulated", "simulated:")
BENCHMARK_FLAGS = ("repeats", "max_problems", "max_concurrent", "timeout")
BUDGET_FLAGS = ("budget_usd", "budget_tokens", "budget_hours")
GATE_FLAGS = {"gate": "policy", "baseline": "baseline", "stop_when": "stop_when"}
"""Flag → its field of the `gate` section."""
TABLE_FLAGS = (
    "question_field",
    "target_field",
    "options_field",
    "category_field",
    "prompt",
    "scorer",
)
"""Params of a data file that is named as a benchmark."""
GENERATION_FLAGS = ("temperature", "top_p", "max_tokens", "seed")
MODEL_FLAGS = ("model_url", "model_id")
SERVICE = "model"
JUDGE = "judge"
JUDGE_FLAGS = ("judge_url", "judge_id", "judge_key_env")


def quick_config(
    benches: Sequence[str],
    *,
    model_url: str | None,
    model_id: str | None,
    overrides: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    system_prompt: str | None = None,
    output_dir: str | None = None,
    keep_workspaces: str | None = None,
    judge_url: str | None = None,
    judge_id: str | None = None,
    judge_key_env: str | None = None,
    **settings: object,
) -> Loaded:
    """A run of some benchmarks against one model, the service ``model``. Raises ConfigError.

    ``model_url`` is a bare host, ends in ``/v1``, or is the full path of a protocol; ``simulated``
    is the model inside the process. The key is ``api_key`` (a text, or a function that gives it),
    or in the variable ``api_key_env`` names, or what ``api_key_command`` prints, or in NEMO_API_KEY
    or NVIDIA_API_KEY where one of them is set; ``headers``, ``ca_file``, ``client_cert``,
    ``client_key`` and ``http_proxy`` say how else the endpoint is reached. Nothing about
    sampling is sent unless given. ``settings`` are repeats, max_problems, max_concurrent,
    timeout, temperature, top_p, max_tokens, seed, budget_usd, budget_tokens, budget_hours, gate
    (the file of a policy), baseline (a run) and stop_when ("decided"), and for data files
    question_field, target_field, options_field, category_field, prompt and scorer; one that is
    None counts as not given. ``judge_url`` and ``judge_id`` name the model that grades,
    of the benchmarks that need one and beside the others; its key is only what the variable
    ``judge_key_env`` names.
    """
    accepted = (*BENCHMARK_FLAGS, *GENERATION_FLAGS, *BUDGET_FLAGS, *GATE_FLAGS, *TABLE_FLAGS)
    settings = _given_settings(settings, (*accepted, *ENDPOINT_FLAGS))
    if env is None:
        env = environment([Path.cwd()])
    if not benches:
        raise ConfigError("no benchmark", hint="give --bench NAME; `nel list` shows the names")
    tree = from_plain({"services": {}, "benchmarks": [{"name": name} for name in benches]})
    service = _service(model_url, model_id)
    for name, value in service.items():
        flag = {"url": "model_url", "model": "model_id"}.get(name, "")
        tree = _set_flag(tree, ("services", SERVICE, name), value, flag)
    if service["type"] == "api":
        given = given_flags(settings)
        unasked = None if given.keys() & set(KEY_FLAGS) else key_variable(env)
        endpoint = {"api_key_env": unasked, **given}
        tree = with_endpoint(tree, ("services", SERVICE), endpoint)
    else:
        refuse_for_simulated(settings)
    generation = ("services", SERVICE, "generation")
    for name in _flags_in(settings, GENERATION_FLAGS):
        tree = _set_flag(tree, (*generation, name), settings[name], name)
    for index in range(len(benches)):
        path: KeyPath = ("benchmarks", index)
        tree = set_at(tree, (*path, "solver"), from_plain({"type": "simple", "service": SERVICE}))
        if system_prompt is not None:
            tree = _set_flag(
                tree, (*path, "solver", "system_prompt"), system_prompt, "system_prompt"
            )
        for name in _flags_in(settings, BENCHMARK_FLAGS):
            tree = _set_flag(tree, (*path, name), settings[name], name)
        for name in _flags_in(settings, TABLE_FLAGS):
            tree = _set_flag(tree, (*path, "params", name), settings[name], name)
    tree = _with_judge(tree, len(benches), judge_url, judge_id, judge_key_env)
    tree = _with_gate(_with_budget(tree, settings), settings)
    if output_dir is not None:
        tree = _set_flag(tree, ("output", "dir"), output_dir, "output_dir")
    if keep_workspaces is not None:
        tree = _set_flag(tree, ("output", "keep_workspaces"), keep_workspaces, "keep_workspaces")
    tree = resolve_references(apply_overrides(tree, overrides))
    return check(tree, (), overrides, env)


def apply_flags(
    loaded: Loaded,
    *,
    system_prompt: str | None = None,
    output_dir: str | None = None,
    keep_workspaces: str | None = None,
    model_url: str | None = None,
    model_id: str | None = None,
    **settings: object,
) -> Loaded:
    """A loaded configuration with flags applied to every benchmark. Raises ConfigError.

    ``model_url``, ``model_id``, the key and what else says how an endpoint is reached change the
    api service, if there is exactly one.
    """
    accepted = (
        *BENCHMARK_FLAGS,
        *GENERATION_FLAGS,
        *BUDGET_FLAGS,
        *GATE_FLAGS,
        *ENDPOINT_FLAGS,
    )
    settings = _given_settings(settings, accepted)
    tree = loaded.tree
    if output_dir is not None:
        tree = _set_flag(tree, ("output", "dir"), output_dir, "output_dir")
    if keep_workspaces is not None:
        tree = _set_flag(tree, ("output", "keep_workspaces"), keep_workspaces, "keep_workspaces")
    for index in range(len(loaded.config.benchmarks)):
        for name in _flags_in(settings, BENCHMARK_FLAGS):
            tree = _set_flag(tree, ("benchmarks", index, name), settings[name], name)
        solver: dict[tuple[str, ...], Any] = {
            ("generation", name): settings[name] for name in _flags_in(settings, GENERATION_FLAGS)
        }
        if system_prompt is not None:
            solver[("system_prompt",)] = system_prompt
        if solver:
            tree = _with_solver(tree, loaded, index, next(iter(solver))[-1])
        for key, value in solver.items():
            tree = _set_flag(tree, ("benchmarks", index, "solver", *key), value, key[-1])
    tree = _with_gate(_with_budget(tree, settings), settings)
    tree = _with_model(tree, loaded, model_url, model_id, given_flags(settings))
    if tree is loaded.tree:
        return loaded
    return check(tree, loaded.sources, loaded.overrides, loaded.env)


def _with_judge(
    tree: Node, benches: int, url: str | None, model: str | None, key_env: str | None
) -> Node:
    """The document with a judge for every benchmark. The model's key is never sent to it
    unasked."""
    if url is None:
        given = [_name(f) for f, v in zip(JUDGE_FLAGS, (url, model, key_env), strict=True) if v]
        if given:
            raise ConfigError("no judge", where=", ".join(given), hint="give --judge-url too")
        return tree
    flags = {"url": "judge_url", "model": "judge_id"}
    for name, value in _service(url, model, JUDGE).items():
        tree = _set_flag(tree, ("services", JUDGE, name), value, flags.get(name, ""))
    if key_env is not None:
        tree = _set_flag(tree, ("services", JUDGE, "api_key_env"), key_env, "judge_key_env")
    metric = {"type": "judge", "name": "judge", "service": JUDGE}
    for index in range(benches):
        path = ("benchmarks", index, "scoring", "metrics")
        tree = set_at(tree, path, from_plain([metric]))
    return tree


def _with_budget(tree: Node, settings: Mapping[str, object]) -> Node:
    for flag in _flags_in(settings, BUDGET_FLAGS):
        tree = _set_flag(tree, ("budget", flag.removeprefix("budget_")), settings[flag], flag)
    return tree


def _with_gate(tree: Node, settings: Mapping[str, object]) -> Node:
    """The document with the `gate` section. Raises ConfigError for a part of it without the
    rest."""
    given = _flags_in(settings, tuple(GATE_FLAGS))
    for flag in given:
        tree = _set_flag(tree, ("gate", GATE_FLAGS[flag]), str(settings[flag]), flag)
    section = step(tree, "gate")
    for flag in ("gate", "baseline"):
        if given and (section is None or step(section, GATE_FLAGS[flag]) is None):
            where = ", ".join(map(_name, given))
            raise ConfigError(f"needs {_name(flag)} too", where=where)
    return tree


def _with_solver(tree: Node, loaded: Loaded, index: int, flag: str) -> Node:
    """The document with the benchmark's solver written out, so that its fields can be set."""
    solver = loaded.config.benchmarks[index].solver
    path = ("benchmarks", index)
    if not isinstance(solver, SimpleSolver | ToolCallingSolverConfig):
        kind = solver.type if solver is not None else "none"
        raise ConfigError(
            f"{_name(flag)} cannot be applied to the solver {kind!r}",
            where=loaded.locate((*path, "solver")) or None,
            hint="set what it supports in the file",
        )
    entry = step(step(tree, "benchmarks") or tree, index)
    if entry is not None and step(entry, "solver") is not None:
        return tree
    shared = step(tree, "solver") or from_plain({"type": "simple", "service": solver.service})
    return set_at(tree, (*path, "solver"), shared)


def _with_model(
    tree: Node,
    loaded: Loaded,
    url: str | None,
    model: str | None,
    endpoint: Mapping[str, Any],
) -> Node:
    given = {"model_url": url, "model_id": model, **endpoint}
    flags = [flag_name(name) for name, value in given.items() if value is not None]
    if not flags:
        return tree
    services = loaded.config.services
    names = [name for name, service in services.items() if isinstance(service, ApiService)]
    if len(names) != 1:
        raise ConfigError(
            f"{', '.join(flags)} needs exactly one api service in the configuration,"
            f" there are {len(names)}",
            hint="set the field with -O services.NAME.FIELD=VALUE",
        )
    path = ("services", names[0])
    if url in SIMULATED:
        refuse_for_simulated(endpoint)
        return set_at(tree, path, _simulated(tree, names[0], model))
    if url is not None:
        _check(url)
        tree = _set_flag(tree, (*path, "url"), url, "model_url")
        if protocol := url_protocol(url):
            tree = _set_flag(tree, (*path, "protocol"), protocol, "model_url")
    if model is not None:
        tree = _set_flag(tree, (*path, "model"), model, "model_id")
    return with_endpoint(tree, path, endpoint)


def _simulated(tree: Node, name: str, model: str | None) -> Node:
    """The simulated model in the place of an endpoint, with the settings both have."""
    services = step(tree, "services")
    endpoint = step(services, name) if services else None
    children = dict(endpoint.value) if endpoint and isinstance(endpoint.value, dict) else {}
    kept = {key: node for key, node in children.items() if key in SimulatedService.model_fields}
    kept |= {"type": Node(SIMULATED[0], _name("model_url"))}
    kept.pop("model", None)
    if model is not None:
        kept["model"] = Node(model, _name("model_id"))
    return Node(kept, _name("model_url"))


def _service(url: str | None, model: str | None, who: str = SERVICE) -> dict[str, str]:
    if url is None:
        raise ConfigError(
            "no model endpoint",
            hint="give --model-url or set NEMO_MODEL_URL; 'simulated' needs none",
        )
    if url in SIMULATED:
        return {"type": SIMULATED[0], **({"model": model} if model else {})}
    _check(url, who)
    if not model:
        hint = "give --judge-id" if who == JUDGE else "give --model-id or set NEMO_MODEL_ID"
        raise ConfigError(f"no {who} id", hint=hint)
    protocol = url_protocol(url) or "chat_completions"
    return {"type": "api", "url": url, "protocol": protocol, "model": model}


def _check(url: str, who: str = SERVICE) -> None:
    try:
        check_url(url)
    except ValueError as error:
        raise ConfigError(str(error), where=f"--{who}-url") from None


def key_variable(env: Mapping[str, str]) -> str | None:
    """The environment variable that holds a key if no flag names one."""
    return next((name for name in KEY_VARIABLES if env.get(name)), None)


def _set_flag(tree: Node, path: KeyPath, value: object, flag: str) -> Node:
    # A flag's text is taken as it is: a reference in it would be expanded, "$${" is not.
    value = value.replace("${", "$${") if isinstance(value, str) else value
    try:
        return set_at(tree, path, Node(value, _name(flag) if flag else ""))
    except LookupError as error:
        raise ConfigError(str(error.args[0]), where=_name(flag)) from None


def _name(flag: str) -> str:
    return f"--{flag.replace('_', '-')}"


def _flags_in(settings: Collection[str], flags: Sequence[str]) -> list[str]:
    return [name for name in flags if name in settings]


def _given_settings(settings: Mapping[str, object], known: Sequence[str]) -> dict[str, object]:
    for name in settings:
        if name not in known:
            more = (
                *known,
                *MODEL_FLAGS,
                *ENDPOINT_FLAGS,
                *JUDGE_FLAGS,
                "system_prompt",
                "output_dir",
                "keep_workspaces",
            )
            raise ConfigError(f"unknown setting {name!r}", hint=suggest(name, more))
    return {name: value for name, value in settings.items() if value is not None}
