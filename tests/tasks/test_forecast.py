"""A past run says how long the next one takes: against runs whose latencies are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Nel
from runs import BENCH

from nemo_evaluator import evaluate, evaluate_async
from nemo_evaluator.config.load import Loaded, parse
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.executors.forecast.advice import Verdict
from nemo_evaluator.executors.forecast.past import past_of
from nemo_evaluator.tasks.forecast import forecast_lines, forecast_of

SIZE = 240
LATENCIES = {
    "constant": {"distribution": "constant", "mean_ms": 150},
    "uniform": {"distribution": "uniform", "mean_ms": 150, "sigma": 0.8},
    "lognormal": {"distribution": "lognormal", "mean_ms": 150, "sigma": 0.5},
}
Document = dict[str, Any]


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Document]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "sums.py").write_text(BENCH % {"size": SIZE})

    def make(out: str, latency: str = "lognormal", **benchmark: Any) -> Document:
        entry = {"name": str(tmp_path / "sums.py"), "max_concurrent": 8, **benchmark}
        return {
            "services": {"model": {"type": "simulated", "latency": LATENCIES[latency]}},
            "benchmarks": [entry],
            "output": {"dir": str(tmp_path / out), "report": []},
        }

    return make


def slurm(document: Document, **cluster: Any) -> Loaded:
    pools = {"all": {"partition": "p"}}
    return parse({**document, "cluster": {"type": "slurm", "node_pools": pools, **cluster}})


@pytest.mark.slow
@pytest.mark.parametrize("latency", LATENCIES)
async def test_a_pilot_foretells_the_run(
    tmp_path: Path, document: Callable[..., Document], latency: str
) -> None:
    await evaluate_async(document("pilot", latency, max_problems=100))
    found = forecast_of(parse(document("whole", latency)), tmp_path / "pilot")
    assert found is not None and found.rollouts == SIZE
    await evaluate_async(document("whole", latency))
    truth = SIZE / (past_of(tmp_path / "whole").per_second or 0.0)
    assert found.expected.seconds.middle == pytest.approx(truth, rel=0.2)


@pytest.mark.slow
async def test_a_run_foretells_itself_again_with_other_concurrency(
    tmp_path: Path, document: Callable[..., Document]
) -> None:
    await evaluate_async(document("past", max_concurrent=16))
    found = forecast_of(parse(document("next", max_concurrent=4)), tmp_path / "past")
    await evaluate_async(document("next", max_concurrent=4))
    truth = SIZE / (past_of(tmp_path / "next").per_second or 0.0)
    assert found is not None
    assert found.expected.seconds.middle == pytest.approx(truth, rel=0.2)


async def test_the_last_run_of_the_same_model_is_found(
    tmp_path: Path, document: Callable[..., Document]
) -> None:
    loaded = slurm(document("next"))
    assert "a pilot makes one" in forecast_lines(loaded)[0]
    await evaluate_async(document("other", max_problems=10))
    lines = forecast_lines(loaded)
    assert lines[0].startswith("forecast from 10 rollouts in ") and "other" in lines[0]
    another = document("next")
    another["services"]["model"]["model"] = "another-model"
    assert "no past run" in forecast_lines(slurm(another))[0]
    named = forecast_lines(slurm(another), tmp_path / "other")
    assert any("not another-model" in line for line in named)


def test_a_time_limit_is_judged_before_anything_is_submitted(
    tmp_path: Path, document: Callable[..., Document], nel: Nel
) -> None:
    evaluate(document("pilot", max_problems=20))
    big = document("next", repeats=20_000)
    short = forecast_of(slurm(big, walltime="00:10:00", max_retries=2), tmp_path / "pilot")
    assert short is not None and short.verdict is Verdict.TOO_LONG
    path = tmp_path / "slurm.yaml"
    cluster = {"type": "slurm", "node_pools": {"all": {"partition": "p"}}, "walltime": "00:10:00"}
    path.write_text(yaml.safe_dump({**big, "cluster": cluster}))
    code, out, err = nel("eval", "run", path, "--dry-run", "--forecast-from", tmp_path / "pilot")
    assert code == 0 and "#SBATCH" in out
    assert "cluster.walltime (10m00s) is too short" in err
    assert "cluster.auto_resume: true with max_retries: " in err


async def test_a_run_of_something_else_says_nothing(
    tmp_path: Path, document: Callable[..., Document]
) -> None:
    await evaluate_async(document("past", max_problems=5))
    other = document("next", name="sample")
    with pytest.raises(ConfigError, match="has no times of sample"):
        forecast_lines(slurm(other), tmp_path / "past")
    with pytest.raises(ConfigError, match="holds no run"):
        forecast_lines(slurm(other), tmp_path)
