"""What a call through ModelClient costs beside its bare HTTP request, on one loopback server.

    python benchmarks/traffic_overhead.py [N]

Prints the median latency of both, taken in turns, and the CPU time per call at concurrency 64.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from bare_client import FILLER

from nemo_evaluator.config.services import ApiService
from nemo_evaluator.runtime import run_blocking
from nemo_evaluator.traffic.open import open_http_model
from nemo_evaluator.traffic.types import CallContext

LOOPBACK = Path(__file__).resolve().parents[1] / "tests/support/loopback.py"
PROMPT = f"{FILLER}What is 1 plus 2?"
BODY = {"model": "m", "messages": [{"role": "user", "content": PROMPT}]}
Call = Callable[[], Awaitable[object]]


async def measure(url: str, n: int) -> None:
    service = ApiService(url=url, protocol="chat_completions", model="m")
    model = open_http_model("m", service, max_concurrent=64)
    context = CallContext(session="b/0/0")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def bare() -> None:
            async with session.post(f"{url}/chat/completions", json=BODY) as response:
                await response.json()

        async def ours() -> None:
            await model.generate(prompt=PROMPT, context=context)

        await latency(n // 10, bare, ours)
        bare_us, ours_us = await latency(n, bare, ours)
        print(f"p50, one at a time: bare {bare_us:.0f} us, client {ours_us:.0f} us")
        costs: dict[str, list[float]] = {"bare": [], "client": []}
        for _ in range(3):
            costs["bare"].append(await cpu(n, bare))
            costs["client"].append(await cpu(n, ours))
        bare_us, ours_us = (statistics.median(values) for values in costs.values())
        print(
            f"CPU per call at 64: bare {bare_us:.0f} us, client {ours_us:.0f} us, "
            f"overhead {ours_us - bare_us:+.0f} us (budget 60)"
        )
    await model.close()


async def latency(n: int, *calls: Call) -> list[float]:
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(n):
        for times, call in zip(taken, calls, strict=True):
            started = time.perf_counter()
            await call()
            times.append(time.perf_counter() - started)
    return [statistics.median(times) * 1e6 for times in taken]


async def cpu(n: int, call: Call) -> float:
    numbers = iter(range(n))

    async def work() -> None:
        for _ in numbers:
            await call()

    started = time.process_time()
    await asyncio.gather(*(work() for _ in range(64)))
    return (time.process_time() - started) / n * 1e6


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    command = [sys.executable, str(LOOPBACK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            run_blocking(measure(server.stdout.readline().split()[-1], n))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
