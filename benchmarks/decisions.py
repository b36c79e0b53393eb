"""Times of `nel compare` and `nel gate` on large runs, whole processes, with their peak memory.

    python benchmarks/decisions.py

Compares two runs of 100,000 rollouts each (graded, 100,000 × 1; right or wrong, 100,000 × 1; right
or wrong, 25,000 × 4) and gates 30 benchmarks of 5,000 rollouts. Files are made up on the spot.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

PARAGRAPH = "A step of the reasoning that a model may write before it answers. " * 12
NEL = [sys.executable, "-m", "nemo_evaluator.cli"]


def write(folder: Path, rewards: npt.NDArray[np.float64], name: str = "bench") -> None:
    """A benchmark's folder in the published format; ``rewards``: problems × repeats."""
    folder.mkdir(parents=True)
    with (folder / "results.jsonl").open("w") as file:
        for (problem, repeat), reward in np.ndenumerate(rewards):
            row = {
                "problem_idx": problem,
                "repeat": repeat,
                "reward": float(reward),
                "prompt": f"What is {problem}? {PARAGRAPH}",
                "model_response": PARAGRAPH,
                "expected_answer": str(problem),
                "scoring_details": {"method": "made up"},
                "metadata": {"category": f"category {problem % 20}"},
            }
            file.write(json.dumps(row) + "\n")
    n, repeats = rewards.shape
    bundle = {
        "run_id": f"eval-{folder.parent.name}-{name}",
        "config": {"benchmark": name, "model": folder.parent.name},
        "benchmark": {
            "name": name,
            "samples": n,
            "repeats": repeats,
            "scores": {"mean_reward": {"value": float(rewards.mean())}},
        },
    }
    (folder / f"eval-{name}.json").write_text(json.dumps(bundle))


def measured(*command: str) -> tuple[float, float, int]:
    """Seconds, peak MB and exit code of a process."""
    began = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable,
        [*NEL, *command],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    return seconds, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def main() -> None:
    """Print one line per case."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cases = {
            "graded, 100,000 x 1": (100_000, 1, True),
            "binary, 100,000 x 1": (100_000, 1, False),
            "binary, 25,000 x 4": (25_000, 4, False),
        }
        for i, (label, (n, repeats, graded)) in enumerate(cases.items()):
            for side, shift in (("a", 0.0), ("b", 0.01)):
                draws = generator.uniform(0, 1, (n, repeats))
                rewards = draws - shift if graded else (draws < 0.7 - shift).astype(float)
                write(root / f"{side}{i}" / "bench", rewards)
            one, other = str(root / f"a{i}"), str(root / f"b{i}")
            seconds, memory, code = measured("compare", one, other, "--format", "json")
            print(f"compare {label:<22} {seconds:6.2f} s  {memory:6.0f} MB  exit {code}")
        for side in "ab":
            for i in range(30):
                draws = (generator.uniform(0, 1, (2500, 2)) < 0.7).astype(float)
                write(root / f"gate_{side}" / f"bench{i}", draws, f"bench{i}")
        policy = root / "policy.yaml"
        policy.write_text("version: 1\ndefaults: {metric: mean_reward, max_drop: 0.02}\n")
        one, other = str(root / "gate_a"), str(root / "gate_b")
        seconds, memory, code = measured("gate", one, other, "-p", str(policy), "--format", "json")
        print(f"gate 30 x 5,000                {seconds:6.2f} s  {memory:6.0f} MB  exit {code}")


if __name__ == "__main__":
    main()
