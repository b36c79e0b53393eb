"""The packages of others that decide grades, and which scorers ask them.

What such a package says may change with its version, so the versions are part of what a run means.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

_MATH = ("math-verify", "latex2sympy2_extended", "sympy")
_SCHEMA = ("jsonschema",)
_BLEU = ("sacrebleu",)
PACKAGES = {
    "math_match": _MATH,
    "math_match_async": _MATH,
    "math_equal": _MATH,
    "math_equal_async": _MATH,
    "json_schema": _SCHEMA,
    "validate_json_schema": _SCHEMA,
    "bleu": _BLEU,
    "chrf": _BLEU,
}
"""What our primitives ask, by the name of the primitive."""
_DEPTH = 4


def deciding(scorers: Iterable[Callable[..., object]]) -> dict[str, str]:
    """The packages that these scorers ask, with their versions (``missing`` where there is none).

    A scorer asks what the primitives ask that it, or a function of its own that it calls, names.
    """
    names = {name for scorer in scorers for name in _names_used(scorer, _DEPTH)}
    found = sorted({package for name in names for package in PACKAGES.get(name, ())})
    return {package: installed(package) for package in found}


@lru_cache(maxsize=16)
def installed(package: str) -> str:
    """The version of an installed package, or ``missing``."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _names_used(scorer: Any, depth: int) -> Iterator[str]:
    """The names in the code of a function, and in that of functions of its module it names."""
    function = inspect.unwrap(getattr(scorer, "func", scorer))
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        return
    yield function.__name__
    names = set(_names(function.__code__))
    yield from names
    for name in names if depth else ():
        called = function.__globals__.get(name)
        if isinstance(called, FunctionType) and called.__module__ == function.__module__:
            yield from _names_used(called, depth - 1)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names(const)
