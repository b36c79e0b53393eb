"""Agreement with recorded answers graded by others; the floors are what docs/scoring.md claims."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nemo_evaluator.scoring.drop import best_em_and_f1
from nemo_evaluator.scoring.text import same_text

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
    "math_verify_cases": 0.97,
}


@pytest.fixture(scope="module")
def truth() -> ModuleType:
    path = ROOT / "benchmarks" / "scoring_truth.py"
    spec = importlib.util.spec_from_file_location("scoring_truth", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scoring_truth"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.shared
@pytest.mark.parametrize("name", FLOORS)
def test_agreement_with_recorded_labels(name: str, truth: ModuleType, shared_dir: Path) -> None:
    cases = truth.agreement(shared_dir / "data" / "recorded", name)
    missed = [case.id for case in cases if not case.agrees]
    assert len(cases) > 10
    assert 1 - len(missed) / len(cases) >= FLOORS[name], missed
    if name not in ("drop_metric_cases", "inspect_math_cases"):
        listed = (ROOT / "docs" / "scoring.md").read_text()
        assert [case_id for case_id in missed if case_id.split("/", 1)[1] not in listed] == []


@pytest.mark.shared
def test_lighteval_cases_that_apply(truth: ModuleType, shared_dir: Path) -> None:
    checked = 0
    for row in truth.rows(shared_dir / "data" / "recorded", "lighteval_metric_cases"):
        if row["metric_class"] == "drop":
            golds = row["doc"]["specific"]["golds_no_preprocessing"]
            em, f1 = best_em_and_f1(row["model_response"]["text"], golds)
            assert {"em": em, "f1": f1} == row["expected_output"]
        elif row["metric_class"] == "exact_match":
            doc, said = row["doc"], row["model_response"]["text"][0]
            assert (
                same_text(said, doc["choices"][doc["gold_index"]]) == row["expected_output"]["em"]
            )
        else:
            continue
        checked += 1
    assert checked >= 3


@pytest.mark.shared
def test_bbh_accuracy_is_reproduced_to_the_digit(truth: ModuleType, shared_dir: Path) -> None:
    folder = shared_dir / "data" / "recorded"
    published = json.loads((folder / "bbh_codex_cot_accuracy.json").read_text())
    cases = truth.agreement(folder, "bbh_codex_cot")
    for task, figures in published.items():
        of_task = [case.ours for case in cases if case.id.split("/")[1] == task]
        assert 100 * sum(of_task) / len(of_task) == pytest.approx(figures["accuracy"])
