"""Extra scorers take a configuration, and measures keep their fractions."""

from __future__ import annotations

from pathlib import Path

from nemo_evaluator import evaluate


def test_scorers_with_a_configuration(tmp_path: Path) -> None:
    document = {
        "services": {"m": {"type": "simulated", "accuracy": 1.0}},
        "benchmarks": [
            {
                "name": "sample",
                "max_problems": 8,
                "scoring": {
                    "metrics": [
                        {"type": "scorer", "name": "regex", "config": {"pattern": "Answer: (.*)"}},
                        {"type": "scorer", "name": "rouge_l"},
                    ]
                },
            }
        ],
        "output": {"dir": str(tmp_path / "r")},
    }
    summary = evaluate(document).summary.benchmarks[0]
    assert summary.metrics["scorer:regex"].value == 1.0
    assert 0 < summary.metrics["scorer:rouge_l"].value < 1
    assert summary.identity["scorers"] == [
        {"name": "regex", "config": {"pattern": "Answer: (.*)"}},
        "rouge_l",
    ]
