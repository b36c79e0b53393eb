"""Extra scorers take a configuration, and measures keep their fractions."""

from __future__ import annotations

from pathlib import Path

import pytest

from nemo_evaluator import ConfigError, evaluate


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


def test_a_scorer_that_can_read_no_target_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cities.csv").write_text("question,answer\nFrance?,Paris\nJapan?,Tokyo\n")
    document = {
        "services": {"m": {"type": "simulated"}},
        "benchmarks": [
            {
                "name": str(tmp_path / "cities.csv"),
                "scoring": {"metrics": [{"type": "scorer", "name": "numeric_match"}]},
            }
        ],
        "output": {"dir": str(tmp_path / "r")},
    }
    with pytest.raises(ConfigError, match=r"numeric_match: .*any target: '\w+' is not a number"):
        evaluate(document)
    (tmp_path / "cities.csv").write_text("question,answer\nFrance?,Paris\n2 + 2?,4\n")
    result = evaluate(document)
    assert result.exit_code == 0 and result.summary.benchmarks[0].n_scored == 2
    assert "1 of 2 problems for the scorer numeric_match" in caplog.text
