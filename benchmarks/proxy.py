"""What the proxy costs: direct, through an empty pipeline, and with every interceptor on.

    python benchmarks/proxy.py [--requests 4000] [--rounds 3] [--connections 1 64 512] \
        [--beside SRC]

Endpoint, proxy and load are processes of their own; every round measures all ways one after the
other, so that the ratios hold although the machine's speed does not. Every request is different.
`cpu` is what the process itself used for a request, which other work on the machine hardly
changes. `--beside` names the `src` folder of another version, to be measured in the same rounds.
Where LiteLLM's proxy is installed (`pip install 'litellm[proxy]'`) it is measured too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
from bare_client import FILLER

LOOPBACK = Path(__file__).resolve().parents[1] / "tests/support/loopback.py"
NEL = [sys.executable, "-m", "nemo_evaluator.cli", "proxy", "--port", "0", "--model", "m"]
EVERYTHING = """
proxy:
  max_concurrent_upstream: 512
  interceptors:
    - {{name: caching, config: {{cache_dir: {folder}/cache}}}}
    - {{name: turn_counter, config: {{max_turns: 1000000, every: 1000}}}}
    - {{name: drop_params, config: {{params: [seed]}}}}
    - name: payload_modifier
      config: {{params_to_add: {{top_k: 5}}, headers_to_add: {{x-a: b}}}}
    - {{name: modify_tools, config: {{strip_properties: [security_risk]}}}}
    - {{name: system_message, config: {{system_message: Be brief.}}}}
    - {{name: consolidate_system}}
    - {{name: raise_client_errors}}
    - {{name: log_tokens}}
    - {{name: response_stats}}
    - {{name: reasoning}}
    - {{name: reasoning_replay}}
    - {{name: finish_reason}}
    - {{name: progress_tracking, config: {{every: 1000}}}}
    - {{name: budget, config: {{run: {{tokens: 1000000000}}}}}}
    - {{name: redact, config: {{preset: [email]}}}}
    - {{name: record, config: {{path: {folder}/traffic.jsonl}}}}
    - {{name: http_pairs_dump, config: {{dump_path: {folder}/pairs.json}}}}
    - {{name: logging, config: {{preview_chars: 80}}}}
"""
numbers = itertools.count()


class Way(NamedTuple):
    name: str
    url: str
    pid: int = 0


class Figures(NamedTuple):
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 64, 512])
    parser.add_argument("--beside", help="`src` of another version")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nel-bench-"))
        ways = start(stack, Path(folder), args.beside)
        for stream, connections in itertools.product((False, True), args.connections):
            compare(ways, args.requests, args.rounds, connections, stream)


def start(stack: contextlib.ExitStack, folder: Path, beside: str | None) -> list[Way]:
    upstream, pid = stack.enter_context(process([sys.executable, str(LOOPBACK), "--port", "0"]))
    everything = folder / "everything.yaml"
    everything.write_text(EVERYTHING.format(folder=folder))
    empty = folder / "empty.yaml"
    empty.write_text("proxy: {max_concurrent_upstream: 512, finish_reason_fixup: false}")
    to = ["--upstream", upstream]
    ways = [Way("direct", upstream, pid)]
    for version, source in (("", None), (" (beside)", beside)):
        if version and source is None:
            continue
        for name, config in (("empty", empty), ("everything", everything)):
            own = folder / f"{name}{len(ways)}.yaml"
            own.write_text(config.read_text().replace(str(folder), f"{folder}/{len(ways)}"))
            log = folder / f"{name}{len(ways)}.log"
            url, pid = stack.enter_context(process([*NEL, *to, "-c", str(own)], log, source))
            ways.append(Way(name + version, f"{url}/v1", pid))
    if shutil.which("litellm") and importlib.util.find_spec("fastapi"):
        ways.append(Way("litellm", stack.enter_context(litellm(upstream, folder))))
    return ways


@contextlib.contextmanager
def process(
    command: list[str], log: Path | None = None, source: str | None = None
) -> Iterator[tuple[str, int]]:
    """Runs a server; gives the URL it says it listens on, and its process."""
    env = {**os.environ, **({"PYTHONPATH": source} if source else {})}
    with open(log or os.devnull, "w") as stderr:
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env
        )
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            if not line:
                sys.exit(f"{command} did not start; see {log}")
            yield line.split()[-1], server.pid
        finally:
            server.terminate()
            server.wait()


@contextlib.contextmanager
def litellm(upstream: str, folder: Path) -> Iterator[str]:
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: m\n    litellm_params:\n"
        f"      {{model: openai/m, api_base: '{upstream}', api_key: none}}\n"
    )
    port = 4321
    command = ["litellm", "--config", str(config), "--port", str(port), "--num_workers", "1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        asyncio.run(up(f"{url}/health/liveliness"))
        yield f"{url}/v1"
    finally:
        server.terminate()
        server.wait()


async def up(url: str) -> None:
    deadline = time.monotonic() + 90
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.5)
    sys.exit(f"nobody answers at {url}")


def compare(ways: list[Way], requests: int, rounds: int, connections: int, stream: bool) -> None:
    count = requests if connections > 1 else requests // 4
    found: dict[str, list[Figures]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            total = count if way.name != "litellm" else count // 20
            before = cpu_seconds(way.pid)
            figures = run(load(way.url, total, connections, stream))
            used = (cpu_seconds(way.pid) - before) / total * 1e6
            found[way.name].append(figures._replace(cpu_us=used))
    print(f"{'streamed' if stream else 'whole'}, {connections} connections")
    direct = found["direct"]
    for way in ways:
        mine = found[way.name]
        ratio = statistics.median(a.rate / b.rate for a, b in zip(mine, direct, strict=True))
        added = [
            statistics.median(
                getattr(a, name) - getattr(b, name) for a, b in zip(mine, direct, strict=True)
            )
            for name in ("p50_ms", "p99_ms")
        ]
        rate = statistics.median(figures.rate for figures in mine)
        cpu = statistics.median(figures.cpu_us for figures in mine)
        print(
            f"  {way.name:<20} {rate:7.0f}/s  {ratio:5.0%} of direct  cpu {cpu:4.0f} us"
            f"  added p50 {added[0]:+.2f} ms, p99 {added[1]:+.2f} ms"
        )


def cpu_seconds(pid: int) -> float:
    """What a process has used so far; 0 where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(work: object) -> Figures:
    import uvloop

    return uvloop.run(work)  # type: ignore[no-any-return, arg-type]


async def load(url: str, requests: int, connections: int, stream: bool) -> Figures:
    """Ask until all are answered, ``connections`` at a time."""
    latencies: list[float] = []
    left = iter(range(requests))
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask() -> None:
            for _ in left:
                prompt = f"{FILLER}What is 1 plus {next(numbers)}?"
                body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
                if stream:
                    body["stream"] = True
                began = time.perf_counter()
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    data = await response.read()
                    assert response.status == 200, data
                latencies.append((time.perf_counter() - began) * 1000)

        started = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(connections)))
        seconds = time.perf_counter() - started
    latencies.sort()
    return Figures(
        requests / seconds, latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    )


if __name__ == "__main__":
    main()
