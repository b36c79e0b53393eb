"""What a user writes about a plug-in, checked like everything else: path, what is wrong, how to fix
it. Only plug-ins that are named are imported."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from ..errors import ConfigError
from ..plugins import Kind
from .explain import explain
from .problems import Problem
from .tree import KeyPath


def plugin_problems(
    kind: Kind,
    name: str,
    config: Mapping[str, Any],
    path: KeyPath = (),
    secrets: Collection[str] = (),
) -> Iterator[Problem]:
    """What is wrong with ``name`` and ``config`` that stand at a path; opens nothing."""
    try:
        options = kind.options(name)
    except ConfigError as error:
        yield Problem((*path, "name"), error.what, error.hint)
        return
    if options is not None:
        where = (*path, "config")
        yield from (
            replace(problem, path=(*where, *problem.path))
            for problem in option_problems(options, config, secrets)
        )


def option_problems(
    options: Any, config: Mapping[str, Any], secrets: Collection[str] = ()
) -> Iterator[Problem]:
    """What is wrong with the options of a plug-in."""
    try:
        options.model_validate(config, context=frozenset(secrets))
    except ValidationError as error:
        yield from explain(error, secrets, options)
