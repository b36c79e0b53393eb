"""The model-index, as the hub's own library reads it."""

from __future__ import annotations

from pathlib import Path

import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from reported import RUN, document, repeated, report, summary

from nemo_evaluator.reports.model_card import model_index
from nemo_evaluator.reports.sources import Found
from nemo_evaluator.reports.view import build_report
from nemo_evaluator.results.read_bundle import published


def test_the_hub_reads_it() -> None:
    card = ModelCard(f"---\n{model_index(report(summary('gsm8k', model='acme/m')))}---\n# acme\n")
    results = card.data.eval_results
    assert card.data.model_name == "acme/m" and results is not None
    (result,) = results
    assert (result.task_type, result.dataset_type) == ("text-generation", "openai/gsm8k")
    assert (result.dataset_config, result.dataset_split) == ("main", "test")
    assert result.dataset_revision == "e53f048856ff4f594e959d75785d2c2d37b678ee"
    assert (result.metric_type, result.metric_value) == ("pass@1", 0.642)
    assert result.metric_args["ci_lower"] == 0.592 and result.metric_args["n"] == 97
    assert not result.verified


def test_several_benchmarks_and_metrics() -> None:
    index = yaml.safe_load(model_index(report()))["model-index"]
    _, results = model_index_to_eval_results(index)
    assert [(r.dataset_name, r.metric_type) for r in results] == [
        ("gsm8k", "pass@1"),
        ("sample", "pass@1"),
        ("sample", "pass@4"),
        ("sample", "pass^4"),
    ]
    assert results[-1].metric_name == "pass^4 (simulated)"
    assert "&id" not in model_index(report()), "no YAML aliases"


def test_doubts_stand_above_it_as_comments() -> None:
    text = model_index(report())
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert any("simulated" in line for line in comments)
    assert any("incomplete" in line for line in comments)
    nasty = report(summary("gsm8k", model="a\nmodel-index: []"))
    assert len(yaml.safe_load(model_index(nasty))["model-index"]) == 1


def test_a_dataset_that_is_not_the_hubs_is_called_as_the_benchmark() -> None:
    data = document(repeated(), **{"environment.dataset": "data/sample.jsonl"})
    found = Found(Path("x.json"), published(data, where="x"), RUN)
    index = yaml.safe_load(model_index(build_report([found])))["model-index"]
    assert index[0]["results"][0]["dataset"] == {"name": "sample", "type": "sample"}
