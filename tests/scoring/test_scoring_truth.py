"""Agreement with recorded answers graded by others; the floors are what docs/scoring.md claims."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {
    "gsm8k_openai_2021": 1.0,
    "gsm8k_abel": 1.0,
    "mcq_mathgpt_abel": 1.0,
    "mmlu_pro_outputs": 0.994,
    "math_qwen_8samples": 0.997,
    "bbh_codex_cot": 1.0,
    "triviaqa_search_r1": 0.998,
    "nq_search_r1": 1.0,
    "drop_metric_cases": 1.0,
    "inspect_math_cases": 1.0,
    "math_verify_cases": 0.99,
    "lighteval_metric_cases": 0.86,
    "ifeval_outputs": 0.99,
    "nemo_skills_eval": 1.0,
    "nemo_evaluator_fixtures": 0.77,
}


@pytest.fixture(scope="module")
def truth() -> ModuleType:
    path = ROOT / "benchmarks" / "scoring_truth.py"
    sys.path.append(str(path.parent))  # it imports the rules beside it
    spec = importlib.util.spec_from_file_location("scoring_truth", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scoring_truth"] = module
    spec.loader.exec_module(module)
    sys.path.remove(str(path.parent))
    return module


@pytest.mark.shared
@pytest.mark.parametrize("name", FLOORS)
def test_agreement_with_recorded_labels(name: str, truth: ModuleType, shared_dir: Path) -> None:
    cases = truth.agreement(shared_dir / "data" / "recorded", name)
    missed = [case.id for case in cases if not case.agrees]
    assert len(cases) > 6
    assert 1 - len(missed) / len(cases) >= FLOORS[name], missed
    listed = (ROOT / "docs" / "scoring.md").read_text()
    unlisted = [i for i in missed if i not in listed and i.partition("/")[2] not in listed]
    assert unlisted == []


@pytest.mark.shared
@pytest.mark.parametrize("name", ["mcq_mathgpt_abel", "mmlu_pro_outputs", "nq_search_r1"])
def test_no_other_rule_is_nearer_to_the_labels_as_judged(
    name: str, truth: ModuleType, shared_dir: Path
) -> None:
    folder = shared_dir / "data" / "recorded"
    cases = truth.agreement(folder, name)
    ours = sum(case.ours == truth.JUDGED.get(case.id, case.theirs) for case in cases)
    for rule in (truth.SETS[name].original, truth.SETS[name].reference):
        said = [rule(row) for row in truth.rows_of(folder, name)]
        pairs = zip(cases, said, strict=True)
        assert ours > sum(v == truth.JUDGED.get(case.id, case.theirs) for case, v in pairs)


@pytest.mark.shared
def test_bbh_accuracy_is_reproduced_to_the_digit(truth: ModuleType, shared_dir: Path) -> None:
    folder = shared_dir / "data" / "recorded"
    published = json.loads((folder / "bbh_codex_cot_accuracy.json").read_text())
    cases = truth.agreement(folder, "bbh_codex_cot")
    for task, figures in published.items():
        of_task = [case.ours for case in cases if case.id.split("/")[1] == task]
        assert 100 * sum(of_task) / len(of_task) == pytest.approx(figures["accuracy"])
