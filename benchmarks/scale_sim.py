"""What more shards give, and what stands in the way first: a discrete-event model of a run.

    python benchmarks/scale_sim.py              # 1, 8, 64 and 512 shards, with the rates below
    python benchmarks/scale_sim.py --check      # measure rates, run 1, 2 and 4 shards, compare

In the model every process (a shard, the endpoint) has one thread, and a node its cores; work on a
core is done in the order in which it comes. A shard starts (CPU), opens its places as the limiter
does, spends CPU on each rollout before and after the endpoint answers, and derives its results. The
endpoint answers after a latency, so many requests at a time. Then one process merges.

--check feeds it with rates of this machine, and compares it with real shards, started at once
against one endpoint in a process of its own: with latency, where the cores are mostly idle, and
without, where they are the limit. On a machine that does other work, run it before that
(``nice -n -15``): the model knows nothing of others, and says only how many cores they used.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from nemo_evaluator.executors.forecast.schedule import opens_at

HERE = Path(__file__).resolve().parent
NEL = [sys.executable, "-m", "nemo_evaluator.cli"]
QUANTUM = 0.005
"""Seconds after which long work on a core lets others have their turn."""
Then = Callable[[], None]


@dataclass(frozen=True)
class Rates:
    """CPU seconds, as measured."""

    start: float = 0.86
    """Of a shard, before its first request and after its last."""
    rollout: float = 0.000224
    """Of a rollout in the shard's process, all told."""
    answer: float = 0.000025
    """Of a request in the endpoint's process."""
    merge: float = 0.70
    """Of a merge, whatever it merges."""
    row: float = 0.00005
    """Of a merged rollout."""


@dataclass(frozen=True)
class Setting:
    """A run."""

    shards: int
    rollouts: int
    places: int
    """Requests in flight of each shard."""
    latency: Callable[[random.Random], float]
    slots: int | None = None
    """Requests that the endpoint answers at a time; None: any number."""
    nodes: int = 1
    cores: float = 2.0
    """Of each node."""


class Cores:
    """The cores of a node: work waits for one in the order in which it comes."""

    def __init__(self, sim: Simulation, count: float) -> None:
        self._sim = sim
        self._free = max(1, round(count))
        self._slower = self._free / count
        self._queue: deque[tuple[float, Then]] = deque()

    def work(self, seconds: float, then: Then) -> None:
        """Do work, then something else."""
        self._queue.append((seconds, then))
        self._next()

    def _next(self) -> None:
        while self._free and self._queue:
            seconds, then = self._queue.popleft()
            self._free -= 1
            self._sim.after(seconds * self._slower, lambda then=then: self._done(then))

    def _done(self, then: Then) -> None:
        self._free += 1
        then()
        self._next()


class Process:
    """One thread: it works on one thing at a time, on the cores of its node."""

    def __init__(self, cores: Cores) -> None:
        self._cores = cores
        self._busy = False
        self._queue: deque[tuple[float, Then]] = deque()

    def work(self, seconds: float, then: Then) -> None:
        """Do work, then something else."""
        self._queue.append((seconds, then))
        if not self._busy:
            self._turn()

    def _turn(self) -> None:
        self._busy = bool(self._queue)
        if self._queue:
            seconds, then = self._queue.popleft()
            if seconds > QUANTUM:
                self._queue.appendleft((seconds - QUANTUM, then))
                self._cores.work(QUANTUM, self._turn)
            else:
                self._cores.work(seconds, lambda: self._ended(then))

    def _ended(self, then: Then) -> None:
        then()
        self._turn()


@dataclass
class Endpoint:
    """Answers after a latency, ``slots`` requests at a time."""

    sim: Simulation
    process: Process
    free: float
    waiting: deque[tuple[float, Then]] = field(default_factory=deque)

    def ask(self, latency: float, then: Then) -> None:
        """Answer a request, after those that came before."""
        self.waiting.append((latency, then))
        self._next()

    def _next(self) -> None:
        while self.free and self.waiting:
            latency, then = self.waiting.popleft()
            self.free -= 1
            work = self.sim.rates.answer
            self.process.work(
                work, lambda s=latency, then=then: self.sim.after(s, lambda: self._sent(then))
            )

    def _sent(self, then: Then) -> None:
        self.free += 1
        then()
        self._next()


class Shard:
    """One shard: starts, makes its rollouts on its places, ends."""

    def __init__(self, sim: Simulation, process: Process, rollouts: int) -> None:
        self._sim, self._process = sim, process
        self._open = self._left = rollouts
        process.work(sim.rates.start * 0.8, self._begin)

    def _begin(self) -> None:
        if not self._left:
            self._end()
        for place in range(min(self._sim.setting.places, self._open)):
            self._sim.after(opens_at(place), self._take)

    def _take(self) -> None:
        if self._open:
            self._open -= 1
            self._process.work(self._sim.rates.rollout / 2, self._ask)

    def _ask(self) -> None:
        sim = self._sim
        sim.endpoint.ask(sim.setting.latency(sim.random), self._answered)

    def _answered(self) -> None:
        self._process.work(self._sim.rates.rollout / 2, self._scored)

    def _scored(self) -> None:
        self._left -= 1
        self._take()
        if not self._left:
            self._end()

    def _end(self) -> None:
        self._process.work(self._sim.rates.start * 0.2, self._sim.shard_ended)


class Simulation:
    """A run, event by event."""

    def __init__(self, setting: Setting, rates: Rates, seed: int = 0) -> None:
        self.setting, self.rates, self.random = setting, rates, random.Random(seed)
        self.now, self.made = 0.0, 0.0
        self._events: list[tuple[float, int, Then]] = []
        self._order = itertools.count()
        nodes = [Cores(self, setting.cores) for _ in range(setting.nodes)]
        # The endpoint of a real cluster has a machine of its own.
        own = nodes[0] if setting.nodes == 1 else Cores(self, 64)
        slots = float("inf") if setting.slots is None else setting.slots
        self.endpoint = Endpoint(self, Process(own), slots)
        self._running = setting.shards
        for index in range(setting.shards):
            size, rest = divmod(setting.rollouts, setting.shards)
            Shard(self, Process(nodes[index % setting.nodes]), size + (index < rest))
        self._merging = Process(nodes[0])

    def after(self, seconds: float, then: Then) -> None:
        """Do something later."""
        heapq.heappush(self._events, (self.now + seconds, next(self._order), then))

    def shard_ended(self) -> None:
        """Once all have: merge."""
        self._running -= 1
        if not self._running:
            self.made = self.now
            if self.setting.shards > 1:
                work = self.rates.merge + self.rates.row * self.setting.rollouts
                self._merging.work(work, lambda: None)

    def run(self) -> float:
        """Seconds until the last event."""
        while self._events:
            self.now, _, then = heapq.heappop(self._events)
            then()
        return self.now


def bounds(setting: Setting, rates: Rates) -> dict[str, float]:
    """Seconds that each thing alone would take: the largest is what stands in the way."""
    draws = random.Random(1)
    drawn = [setting.latency(draws) for _ in range(setting.rollouts)]
    mean = statistics.fmean(drawn)
    each = -(-setting.rollouts // setting.shards)
    waits = mean + rates.rollout + rates.answer
    found = {
        "places of the shards": setting.rollouts * waits / (setting.shards * setting.places),
        "one thread of a shard": each * rates.rollout,
        "cores": setting.rollouts * rates.rollout / (setting.nodes * setting.cores),
        "slowest rollout": max(drawn),
        "start of the shards": rates.start * max(1, setting.shards / setting.nodes / setting.cores),
    }
    if setting.slots is not None:
        found["slots of the endpoint"] = setting.rollouts * mean / setting.slots
    if setting.shards > 1:
        found["merge"] = rates.merge + rates.row * setting.rollouts
    return found


def lognormal(mean: float, sigma: float = 1.0) -> Callable[[random.Random], float]:
    import math

    mu = math.log(mean) - sigma**2 / 2
    return lambda draws: draws.lognormvariate(mu, sigma)


def tables(rollouts: int, rates: Rates) -> None:
    """What 1, 8, 64 and 512 shards give."""
    for title, slots in (
        ("one endpoint that answers 1,024 requests at a time", 1024),
        ("a model server for each shard", None),
    ):
        print(f"{rollouts:,} rollouts of 10 s (log-normal), 64 in flight per shard, {title}:")
        first = 0.0
        for shards in (1, 8, 64, 512):
            setting = Setting(shards, rollouts, 64, lognormal(10.0), slots, shards, 4.0)
            sim = Simulation(setting, rates)
            seconds = sim.run()
            first = first or seconds
            limits = bounds(setting, rates)
            name = max(limits, key=limits.__getitem__)
            rest = max(0.0, seconds - limits[name])
            print(
                f"  {shards:4} shards: {seconds:8.0f} s, {first / seconds:6.1f} x; of that "
                f"{seconds - sim.made:.0f} s merge; first limit: {name} "
                f"({limits[name]:.0f} s; the rest, tail included, {rest:.0f} s)"
            )


# What follows measures.


@contextmanager
def endpoint(latency_ms: float) -> Iterator[tuple[str, int]]:
    """The endpoint in a process of its own: URL and process."""
    command = [sys.executable, str(HERE.parent / "tests/support/loopback.py"), "--port", "0"]
    with subprocess.Popen(
        [*command, "--latency-ms", str(latency_ms)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[-1], server.pid
        finally:
            server.terminate()


def cpu_of(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_children() -> float:
    """CPU seconds of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def busy() -> float:
    """CPU seconds that all processes of the machine have used."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, soft, *_ = map(int, words)
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """A run of real shards."""

    seconds: float
    others: float
    """Cores that other processes used meanwhile."""


def shards_of(url: str, pid: int, setting: Setting, folder: Path) -> Measured:
    """Run shards at once, and merge them."""
    env = {**os.environ, "SYNTHETIC_SIZE": str(setting.rollouts)}
    command = [*NEL, "eval", "run", "--bench", str(HERE / "synthetic.py"), "--model-url", url]
    command += ["--model-id", "m", "--max-concurrent", str(setting.places), "--no-progress"]
    began, all_before = time.perf_counter(), busy()
    ours = cpu_of_children() + cpu_of(pid)
    running = []
    for index in range(setting.shards):
        part = ["--shard", f"{index}/{setting.shards}"] if setting.shards > 1 else []
        running.append(
            subprocess.Popen(
                [*command, "-o", str(folder), *part],
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in running:
        _, said = process.communicate()
        if process.returncode:
            sys.exit(said)
    if setting.shards > 1:
        subprocess.run([*NEL, "eval", "merge", str(folder)], check=True, capture_output=True)
    seconds = time.perf_counter() - began
    used = cpu_of_children() + cpu_of(pid) - ours
    return Measured(seconds, max(0.0, busy() - all_before - used) / seconds)


def measure(folder: Path) -> Rates:
    """The rates of this machine: differences of runs of two sizes."""
    small, large = 200, 4200
    used: dict[int, tuple[float, float]] = {}
    with endpoint(0) as (url, pid):
        for size in (small, large, small):
            before, served = cpu_of_children(), cpu_of(pid)
            one = Setting(1, size, 32, lambda _: 0.0)
            shards_of(url, pid, one, folder / f"one{size}_{len(used)}")
            used[size] = (cpu_of_children() - before, cpu_of(pid) - served)
        merged = {}
        for size in (small, large):
            place = folder / f"two{size}"
            two = Setting(2, size, 32, lambda _: 0.0)
            shards_of(url, pid, two, place)
            before = cpu_of_children()
            subprocess.run([*NEL, "eval", "merge", str(place)], check=True, capture_output=True)
            merged[size] = cpu_of_children() - before
    step = large - small
    rollout = (used[large][0] - used[small][0]) / step
    row = max(0.0, (merged[large] - merged[small]) / step)
    return Rates(
        start=used[small][0] - small * rollout,
        rollout=rollout,
        answer=(used[large][1] - used[small][1]) / step,
        merge=merged[small] - small * row,
        row=row,
    )


def check(folder: Path, rounds: int) -> bool:
    """Real shards beside the model; whether all points are within 15 %."""
    rates = measure(folder)
    print(f"measured: {rates}")
    good = True
    for name, latency, rollouts, places in (
        ("latency 0.4 s, cores mostly idle", 0.4, 1600, 16),
        ("no latency, cores are the limit", 0.0, 12_000, 32),
    ):
        for shards in (1, 2, 4):
            setting = Setting(shards, rollouts, places, lambda _, s=latency: s)
            found = []
            with endpoint(1000 * latency) as (url, pid):
                for number in range(rounds):
                    real = shards_of(url, pid, setting, folder / f"{latency}_{shards}_{number}")
                    model = Simulation(replace(setting, cores=os.cpu_count() or 1), rates).run()
                    found.append((real.seconds / model, real, model))
            ratio, real, model = sorted(found, key=lambda item: item[0])[len(found) // 2]
            good = good and abs(ratio - 1) <= 0.15
            print(
                f"  {name}: {shards} shards {real.seconds:.1f} s, model {model:.1f} s "
                f"({100 * (ratio - 1):+.0f} %; others used {real.others:.1f} cores)",
                flush=True,
            )
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with real shards")
    parser.add_argument("--rounds", type=int, default=1, help="of each point; the median counts")
    parser.add_argument("--rollouts", type=int, default=200_000)
    args = parser.parse_args()
    if not args.check:
        tables(args.rollouts, Rates())
        return
    with tempfile.TemporaryDirectory(prefix="nel-scale-") as folder:
        if not check(Path(folder), args.rounds):
            sys.exit("a point is more than 15 % beside the model")


if __name__ == "__main__":
    main()
