"""The public surface: its names, its laziness, and the Python door."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import nemo_evaluator
from nemo_evaluator import ConfigError, evaluate, evaluate_async, load_run

NAMES = [
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


def test_names_are_pinned_and_resolve() -> None:
    assert sorted(nemo_evaluator.__all__) == sorted(NAMES)
    for name in NAMES:
        assert getattr(nemo_evaluator, name) is not None


def test_importing_costs_next_to_nothing() -> None:
    heavy = "aiohttp pydantic numpy datasets rich jinja2 sympy yaml"
    code = f"import sys, nemo_evaluator; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['nel', '--help']\n"
        "from nemo_evaluator.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = 'aiohttp pydantic numpy datasets rich jinja2 sympy yaml'.split()\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_evaluate_returns_the_typed_result(tmp_path: Path) -> None:
    result = evaluate(
        bench="sample", model_url="simulated", max_problems=10, repeats=2, output_dir=tmp_path / "r"
    )
    assert result.exit_code == 0 and result.messages == ()
    (summary,) = result.summary.benchmarks
    assert summary.name == "sample" and summary.simulated and summary.n_scored == 20
    assert summary.metrics["mean_reward"].ci_lower <= summary.score.value
    assert load_run(tmp_path / "r").benchmarks[0].metrics == summary.metrics


async def test_evaluate_async_takes_a_mapping(tmp_path: Path) -> None:
    document = {
        "services": {"m": {"type": "simulated", "accuracy": 1.0}},
        "benchmarks": [{"name": "sample", "max_problems": 5}],
        "output": {"dir": str(tmp_path / "r")},
    }
    result = await evaluate_async(document)
    assert result.summary.benchmarks[0].score.value == 1.0


def test_what_cannot_start_raises(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to evaluate"):
        evaluate()
    with pytest.raises(ConfigError, match="unknown setting"):
        evaluate(bench="sample", model_url="simulated", repeets=2)
    with pytest.raises(ConfigError, match="holds no run"):
        load_run(tmp_path)


async def test_a_notebook_is_told_what_to_await(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"event loop is running here .* — await evaluate_async"):
        evaluate(bench="sample", model_url="simulated", output_dir=tmp_path / "o")
    result = await evaluate_async(
        bench="sample", model_url="simulated", max_problems=2, output_dir=tmp_path / "o"
    )
    assert result.exit_code == 0


def test_a_run_begins_before_what_it_may_not_need_is_imported(tmp_path: Path) -> None:
    """Numpy is imported while the first answers come; engines of sandboxes and decisions only by
    runs that have any."""
    words = ["nel", "eval", "run", "--bench", "sample", "--model-url", "simulated"]
    words += ["--max-problems", "2", "--no-progress", "-o", str(tmp_path / "r")]
    code = (
        "import sys\n"
        "from nemo_evaluator.cli.main import main\n"
        "import nemo_evaluator.executors.local as local\n"
        "begin = local.begin_work\n"
        "loaded = lambda *names: print([name for name in names if name in sys.modules])\n"
        "ours = ('sandboxes.docker', 'sandboxes.local', 'decisions')\n"
        "ours = [f'nemo_evaluator.{name}' for name in ours]\n"
        "local.begin_work = lambda: (loaded('numpy', *ours), begin())\n"
        f"sys.argv = {words!r}\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code)\n"
        "loaded(*ours)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, *_, code_line, last = done.stdout.splitlines()
    assert (first, code_line, last) == ("[]", "0", "[]"), done.stdout + done.stderr


def test_no_collection_walks_all_that_is_loaded(tmp_path: Path) -> None:
    """Modules are no garbage: neither a run nor the end of its process looks for any in them."""
    words = ["nel", "eval", "run", "--bench", "sample", "--model-url", "simulated"]
    words += ["--max-problems", "2", "--no-progress", "-o", str(tmp_path / "r")]
    code = (
        "import gc, sys\n"
        "from nemo_evaluator.cli.start import main\n"
        "seen = lambda phase, _: phase == 'start' and print('objects', len(gc.get_objects()))\n"
        "gc.callbacks.append(seen)\n"
        f"sys.argv = {words!r}\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    walked = [int(line.split()[1]) for line in done.stdout.splitlines() if "objects" in line]
    assert walked and max(walked) < 50_000, done.stdout
