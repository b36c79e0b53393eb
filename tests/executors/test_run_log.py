"""The log in the directory of a run."""

from __future__ import annotations

from pathlib import Path

from runs import BENCH

from nemo_evaluator import evaluate_async
from nemo_evaluator.results.layout import LOG

RUNS, SIZE = 8, 20


async def test_the_last_line_of_a_benchmark_counts_every_verdict(tmp_path: Path) -> None:
    """Those too that are written while the benchmark ends: in a short run, most of them."""
    path = tmp_path / "sums.py"
    path.write_text(BENCH % {"size": SIZE})
    for number in range(RUNS):
        directory = tmp_path / f"run{number}"
        document = {
            "services": {"model": {"type": "simulated"}},
            "benchmarks": [{"name": str(path)}],
            "output": {"dir": str(directory), "report": [], "progress_interval": 0.001},
        }
        assert (await evaluate_async(document)).exit_code == 0
        lines = (directory / LOG).read_text().splitlines()
        progress = [line for line in lines if f"/{SIZE} (" in line]
        assert f" {SIZE}/{SIZE} (" in progress[-1], lines
