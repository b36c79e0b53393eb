"""From the `interceptors` of a configuration to the steps of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from ...config.mistakes import Mistake, format_path
from ...config.plugins import plugin_problems
from ...config.proxy import InterceptorConfig, ProxyConfig
from ...errors import ConfigError
from ...kinds import INTERCEPTORS
from ..types import Changes, Interceptor, Step
from . import ENDPOINT

if TYPE_CHECKING:
    from ...config.tree import KeyPath

NEEDS = "subclass nemo_evaluator.Interceptor, or give it an async __call__(request, forward)"


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
        for problem in check_interceptors([config]):
            where = format_path(("interceptors", index, *problem.path[2:]))
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
        changes = getattr(INTERCEPTORS.load(config.name), "changes", Changes.REQUESTS)
        if changes is not Changes.NOTHING:
            options = dict(config.config)
            found.append({"name": config.name, "changes": str(changes), "config": options})
    return found


def check_interceptors(
    configs: Sequence[InterceptorConfig], path: KeyPath = ()
) -> Iterator[Mistake]:
    """What is wrong with a list of interceptors that stands at ``path``; opens nothing."""
    for index, config in enumerate(configs):
        where = (*path, "interceptors", index)
        yield from plugin_problems(INTERCEPTORS, config.name, config.config, where)


def _open(config: InterceptorConfig) -> Step:
    step = INTERCEPTORS.open(config.name, config.config)
    if not callable(step) and not isinstance(step, Interceptor):
        raise INTERCEPTORS.wrong(config.name, NEEDS)
    return cast(Step, step)
