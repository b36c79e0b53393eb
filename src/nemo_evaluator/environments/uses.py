"""What a user's function calls, read from its code without running it: enough to tell before a run
that it will need a sandbox, or that one of our scorers will read the target."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

OURS = "nemo_evaluator.scoring."
TARGETLESS = {"check_instructions", "extract_json", "ifeval", "json_schema", "regex"}
TARGETLESS |= {"validate_json_schema"}
"""Scorers of ours that can do without a target."""
MOST = 200
"""Functions looked at."""


def functions_used(function: Callable[..., Any]) -> list[FunctionType]:
    """The function and those it names, and what they name as far as they are of its module."""
    first = inspect.unwrap(function)
    if not inspect.isfunction(first):
        return []
    found = [first]
    for used in found:  # grows as it is read
        if used.__module__ != first.__module__ or len(found) > MOST:
            continue
        for name in names_in(used.__code__):
            value = used.__globals__.get(name)
            if inspect.isfunction(value) and (plain := inspect.unwrap(value)) not in found:
                found.append(plain)
    return found


def uses_sandbox(function: Callable[..., Any]) -> bool:
    """Whether its code, or a function of its module, calls ``code_sandbox`` or reads
    ``sample.sandbox``."""
    used = functions_used(function)
    return any(
        f.__name__.startswith("code_sandbox")
        or (f.__module__ == used[0].__module__ and "sandbox" in set(names_in(f.__code__)))
        for f in used
    )


def verify_uses_sandbox(verify: Callable[..., Any]) -> bool:
    """Whether a ``verify(response, expected, sandbox=None, **metadata)`` calls its sandbox."""
    used = functions_used(verify)
    if not used or "sandbox" not in used[0].__code__.co_varnames:
        return False
    calls = {"exec", "upload", "download", "upload_folder", "download_folder"}
    return bool(calls & set(names_in(used[0].__code__)))


def seeds_workspaces(seed: Callable[..., Any]) -> bool:
    """Whether a seeding function names ``sandbox_spec``: its problems have workspaces then."""
    return any(
        "sandbox_spec" in {*names_in(f.__code__), *keywords_in(f.__code__)}
        for f in functions_used(seed)
    )


def reads_target(function: Callable[..., Any]) -> bool:
    """Whether it may read the target: not if its code never does and all it calls of ours are
    scorers without one."""
    used = functions_used(function)
    if not used or used[0].__module__.startswith(OURS):
        return not used or used[0].__name__ not in TARGETLESS
    own = [f for f in used if f.__module__ == used[0].__module__]
    others = {f.__name__ for f in used if f not in own}
    read = any({"target", "target_raw"} & set(names_in(f.__code__)) for f in own)
    return read or not others <= TARGETLESS


def keywords_in(code: CodeType) -> Iterator[str]:
    """Names of the arguments that code and the functions inside it pass by keyword."""
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from keywords_in(part)
        elif isinstance(part, tuple):
            yield from (name for name in part if isinstance(name, str))


def names_in(code: CodeType) -> Iterator[str]:
    """Global names and attributes that code and the functions inside it use."""
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from names_in(part)
