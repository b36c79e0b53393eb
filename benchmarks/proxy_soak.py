"""A soak of the proxy: many requests of many sessions, with faults upstream and clients that leave.

    python benchmarks/proxy_soak.py [--requests 200000] [--sessions 1000] [--connections 64]

Checked at the end: memory grew by less than a tenth over the second half, no socket and no task is
left, and every request is accounted once: by the door (all that were sent), by the ledger (all that
went into the pipeline) and by the traffic log. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from proxy import LOOPBACK, NEL, process, run

FAULTS = {"rate_limit": 0.004, "server_error": 0.004, "drop": 0.004, "truncated_json": 0.004}
CONFIG = """
proxy:
  max_retries: 2
  max_concurrent_upstream: 256
  model_traffic: {{level: summary, path: {folder}/traffic.jsonl}}
  interceptors:
    - {{name: caching, config: {{cache_dir: {folder}/cache, max_mb: 64}}}}
    - {{name: turn_counter, config: {{max_turns: 1000000}}}}
    - {{name: system_message, config: {{system_message: Be brief.}}}}
    - {{name: reasoning}}
    - {{name: reasoning_replay}}
    - {{name: response_stats, config: {{every: 20000}}}}
"""
STREAMED, LEAVES = 0.3, 0.03
"""Shares of requests that are streamed, and of those whose client leaves early."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=64)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nel-soak-")))
        command = [sys.executable, str(LOOPBACK), "--port", "0", "--faults", json.dumps(FAULTS)]
        upstream, _ = stack.enter_context(process(command))
        config = folder / "soak.yaml"
        config.write_text(CONFIG.format(folder=folder))
        server = [*NEL, "--upstream", upstream, "-c", str(config)]
        url, pid = stack.enter_context(process(server, folder / "proxy.log"))
        soak = Soak(url, pid, args.requests, args.sessions, args.connections)
        run(soak.run())  # type: ignore[arg-type]
        time.sleep(1)
        problems = soak.check(folder / "traffic.jsonl")
        print("\n".join(problems) or "everything is in order")
        sys.exit(bool(problems))


class Soak:
    """The load, what it saw, and what the server looked like meanwhile."""

    def __init__(self, url: str, pid: int, requests: int, sessions: int, connections: int) -> None:
        self.url, self.pid = url, pid
        self.requests, self.sessions, self.connections = requests, sessions, connections
        self.seen: Counter[str] = Counter()
        self.memory: list[tuple[int, float]] = []
        self.files: list[tuple[int, int]] = []
        self.metrics: dict[str, float] = {}

    async def run(self) -> None:
        self.before = await self.scrape()
        numbers = iter(range(self.requests))
        started = time.perf_counter()
        connector = aiohttp.TCPConnector(limit=self.connections)
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(*(self.work(session, numbers, n) for n in range(self.connections)))
        seconds = time.perf_counter() - started
        print(f"{self.requests} requests in {seconds:.0f} s: {dict(self.seen)}")
        await asyncio.sleep(3)
        self.metrics = await self.scrape()

    async def work(self, session: aiohttp.ClientSession, numbers: Iterator[int], seed: int) -> None:
        rng = random.Random(seed)
        for number in numbers:
            if number % (self.requests // 50) == 0:
                self.memory.append((number, self.resident_mb()))
                self.files.append((number, self.open_files()))
            # Every tenth prompt has been asked before: a hit of the cache.
            prompt = f"What is 1 plus {number - number % 10 if rng.random() < 0.1 else number}?"
            body = {
                "messages": [{"role": "user", "content": prompt}],
                "stream": rng.random() < STREAMED,
            }
            path = f"{self.url}/s/soak-{number % self.sessions}/v1/chat/completions"
            try:
                if rng.random() < LEAVES:
                    await self.leave(session, path, body, rng)
                else:
                    async with session.post(path, json=body) as response:
                        data = await response.read()
                        broken = b'"error"' in data[-300:] and response.status == 200
                        self.seen["broken stream" if broken else str(response.status)] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                self.seen[type(error).__name__] += 1

    async def leave(
        self, session: aiohttp.ClientSession, path: str, body: object, rng: random.Random
    ) -> None:
        """Ask, and go away at some moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rng.random() * 0.01):
                async with session.post(path, json=body) as response:
                    await response.content.readany()
                    response.close()
        self.seen["left"] += 1

    def check(self, log: Path) -> list[str]:
        problems = []
        half = [mb for number, mb in self.memory if number >= self.requests / 2]
        first, last = half[0], max(half[-3:])
        print(
            f"memory: {self.memory[0][1]:.0f} MB, at half {first:.0f} MB, at the end {last:.0f} MB"
        )
        if last > first * 1.1:
            problems.append(f"memory grew by {last / first - 1:.0%} over the second half")
        late = [count for number, count in self.files if number >= self.requests / 2]
        print(f"open files: at half {late[0]}, at the end {max(late[-3:])}")
        if max(late[-3:]) > late[0] + 16:
            problems.append("open files grew over the second half")
        if (tasks := self.metrics["nel_proxy_tasks"]) > self.before["nel_proxy_tasks"] + 2:
            problems.append(f"{tasks:.0f} tasks, {self.before['nel_proxy_tasks']:.0f} before")
        if self.metrics["nel_proxy_in_flight"] != 0:
            problems.append(f"{self.metrics['nel_proxy_in_flight']:.0f} requests are in flight")
        door = total(self.metrics, "nel_proxy_requests_total{")
        calls = total(self.metrics, "nel_calls_total{")
        with log.open() as file:
            lines = sum(1 for _ in file)
        unseen = self.seen["left"]
        print(f"sent {self.requests}, door {door:.0f}, ledger {calls:.0f}, log {lines}")
        if not self.requests - unseen <= door <= self.requests:
            problems.append("the door did not account for every request once")
        if not door - unseen <= calls <= door or calls != lines:
            problems.append("ledger and log did not account for every call once")
        return problems

    async def scrape(self) -> dict[str, float]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/metrics") as response,
        ):
            text = await response.text()
        found = re.findall(r"^(nel_\S+) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+)", status)
        return int(match[1]) / 1024 if match else 0.0

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def total(metrics: dict[str, float], prefix: str) -> float:
    return sum(value for name, value in metrics.items() if name.startswith(prefix))


if __name__ == "__main__":
    main()
