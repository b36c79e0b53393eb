"""What users of NVIDIA NeMo Evaluator import is there, costs nothing before, and is typed."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import nemo_evaluator
from nemo_evaluator import aliases

TOP = """
    get_environment list_environments load_benchmark_file run_evaluation ModelClient Solver
    SolveResult ChatSolver CompletionSolver VLMSolver NatSolver OpenClawSolver
    code_sandbox_async benchmark scorer ScorerInput exact_match
"""
DOCUMENTED = {
    "environments": "EvalEnvironment SeedResult VerifyResult register get_environment",
    "environments.registry": "get_environment list_environments register",
    "environments.base": "EvalEnvironment SeedResult VerifyResult",
    "metrics": "pass_at_k bootstrap_ci clustered_ci",
    "metrics.headline": "pass_at_k",
    "scoring": "exact_match fuzzy_match multichoice_regex answer_line numeric_match ScorerInput",
    "engine": "run_evaluation",
    "engine.comparison": "compare_runs compare_results build_flip_report load_paired_records",
    "engine.gate": "gate_runs load_gate_policy",
    "config.gate_policy": "GatePolicy load_gate_policy",
    "config": "parse_eval_config",
    "solvers": "ChatSolver SolveResult",
    "solvers.chat": "ChatSolver",
}


@pytest.mark.parametrize("name", TOP.split())
def test_top_level_names(name: str) -> None:
    assert name in nemo_evaluator.__all__ and getattr(nemo_evaluator, name)


@pytest.mark.parametrize("module", DOCUMENTED)
def test_documented_modules(module: str) -> None:
    loaded = import_module(f"nemo_evaluator.{module}")
    for name in DOCUMENTED[module].split():
        assert getattr(loaded, name)
    with pytest.raises(AttributeError, match="nosuch"):
        _ = loaded.nosuch


@pytest.mark.parametrize("module", aliases.ATTRIBUTES)
def test_every_name_of_the_table_is_there(module: str) -> None:
    loaded = import_module(f"nemo_evaluator.{module}".rstrip("."))
    for name in aliases.ATTRIBUTES[module]:
        assert getattr(loaded, name)


@pytest.mark.parametrize("module", aliases.MODULES)
def test_modules_that_stand_for_others_have_their_names(module: str) -> None:
    loaded = import_module(f"nemo_evaluator.{module}")
    target = import_module(f"nemo_evaluator.{aliases.MODULES[module]}")
    assert loaded.__all__ and loaded.__doc__
    for name in loaded.__all__:
        assert getattr(loaded, name) is getattr(target, name)


def test_no_module_hides_a_real_one() -> None:
    root = Path(str(nemo_evaluator.__file__)).parent
    for module in aliases.MODULES:
        assert not (root / f"{module.replace('.', '/')}.py").exists()
        assert not (root / module.replace(".", "/") / "__init__.py").exists()
    with pytest.raises(ModuleNotFoundError):
        import_module("nemo_evaluator.nosuch")


def test_compatibility_is_not_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, nemo_evaluator, nemo_evaluator.api, nemo_evaluator.executors.local\n"
        "print([m for m in sys.modules if 'compat' in m and 'nemo' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_cannot_be_run_says_so() -> None:
    with pytest.raises(nemo_evaluator.ConfigError, match="OpenClawSolver is not available"):
        nemo_evaluator.OpenClawSolver("http://h", timeout=3)


def test_a_config_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="Unsupported gate policy version"):
        import_module("nemo_evaluator.decisions.policy").parse_policy({"version": 2})
