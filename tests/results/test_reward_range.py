"""A benchmark whose rewards are grades: its interval lies in the range that it declares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nemo_evaluator import ConfigError, benchmark, scorer
from nemo_evaluator.cli.main import cli
from nemo_evaluator.types import Json

BENCH = """
from nemo_evaluator import ScorerInput, benchmark, scorer

ROWS = [{"a": i, "target": i} for i in range(40)]


@benchmark(name="grades", dataset=ROWS, prompt="Say {a}", RANGES)
@scorer
def grades(sample: ScorerInput) -> dict:
    return {"reward": 99.0 if int(sample.target) % 20 else 1.0, "metrics": {"tone": 1.0}}
"""


def nel(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def run(folder: Path, ranges: str) -> tuple[dict[str, Json], str]:
    """The benchmark's bundle and what the terminal said."""
    folder.mkdir()
    path = folder / "grades.py"
    path.write_text(BENCH.replace("RANGES", ranges), encoding="utf-8")
    options = ["-o", folder / "run", "--model-url", "simulated", "--no-progress"]
    done = nel("eval", "run", "--bench", f"{path}:grades", *options)
    assert done.exit_code == 0, done.stderr
    [bundle] = (folder / "run" / "grades").glob("eval-*.json")
    return json.loads(bundle.read_text(encoding="utf-8"))["benchmark"], done.stdout + done.stderr


def test_a_declared_range_bounds_the_interval(tmp_path: Path) -> None:
    declared, said = run(
        tmp_path / "declared", "reward_range=(0, 100), metric_ranges={'tone': (-1, 1)}"
    )
    found = declared["scores"]["mean_reward"]
    assert found["value"] == pytest.approx(94.1) and found["ci_upper"] < 100
    assert found["method"].startswith("wilson") and declared["warnings"] == []
    assert declared["scores"]["tone"]["ci_upper"] == 1.0
    assert declared["scores"]["tone"]["ci_lower"] > 0.7
    assert "declare reward_range" not in said

    unknown, said = run(tmp_path / "unknown", "")
    assert unknown["scores"]["mean_reward"]["method"] == "t"
    assert "declare reward_range" in unknown["warnings"][0] and "declare reward_range" in said
    report = nel("eval", "report", tmp_path / "unknown" / "run")
    assert "declare reward_range" in report.stdout

    wrong, _ = run(tmp_path / "wrong", "reward_range=(0, 10)")
    assert "38 rewards lie outside the declared range, 0 to 10" in wrong["warnings"][0]


@pytest.mark.parametrize("given", [(1, 0), (0,), "high", (0, float("inf")), 5])
def test_a_range_that_is_none_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="reward_range is"):
        benchmark("odd", [], "x", reward_range=given)(scorer(lambda sample: True))  # type: ignore[arg-type]
