"""Prints the figures of the performance budget: ratios against a bare aiohttp client in the same
run, start-up times, a suite of benchmarks, and memory and resume at 100,000 rollouts.

    python benchmarks/run_all.py [--rollouts 5000] [--rounds 3] [--skip-large]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NEL = [sys.executable, "-m", "nemo_evaluator.cli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--skip-large", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nel-bench-") as folder:
        start_up(Path(folder))
        suite()
        with Server() as url:
            throughput(url, args.rollouts, args.rounds, args.concurrency, Path(folder))
            if not args.skip_large:
                large(url, args.large, args.concurrency, Path(folder))


class Server:
    """The loopback endpoint in its own process."""

    def __enter__(self) -> str:
        command = [sys.executable, str(ROOT / "tests/support/loopback.py"), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()[-1]

    def __exit__(self, *_exc: object) -> None:
        self.process.terminate()
        self.process.wait()


def timed(command: list[str], **env: str) -> tuple[float, str]:
    started = time.perf_counter()
    cached = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, env={**cached, **env}, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return seconds, done.stdout


def start_up(folder: Path) -> None:
    bare = statistics.median(timed([sys.executable, "-c", "pass"])[0] for _ in range(5))
    for words, budget in ((["--help"], 0.25), (["list"], 0.4)):
        seconds = statistics.median(timed([*NEL, *words])[0] for _ in range(5))
        print(
            f"nel {words[0]:<7} {seconds:.3f} s (budget {budget} s), "
            f"{seconds / bare:.1f} x a bare python start"
        )
    command = [*NEL, "eval", "run", "--bench", "sample", "--model-url", "simulated"]
    command += ["--max-problems", "1", "--no-progress", "-o"]
    times = [timed([*command, str(folder / f"start{number}")])[0] for number in range(6)]
    seconds = statistics.median(times[1:])  # the first one may write bytecode
    print(f"nel eval run of one rollout, report included: {seconds:.3f} s (budget 0.4 s)")


def suite() -> None:
    """Eight benchmarks together and one after the other."""
    print(timed([sys.executable, str(HERE / "suite.py"), "--seeds", "1"])[1], end="")


def run_nel(url: str, size: int, concurrency: int, directory: Path, *more: str) -> float:
    command = [*NEL, "eval", "run", "--bench", str(HERE / "synthetic.py"), "--model-url", url]
    command += ["--model-id", "m", "--max-concurrent", str(concurrency), "-o", str(directory)]
    return timed([*command, *more], SYNTHETIC_SIZE=str(size))[0]


def throughput(url: str, size: int, rounds: int, concurrency: int, folder: Path) -> None:
    ratios = []
    for number in range(rounds):
        command = [sys.executable, str(HERE / "bare_client.py"), url, str(size), str(concurrency)]
        wall, text = timed(command)
        bare = size / wall
        ours = size / run_nel(url, size, concurrency, folder / f"run{number}")
        ratios.append(ours / bare)
        inner = json.loads(text)["rate"]
        print(
            f"round {number + 1}: bare client {bare:.0f}/s whole process ({inner:.0f}/s inside), "
            f"nel {ours:.0f}/s whole process: {ours / bare:.0%}"
        )
    print(f"{size} rollouts: {statistics.median(ratios):.0%} of the bare client (budget 50 %)")


def large(url: str, size: int, concurrency: int, folder: Path) -> None:
    seconds = run_nel(url, size, concurrency, folder / "large")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{size} rollouts: {seconds:.0f} s, peak memory of any process {peak:.0f} MB (budget 500)"
    )
    bare = run_nel(url, 1, 1, folder / "one")
    resumed = run_nel(url, size, concurrency, folder / "large", "--resume")
    print(f"resume of {size} finished rollouts: {resumed - bare:.1f} s beyond a run of one rollout")
    code = (
        "import sys, time; from pathlib import Path\n"
        "from nemo_evaluator.results.journal import scan\n"
        "t = time.perf_counter(); scan(Path(sys.argv[1])); print(time.perf_counter() - t)"
    )
    journal = next((folder / "large").glob("*/journal.jsonl"))
    scan = float(timed([sys.executable, "-c", code, str(journal)])[1])
    print(f"of that the scan of the journal: {scan:.1f} s (budget 3 s)")


if __name__ == "__main__":
    main()
