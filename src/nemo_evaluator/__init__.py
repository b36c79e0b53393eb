"""NeMo Evaluator: evaluate language models and decide on the numbers.

The public API, imported on first use: ``import nemo_evaluator`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import aliases
from .version import __version__

if TYPE_CHECKING:
    from .api import control_run, evaluate, evaluate_async, load_run
    from .asked import Answer, Request, RequestKind
    from .compat.client import ModelClient
    from .compat.environments import get_environment, list_environments, load_benchmark_file
    from .compat.running import run_evaluation
    from .compat.scoring import code_sandbox_async
    from .compat.solvers import (
        ChatSolver,
        CompletionSolver,
        GracefulError,
        NatSolver,
        OpenClawSolver,
        Solver,
        SolveResult,
        VLMSolver,
    )
    from .environments.code_check import code_sandbox
    from .environments.define import SeedResult, benchmark, scorer
    from .environments.subclass import EvalEnvironment, VerifyResult, register
    from .errors import ConfigError, InfraError, ModelError
    from .measured import Measure
    from .sandboxes.contract import SandboxSpec
    from .scoring.input import ScorerInput
    from .scoring.instructions.ifeval import check_instructions, ifeval
    from .scoring.instructions.registry import instruction
    from .scoring.judged import needs_judge
    from .scoring.measures import bleu, chrf, edit_distance, f1, rouge_l
    from .scoring.multichoice import multichoice_regex
    from .scoring.numeric import numeric_match
    from .scoring.patterns import includes, regex
    from .scoring.primitives import (
        answer_line,
        drop_match,
        exact_match,
        fuzzy_match,
        math_match,
        math_match_async,
        trivia_match,
    )
    from .scoring.structured import extract_json, json_match, json_schema, validate_json_schema
    from .tasks.calibrate import JudgeFlags, calibrate_judge
    from .tasks.decide import compare_results, compare_runs, gate_runs
    from .traffic.types import Changes, Forward, Interceptor, ModelRequest, ModelResponse

_PUBLIC = {
    **aliases.ATTRIBUTES[""],
    "Measure": "measured",
    "Answer": "asked",
    "ConfigError": "errors",
    "EvalEnvironment": "environments.subclass",
    "Forward": "traffic.types",
    "InfraError": "errors",
    "JudgeFlags": "tasks.calibrate",
    "Changes": "traffic.types",
    "Interceptor": "traffic.types",
    "ModelError": "errors",
    "ModelRequest": "traffic.types",
    "ModelResponse": "traffic.types",
    "Request": "asked",
    "RequestKind": "asked",
    "SandboxSpec": "sandboxes.contract",
    "ScorerInput": "scoring.input",
    "SeedResult": "environments.define",
    "VerifyResult": "environments.subclass",
    "answer_line": "scoring.primitives",
    "benchmark": "environments.define",
    "bleu": "scoring.measures",
    "calibrate_judge": "tasks.calibrate",
    "check_instructions": "scoring.instructions.ifeval",
    "chrf": "scoring.measures",
    "code_sandbox": "environments.code_check",
    "compare_results": "tasks.decide",
    "compare_runs": "tasks.decide",
    "drop_match": "scoring.primitives",
    "edit_distance": "scoring.measures",
    "control_run": "api",
    "evaluate": "api",
    "evaluate_async": "api",
    "exact_match": "scoring.primitives",
    "extract_json": "scoring.structured",
    "f1": "scoring.measures",
    "fuzzy_match": "scoring.primitives",
    "ifeval": "scoring.instructions.ifeval",
    "gate_runs": "tasks.decide",
    "includes": "scoring.patterns",
    "instruction": "scoring.instructions.registry",
    "json_match": "scoring.structured",
    "json_schema": "scoring.structured",
    "load_run": "api",
    "math_match": "scoring.primitives",
    "math_match_async": "scoring.primitives",
    "multichoice_regex": "scoring.multichoice",
    "needs_judge": "scoring.judged",
    "numeric_match": "scoring.numeric",
    "regex": "scoring.patterns",
    "register": "environments.subclass",
    "rouge_l": "scoring.measures",
    "scorer": "environments.define",
    "trivia_match": "scoring.primitives",
    "validate_json_schema": "scoring.structured",
}

__all__ = [
    "Answer",
    "Changes",
    "ChatSolver",
    "CompletionSolver",
    "ConfigError",
    "EvalEnvironment",
    "Forward",
    "GracefulError",
    "InfraError",
    "Interceptor",
    "JudgeFlags",
    "Measure",
    "ModelClient",
    "ModelError",
    "ModelRequest",
    "ModelResponse",
    "NatSolver",
    "OpenClawSolver",
    "Request",
    "RequestKind",
    "SandboxSpec",
    "ScorerInput",
    "SeedResult",
    "SolveResult",
    "Solver",
    "VLMSolver",
    "VerifyResult",
    "__version__",
    "answer_line",
    "benchmark",
    "bleu",
    "calibrate_judge",
    "check_instructions",
    "chrf",
    "code_sandbox",
    "code_sandbox_async",
    "compare_results",
    "compare_runs",
    "control_run",
    "drop_match",
    "edit_distance",
    "evaluate",
    "evaluate_async",
    "exact_match",
    "extract_json",
    "f1",
    "fuzzy_match",
    "gate_runs",
    "get_environment",
    "ifeval",
    "includes",
    "instruction",
    "json_match",
    "json_schema",
    "list_environments",
    "load_benchmark_file",
    "load_run",
    "math_match",
    "math_match_async",
    "multichoice_regex",
    "needs_judge",
    "numeric_match",
    "regex",
    "register",
    "rouge_l",
    "run_evaluation",
    "scorer",
    "trivia_match",
    "validate_json_schema",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


aliases.install()


def __dir__() -> list[str]:
    return sorted(__all__)
