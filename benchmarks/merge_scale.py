"""Merges the shards of a large run, and measures what that takes.

    python benchmarks/merge_scale.py [--rollouts 1000000] [--shards 16] [--repeats 4] [--folder DIR]

A small run against the simulated endpoint gives the plan and real events; the shards hold those
events again, each with its own problem, repeat, texts and verdict, as if every rollout had been
run. Then `nel eval merge` runs in a process of its own. Prints JSON: seconds, the largest resident
memory of that process in MB, and whether every rollout stands in the merged results once and the
score is that of what was made. Needs about 10 KB of disk for each rollout.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from nemo_evaluator import evaluate
from nemo_evaluator.engine.shards import Shard
from nemo_evaluator.results.journal import (
    Began,
    Event,
    ProblemSeeded,
    Scored,
    Solved,
    encode,
    events,
    header_of,
)
from nemo_evaluator.results.layout import CONFIG, JOURNAL, PLAN_LOCK, RUN_INFO, TRAFFIC
from nemo_evaluator.results.plan_lock import PlanLock, read_lock, write_lock
from nemo_evaluator.results.planned import problem_order
from nemo_evaluator.types import BenchmarkPlan, Score

HERE = Path(__file__).parent
RIGHT = 0.7
"""Share of the answers that are right."""

E = TypeVar("E")


def real_run(folder: Path, problems: int, repeats: int) -> BenchmarkPlan:
    """A run of three problems of a benchmark with as many as are wanted: its plan, unsplit."""
    os.environ["SYNTHETIC_SIZE"] = str(problems)
    config: dict[str, Any] = {
        "services": {"model": {"type": "simulated"}},
        "benchmarks": [{"name": str(HERE / "synthetic.py"), "max_problems": 3, "repeats": repeats}],
        "output": {"dir": str(folder), "report": ["markdown"]},
    }
    result = evaluate(config)
    assert result.exit_code == 0, result.messages
    lock = read_lock(folder / PLAN_LOCK)
    assert lock is not None
    [plan] = lock.benchmarks
    whole = {**plan.identity, "n_problems": problems}
    return replace(plan, dataset_size=problems, n_problems=problems, identity=whole)


def first(kind: type[E], found: list[Event]) -> E:
    """The first event of a kind."""
    return next(event for event in found if isinstance(event, kind))


def made_up(
    real: list[Event], problems: Sequence[int], repeats: int, rng: random.Random
) -> Iterator[Event]:
    """The events of a shard, in the order in which a run writes them."""
    problem, solved, scored = (first(kind, real) for kind in (ProblemSeeded, Solved, Scored))
    yield Began(at=solved.at)
    for place, idx in enumerate(problems):
        prompt = f"{problem.prompt} (question {idx})"
        yield replace(problem, problem_idx=idx, digest=f"{idx:064x}", prompt=prompt)
        for repeat in range(repeats):
            at = solved.at + place * 0.01
            text = f"{solved.solution.response} This is answer {repeat} to question {idx}."
            solution = replace(solved.solution, response=text * 4)
            yield replace(solved, problem_idx=idx, repeat=repeat, at=at, solution=solution)
            right = rng.random() < RIGHT
            score = Score(
                reward=float(right), correct=right, extracted="5", details=scored.score.details
            )
            yield replace(scored, problem_idx=idx, repeat=repeat, at=at + 0.005, score=score)


def write_shards(folder: Path, real: Path, plan: BenchmarkPlan, total: int) -> float:
    """The shards; the mean reward of all their rollouts."""
    found = list(events(real / plan.slug / JOURNAL))
    traffic = (real / plan.slug / TRAFFIC).read_bytes().splitlines(keepends=True)[:1]
    rng, right, count = random.Random(7), 0, 0
    seed, size = plan.settings.shuffle_seed, plan.n_problems
    order = problem_order(plan.dataset_size, shuffle_seed=seed, max_problems=size)
    for index in range(total):
        shard = Shard(index=index, total=total)
        start, end = shard.range(plan.n_problems)
        settings = replace(plan.settings, shard=(index, total), shard_range=(start, end))
        part = replace(plan, n_problems=end - start, settings=settings)
        out = folder / f"shard_{index}"
        (out / plan.slug).mkdir(parents=True)
        run_id = f"20260101T000000Z_{index:08x}"
        write_lock(out / PLAN_LOCK, PlanLock(run_id=run_id, benchmarks=(part,)))
        shutil.copy(real / CONFIG, out / CONFIG)
        info = json.loads((real / RUN_INFO).read_text())
        (out / RUN_INFO).write_text(json.dumps({**info, "run_id": run_id}))
        with (out / plan.slug / JOURNAL).open("wb", buffering=1 << 20) as journal:
            journal.write(encode(header_of(part, run_id)))
            for event in made_up(found, shard.part(order), plan.repeats, rng):
                journal.write(encode(event))
                if isinstance(event, Scored):
                    right, count = right + bool(event.score.correct), count + 1
        with (out / plan.slug / TRAFFIC).open("wb", buffering=1 << 20) as log:
            for _ in range((end - start) * plan.repeats if traffic else 0):
                log.writelines(traffic)
    return right / count


def merged(folder: Path) -> tuple[float, float]:
    """Seconds, and the largest resident memory in MB, of a merge in a process of its own."""
    program = (
        "import resource, runpy, sys; sys.argv[0] = 'nel'\n"
        "try: runpy.run_module('nemo_evaluator.cli', run_name='__main__')\n"
        "finally:\n"
        "  kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "  print(f'\\npeak_kb={kb}', file=sys.stderr)"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, "eval", "merge", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"the merge ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds, int(done.stderr.rpartition("peak_kb=")[2]) / 1024


def check(folder: Path, plan: BenchmarkPlan, mean: float) -> bool:
    """Whether every rollout is in the results once, in order, and the score is the true one."""
    before = (-1, -1)
    total, count = 0.0, 0
    with (folder / plan.slug / "results.jsonl").open("rb") as rows:
        for line in rows:
            row = json.loads(line)
            key = (row["problem_idx"], row["repeat"])
            if key <= before:
                return False
            before, total, count = key, total + row["reward"], count + 1
    return count == plan.n_rollouts and abs(total / count - mean) < 1e-9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rollouts", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="Keep the shards there, or use them again.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "run"
        problems = options.rollouts // options.repeats
        plan = real_run(Path(scratch) / "real", problems, options.repeats)
        known = folder / "mean"
        if not known.exists():
            mean = write_shards(folder, Path(scratch) / "real", plan, options.shards)
            known.write_text(str(mean))
        size = sum(path.stat().st_size for path in folder.glob(f"shard_*/*/{JOURNAL}"))
        seconds, peak = merged(folder)
        whole = check(folder, plan, float(known.read_text()))
    print(
        json.dumps(
            {
                "rollouts": plan.n_rollouts,
                "shards": options.shards,
                "journals_mb": round(size / 1e6),
                "seconds": round(seconds, 1),
                "peak_mb": round(peak),
                "whole": whole,
            }
        )
    )


if __name__ == "__main__":
    main()
