"""Interceptors by name: built in, from the entry points of a package, or ``module:Class``.

A built-in interceptor is one file in this folder and one row of ``BUILT_IN``. ``endpoint`` is the
last step of every pipeline, named in a configuration or not; its options stand in for those of
`proxy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...config.explain import explain
from ...config.problems import Problem, format_path, suggest
from ...config.proxy import InterceptorConfig, ProxyConfig
from ...errors import ConfigError
from ...plugins import installed
from ..types import Interceptor, Step

if TYPE_CHECKING:
    from ...config.tree import KeyPath

ENDPOINT = "endpoint"
_HERE = __name__
BUILT_IN = {
    ENDPOINT: ("endpoint:EndpointOptions", "retries, rate limits, concurrency, timeouts"),
    "budget": ("budget:Budget", "stops at a number of tokens or dollars, per run and session"),
    "caching": ("caching:Caching", "answers equal requests from a file on disk"),
    "consolidate_system": ("consolidate_system:ConsolidateSystem", "one system message, first"),
    "drop_params": ("drop_params:DropParams", "removes parameters of the request"),
    "fault": ("fault:Fault", "injects failures, for drills"),
    "finish_reason": ("finish_reason:FinishReason", "mends `stop` where a limit was reached"),
    "http_pairs_dump": ("http_pairs_dump:HttpPairsDump", "writes first and failed pairs to a file"),
    "log_tokens": ("log_tokens:LogTokens", "logs the tokens of every answer"),
    "logging": ("logging:Logging", "logs every request and answer"),
    "modify_tools": ("modify_tools:ModifyTools", "strips or adds properties of tool schemas"),
    "payload_modifier": ("payload_modifier:PayloadModifier", "removes, renames, adds parameters"),
    "progress_tracking": ("progress_tracking:ProgressTracking", "counts answers, calls a webhook"),
    "raise_client_errors": ("raise_client_errors:RaiseClientErrors", "4xx are errors, not answers"),
    "reasoning": ("reasoning:Reasoning", "moves <think> texts to `reasoning_content`"),
    "reasoning_replay": ("reasoning_replay:ReasoningReplay", "puts earlier reasoning back"),
    "record": ("recording:Record", "saves the traffic of a run for `replay`"),
    "redact": ("redact:Redact", "removes patterns before anything is written"),
    "replay": ("recording:Replay", "answers from a recording, without a network"),
    "response_stats": ("response_stats:ResponseStats", "logs totals every so many answers"),
    "streaming": ("streaming:Streaming", "asks the endpoint for streams"),
    "system_message": ("system_message:SystemMessage", "replaces or adds a system message"),
    "turn_counter": ("turn_counter:TurnCounter", "limits and announces the turns of a session"),
}
"""Name → (class, and one line about it)."""
GROUP = "nemo_evaluator.interceptors"


def list_interceptors() -> list[tuple[str, str]]:
    """Name and one line about each, without importing any."""
    rows = [(name, text) for name, (_, text) in BUILT_IN.items()]
    return rows + [(entry.name, entry.value) for entry in installed(GROUP)]


def default_interceptors(proxy: ProxyConfig) -> list[InterceptorConfig]:
    """Those of a `proxy` section, with the ones its switches stand for."""
    names = {config.name for config in proxy.interceptors}
    found = list(proxy.interceptors)
    if proxy.verbose and "logging" not in names:
        found.append(InterceptorConfig(name="logging"))
    if proxy.finish_reason_fixup and "finish_reason" not in names:
        found.append(InterceptorConfig(name="finish_reason"))
    return found


def open_interceptors(configs: Sequence[InterceptorConfig]) -> list[tuple[str, Step]]:
    """Name and step of each before the endpoint, in order. Raises ConfigError."""
    steps: list[tuple[str, Step]] = []
    for index, config in enumerate(configs):
        for problem in _problems(config, ("interceptors", index)):
            where = format_path(problem.path)
            raise ConfigError(problem.what, where=where, hint=problem.hint)
        if config.name != ENDPOINT:
            steps.append((config.name, _open(config)))
    return steps


def check_interceptors(
    configs: Sequence[InterceptorConfig], path: KeyPath = ()
) -> Iterator[Problem]:
    """What is wrong with a list of interceptors that stands at ``path``; opens nothing."""
    for index, config in enumerate(configs):
        yield from _problems(config, (*path, "interceptors", index))


def _problems(config: InterceptorConfig, path: KeyPath) -> Iterator[Problem]:
    from pydantic import ValidationError

    try:
        kind = _load(config.name)
    except ConfigError as error:
        yield Problem((*path, "name"), error.what, error.hint)
        return
    options = getattr(kind, "Options", None)
    if options is None:
        return
    try:
        options.model_validate(config.config)
    except ValidationError as error:
        for problem in explain(error, (), options):
            yield Problem((*path, "config", *problem.path), problem.what, problem.hint)


def _open(config: InterceptorConfig) -> Step:
    kind = _load(config.name)
    try:
        if options := getattr(kind, "Options", None):
            step = kind(options.model_validate(config.config))
        else:
            step = kind(**config.config)
    except ConfigError:
        raise
    except Exception as error:  # foreign code
        where = f"interceptor {config.name!r}"
        raise ConfigError(f"{type(error).__name__}: {error}", where=where) from error
    if not callable(step) and not isinstance(step, Interceptor):
        hint = "subclass nemo_evaluator.Interceptor, or give it an async __call__(request, forward)"
        raise ConfigError("is not an interceptor", where=f"interceptor {config.name!r}", hint=hint)
    opened: Step = step
    return opened


def _load(name: str) -> Any:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name][0].partition(":")
        return getattr(import_module(f"{_HERE}.{module}"), attribute)
    try:
        if found := [entry for entry in installed(GROUP) if entry.name == name]:
            return found[0].load()
        if ":" in name:
            module, _, attribute = name.partition(":")
            return getattr(import_module(module), attribute)
    except Exception as error:  # foreign code
        what = f"cannot be loaded: {type(error).__name__}: {error}"
        raise ConfigError(what, hint="the module must be importable from here") from error
    names = [row[0] for row in list_interceptors()]
    hint = f"{suggest(name, names)}; your own is named module:Class"
    raise ConfigError(f"there is no interceptor {name!r}", hint=hint)
