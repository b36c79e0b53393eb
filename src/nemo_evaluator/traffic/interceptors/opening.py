"""From the `interceptors` of a configuration to the steps of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...config.explain import explain
from ...config.problems import Problem, format_path, suggest
from ...config.proxy import InterceptorConfig, ProxyConfig
from ...errors import ConfigError
from ...plugins import installed
from ..types import Changes, Interceptor, Step
from . import BUILT_IN, ENDPOINT, GROUP, list_interceptors

if TYPE_CHECKING:
    from ...config.tree import KeyPath


def default_interceptors(proxy: ProxyConfig) -> list[InterceptorConfig]:
    """The interceptors of a `proxy` section, with those that its switches stand for."""
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


def identity(proxy: ProxyConfig | None) -> list[dict[str, Any]]:
    """Every interceptor of a `proxy` section that changes a request or an answer, in order.
    Raises ConfigError for one that cannot be loaded."""
    found = []
    for config in default_interceptors(proxy) if proxy is not None else []:
        if config.name == ENDPOINT:
            continue
        changes = getattr(_load(config.name), "changes", Changes.REQUESTS)
        if changes is not Changes.NOTHING:
            options = dict(config.config)
            found.append({"name": config.name, "changes": str(changes), "config": options})
    return found


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
        return getattr(import_module(f"{__package__}.{module}"), attribute)
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
