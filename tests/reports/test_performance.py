"""How well a model was served: numbers that a known endpoint must have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from commands import Nel


@pytest.mark.process
def test_times_pace_and_price_are_those_of_the_endpoint(nel: Nel, tmp_path: Path) -> None:
    service = {
        "type": "simulated",
        "accuracy": 0.5,
        "latency": {"mean_ms": 40},
        "stream": True,
        "price": {"prompt": 1.0, "completion": 10.0},
    }
    run_with(nel, tmp_path, service)
    [path] = (tmp_path / "run" / "sample").glob("eval-*.json")
    benchmark = json.loads(path.read_text())["benchmark"]
    told = benchmark["performance"]
    assert told["answers"] == 120
    assert 40 <= told["latency_p50_ms"]["value"] < 400
    assert told["ttft_p50_ms"]["value"] <= told["latency_p50_ms"]["value"]
    for name in ("latency_p50_ms", "tokens_per_s_p50", "cost_per_correct", "tokens_per_correct"):
        quantity = told[name]
        assert quantity["ci_lower"] <= quantity["value"] <= quantity["ci_upper"], name
    lines = (tmp_path / "run" / "sample" / "results.jsonl").read_text().splitlines()
    right = sum(json.loads(line)["reward"] for line in lines)
    cost = benchmark["scores"]["runtime"]["cost_usd"]
    assert told["cost_per_correct"]["value"] == pytest.approx(cost / right, rel=1e-3)
    text = (tmp_path / "run" / "report.md").read_text()
    assert "### Performance" in text and "Cost per correct answer" in text
    assert "Cost of an answer" in text


def run_with(nel: Nel, folder: Path, service: dict[str, object]) -> None:
    document = {
        "services": {"model": service},
        "benchmarks": [{"name": "sample"}],
        "output": {"dir": str(folder / "run")},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(document))
    code, _, err = nel("eval", "run", folder / "run.yaml", "--no-progress")
    assert code == 0, err
