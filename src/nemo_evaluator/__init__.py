"""NeMo Evaluator: evaluate language models and decide on the numbers.

The public API, imported on first use: ``import nemo_evaluator`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .api import evaluate, evaluate_async, load_run
    from .environments.code_check import code_sandbox
    from .environments.define import SeedResult, benchmark, scorer
    from .environments.subclass import EvalEnvironment, VerifyResult, register
    from .errors import ConfigError, InfraError, ModelError
    from .sandboxes.contract import SandboxSpec
    from .scoring.input import ScorerInput
    from .scoring.primitives import (
        answer_line,
        exact_match,
        fuzzy_match,
        math_match,
        multichoice_regex,
        numeric_match,
    )
    from .traffic.types import Forward, Interceptor, ModelRequest, ModelResponse

_PUBLIC = {
    "ConfigError": "errors",
    "EvalEnvironment": "environments.subclass",
    "Forward": "traffic.types",
    "InfraError": "errors",
    "Interceptor": "traffic.types",
    "ModelError": "errors",
    "ModelRequest": "traffic.types",
    "ModelResponse": "traffic.types",
    "SandboxSpec": "sandboxes.contract",
    "ScorerInput": "scoring.input",
    "SeedResult": "environments.define",
    "VerifyResult": "environments.subclass",
    "answer_line": "scoring.primitives",
    "benchmark": "environments.define",
    "code_sandbox": "environments.code_check",
    "evaluate": "api",
    "evaluate_async": "api",
    "exact_match": "scoring.primitives",
    "fuzzy_match": "scoring.primitives",
    "load_run": "api",
    "math_match": "scoring.primitives",
    "multichoice_regex": "scoring.primitives",
    "numeric_match": "scoring.primitives",
    "register": "environments.subclass",
    "scorer": "environments.define",
}

__all__ = [
    "ConfigError",
    "EvalEnvironment",
    "Forward",
    "InfraError",
    "Interceptor",
    "ModelError",
    "ModelRequest",
    "ModelResponse",
    "SandboxSpec",
    "ScorerInput",
    "SeedResult",
    "VerifyResult",
    "__version__",
    "answer_line",
    "benchmark",
    "code_sandbox",
    "evaluate",
    "evaluate_async",
    "exact_match",
    "fuzzy_match",
    "load_run",
    "math_match",
    "multichoice_regex",
    "numeric_match",
    "register",
    "scorer",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
