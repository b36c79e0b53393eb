"""The reference of every speed figure: a bare aiohttp loop posting chat requests.

    python benchmarks/bare_client.py URL N CONCURRENCY

Posts N distinct chat requests with CONCURRENCY workers on one pooled session (uvloop where it is
installed), decodes every answer, keeps nothing. Prints JSON: n, seconds, rate (per second).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import aiohttp

FILLER = "Think about it carefully and give the final number only. " * 8


async def run(url: str, n: int, concurrency: int) -> dict[str, float]:
    url = url.rstrip("/") + "/chat/completions"
    numbers = iter(range(n))
    connector = aiohttp.TCPConnector(limit=concurrency)

    async def work(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            text = f"{FILLER}What is {number} plus {number % 97}?"
            body = {"model": "m", "messages": [{"role": "user", "content": text}]}
            async with session.post(url, json=body) as response:
                answer = await response.json()
                assert answer["choices"][0]["message"]["content"]

    async with aiohttp.ClientSession(connector=connector) as session:
        started = time.perf_counter()
        await asyncio.gather(*(work(session) for _ in range(concurrency)))
        seconds = time.perf_counter() - started
    return {"n": n, "seconds": round(seconds, 4), "rate": round(n / seconds, 1)}


def main() -> None:
    url, n, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        import uvloop
    except ImportError:
        result = asyncio.run(run(url, n, concurrency))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(run(url, n, concurrency))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
