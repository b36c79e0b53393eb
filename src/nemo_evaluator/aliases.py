"""Names by which users of NVIDIA NeMo Evaluator import things, and where they are.

Nothing is imported before it is asked for. No other module refers to the package ``compat``. A row
is a module that is only there for compatibility, or attributes of a module that exists anyway.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ROOT = "nemo_evaluator"
_METRICS = ("aggregation", "confidence", "headline", "paired_tests", "summary")
MODULES: dict[str, str] = {
    "metrics": "compat.metrics",
    **{f"metrics.{name}": "compat.metrics" for name in _METRICS},
    "engine.comparison": "compat.comparison",
    "engine.gate": "compat.gate",
    "engine.eval_loop": "compat.running",
    "engine.model_client": "compat.client",
    "environments.base": "compat.environments",
    "environments.custom": "compat.environments",
    **{f"solvers.{name}": "compat.solvers" for name in ("base", "chat", "completion", "vlm")},
}
"""Module that does not exist → the one it stands for."""

_SOLVERS: tuple[str, ...] = (
    "Solver",
    "SolveResult",
    "ChatSolver",
    "CompletionSolver",
    "VLMSolver",
    "NatSolver",
    "OpenClawSolver",
    "GracefulError",
)
_ENVIRONMENTS = ("get_environment", "list_environments", "load_benchmark_file")
_PRIMITIVES = ("exact_match", "fuzzy_match", "answer_line", "math_match", "drop_match")
ATTRIBUTES: dict[str, dict[str, str]] = {
    "": {
        **dict.fromkeys(_ENVIRONMENTS, "compat.environments"),
        **dict.fromkeys(_SOLVERS, "compat.solvers"),
        "ModelClient": "compat.client",
        "run_evaluation": "compat.running",
        "code_sandbox_async": "compat.scoring",
    },
    "config": {
        "EvalConfig": "config.root",
        "parse_eval_config": "compat.config",
        "load_eval_config": "compat.config",
        "load_gate_policy": "compat.gate",
    },
    "config.gate_policy": {"load_gate_policy": "compat.gate"},
    "engine": {
        "run_evaluation": "compat.running",
        "ModelClient": "compat.client",
        "compare_runs": "compat.comparison",
        "compare_results": "compat.comparison",
        "gate_runs": "compat.gate",
    },
    "environments": {
        **dict.fromkeys(_ENVIRONMENTS, "compat.environments"),
        **dict.fromkeys(("EvalEnvironment", "VerifyResult", "register"), "environments.subclass"),
        **dict.fromkeys(("benchmark", "scorer"), "environments.define"),
        "SeedResult": "environments.seeds",
        "ScorerInput": "scoring.input",
    },
    "environments.registry": {
        **dict.fromkeys(_ENVIRONMENTS, "compat.environments"),
        "register": "environments.subclass",
    },
    "scoring": {
        **dict.fromkeys(_PRIMITIVES, "scoring.primitives"),
        "multichoice_regex": "scoring.multichoice",
        "numeric_match": "scoring.numeric",
        "mcq_extract": "compat.scoring",
        **dict.fromkeys(("extract_json", "validate_json_schema"), "scoring.structured"),
        "ScorerInput": "scoring.input",
        "needs_judge": "scoring.judged",
        "scorer": "environments.define",
        "code_sandbox": "environments.code_check",
        "code_sandbox_async": "compat.scoring",
    },
    "solvers": dict.fromkeys((*_SOLVERS, "ErrorKind", "EngineSolver"), "compat.solvers"),
}
"""Module that exists ("" is the package) → attribute → module that has it."""


def attributes(module: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module with attributes in ``ATTRIBUTES``."""
    found = ATTRIBUTES[module.removeprefix(ROOT).removeprefix(".")]

    def getter(name: str) -> object:
        if name not in found:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(import_module(f"{ROOT}.{found[name]}"), name)

    return getter


def install() -> None:
    """Make the modules of ``MODULES`` importable. Safe to call twice."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


class _Finder:
    """Asked last, for what no file answers to."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        short = name.removeprefix(f"{ROOT}.")
        if short == name or short not in MODULES:
            return None
        package = any(other.startswith(f"{short}.") for other in MODULES)
        return ModuleSpec(name, _Loader(MODULES[short]), is_package=package)  # type: ignore[arg-type]


class _Loader:
    def __init__(self, target: str) -> None:
        self._target = f"{ROOT}.{target}"

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        """The public names of the module it stands for."""
        target = import_module(self._target)
        public = target.__all__
        module.__doc__ = target.__doc__
        module.__dict__.update({name: getattr(target, name) for name in public}, __all__=public)
