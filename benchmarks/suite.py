"""How well a suite keeps its endpoint busy: benchmarks with heavy-tailed latency, together and one
after the other.

    python benchmarks/suite.py [--benchmarks 8] [--problems 96] [--concurrency 64] [--seeds 1 2 3]

The latency of an answer is log-normal (median 0.3 s, sigma 1, at most 6 s), drawn from its prompt,
so that both ways of running wait for the same answers. The ideal is the larger of two times that
nobody can beat: all latencies divided by the concurrency, and the longest answer. Who does not know
the latencies beforehand misses it where a long answer happens to start late: "without a gap" is the
time of the same rollouts in the same order if a place is never free for a moment.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import math
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))
MEDIAN, SIGMA, LONGEST = 0.3, 1.0, 6.0
BENCH = """
from nemo_evaluator import ScorerInput, benchmark, numeric_match, scorer

ROWS = [{"seed": %(seed)d, "b": %(number)d, "i": i, "target": i} for i in range(%(problems)d)]


@benchmark(name="bench%(number)d", dataset=ROWS, prompt="{seed}/{b}/{i}")
@scorer
def bench(sample: ScorerInput) -> dict:
    return numeric_match(sample)
"""


def latency(prompt: str) -> float:
    """Seconds that the endpoint takes to answer a prompt."""
    drawn = random.Random(prompt).lognormvariate(math.log(MEDIAN), SIGMA)
    return min(LONGEST, drawn)


def serve() -> None:
    """The endpoint, as a process of its own."""
    from loopback import Call, Loopback, Reply, answer

    def slow(call: Call) -> Reply:
        reply = answer(call)
        reply.delay = latency(call.prompt)
        return reply

    async def forever() -> None:
        async with Loopback(slow, keep=False) as server:
            print(server.url, flush=True)
            await asyncio.Event().wait()

    asyncio.run(forever())


def without_gap(latencies: list[float], concurrency: int) -> float:
    """Seconds until the last of some calls ends, each begun as soon as a place is free."""
    places = [0.0] * concurrency
    for seconds in latencies:
        heapq.heapreplace(places, places[0] + seconds)
    return max(places)


async def timed(url: str, names: list[str], concurrency: int, directory: Path) -> float:
    """Seconds of one run, from its configuration to its report."""
    from nemo_evaluator import evaluate_async

    service = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    document = {
        "services": {"model": service},
        "benchmarks": [{"name": name, "max_concurrent": concurrency} for name in names],
        "output": {"dir": str(directory), "report": ["markdown"]},
    }
    started = time.perf_counter()
    result = await evaluate_async(document)
    assert result.exit_code == 0, result.messages
    return time.perf_counter() - started


async def one_seed(
    url: str, seed: int, sizes: tuple[int, int, int], folder: Path
) -> tuple[float, float, float]:
    """As multiples of the ideal: without a gap, together, and one after the other."""
    benchmarks, problems, concurrency = sizes
    names = []
    for number in range(benchmarks):
        path = folder / f"seed{seed}_bench{number}.py"
        path.write_text(BENCH % {"seed": seed, "number": number, "problems": problems})
        names.append(str(path))
    latencies = [latency(f"{seed}/{b}/{i}") for b in range(benchmarks) for i in range(problems)]
    ideal = max(sum(latencies) / concurrency, max(latencies))
    together = await timed(url, names, concurrency, folder / f"together{seed}")
    alone = 0.0
    for number, name in enumerate(names):
        alone += await timed(url, [name], concurrency, folder / f"alone{seed}_{number}")
    found = without_gap(latencies, concurrency) / ideal, together / ideal, alone / ideal
    print(f"seed {seed}: ideal {ideal:.1f} s; {shown(found)}", flush=True)
    return found


def shown(found: tuple[float, ...]) -> str:
    """The multiples in words."""
    gapless, together, alone = found
    return (
        f"together {together:.2f} x the ideal ({together / gapless:.2f} x without a gap), "
        f"one after the other {alone:.2f} x"
    )


async def measure(url: str, args: argparse.Namespace) -> None:
    sizes = args.benchmarks, args.problems, args.concurrency
    with tempfile.TemporaryDirectory(prefix="nel-suite-") as folder:
        await timed(url, ["sample"], 64, Path(folder) / "warm-up")  # imports, bytecode
        found = [await one_seed(url, seed, sizes, Path(folder)) for seed in args.seeds]
    medians = tuple(statistics.median(column) for column in zip(*found, strict=True))
    print(f"median: {shown(medians)}; without a gap {medians[0]:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--benchmarks", type=int, default=8)
    parser.add_argument("--problems", type=int, default=96)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve()
        return
    import subprocess

    command = [sys.executable, str(Path(__file__).resolve()), "--serve"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        asyncio.run(measure(server.stdout.readline().strip(), args))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
