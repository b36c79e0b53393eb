"""How quickly `nel view` answers on a large run: python benchmarks/viewer.py [ROWS]

A run of 200,000 rollouts of about 1,800 bytes and one trajectory of 300,000 steps is made, served
by a fresh viewer, and asked over HTTP. Seconds; memory of the server in MB.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

NEL = [sys.executable, "-m", "nemo_evaluator.cli"]
STEPS = 300_000
WORDS = [
    *("river", "stone", "cloud", "engine", "proof", "theorem", "integral", "matrix", "kernel"),
    *("tensor", "gradient", "answer", "therefore", "because", "compute", "value", "equals"),
    *("seven", "eleven", "thirteen", "solve", "equation", "apple", "bridge", "candle"),
]


def make(folder: Path, rows: int) -> None:
    """A run with so many rollouts, made of a small one."""
    words = ["eval", "run", "--bench", "sample", "--model-url", "simulated", "-o", str(folder)]
    subprocess.run([*NEL, *words, "--no-progress"], check=True, capture_output=True)
    bench = folder / "sample"
    (bench / "journal.jsonl").unlink()
    known = [json.loads(line) for line in (bench / "results.jsonl").open()]
    draw = random.Random(1)
    with (bench / "results.jsonl").open("w") as file:
        for number in range(rows):
            row = known[number % len(known)] | {"problem_idx": number}
            row["prompt"] = f"Question {number}: " + " ".join(draw.choices(WORDS, k=60))
            said = " ".join(draw.choices(WORDS, k=120))
            row["model_response"] = f"{said} The answer is {number}."
            file.write(json.dumps(row) + "\n")
    line = json.loads((bench / "trajectories.jsonl").read_text().split("\n", 1)[0])
    line["steps"] = [
        {"step_id": i, "source": "agent", "message": f"step {i}: " + " ".join(WORDS)}
        for i in range(1, STEPS + 1)
    ]
    (bench / "trajectories.jsonl").write_text(json.dumps(line) + "\n")


class Client:
    """Asks the viewer."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        self._host, self._port = parts.hostname, parts.port
        self._cookie = f"nel_view_{parts.port}={parts.query.removeprefix('token=')}"

    def get(self, path: str) -> tuple[float, str]:
        """Seconds, and the text."""
        began = time.perf_counter()
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        connection.request("GET", path, headers={"cookie": self._cookie})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, (path, answer.status)
        return time.perf_counter() - began, text


def measured(client: Client) -> Iterator[tuple[str, float]]:
    _, text = client.get("/")
    run = next(word.split('"')[1] for word in text.split() if word.startswith('href="/run/'))
    samples = f"{run}/sample/samples"
    yield "first paint of the run", client.get(run)[0]
    yield "first paint of the samples, nothing read before", client.get(samples)[0]
    began = time.perf_counter()
    while 'id="indexing"' in client.get(f"{samples}?part=table")[1]:
        time.sleep(0.2)
    yield "until all texts can be searched", time.perf_counter() - began
    yield "first paint of the samples", client.get(samples)[0]
    for name, query in (
        ("filter: wrong", "kind=wrong"),
        ("filter: a category", "category=logic"),
        ("sort by tokens", "sort=tokens&order=down"),
        ("the last page", "page=4000"),
        ("search: a word that is everywhere", "q=theorem"),
        ("search: two words", "q=theorem+kernel"),
        ("search: a phrase", "q=%22seven+eleven%22"),
        ("search: a number", "q=12345"),
        ("search and filter", "q=apple&kind=wrong"),
    ):
        yield name, client.get(f"{samples}?part=table&{query}")[0]
    yield f"a rollout of {STEPS:,} steps", client.get(f"{run}/sample/sample/0/0")[0]
    yield "its last steps", client.get(f"{run}/sample/steps/0/0?step={STEPS - 50}")[0]


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    folder = Path(tempfile.mkdtemp(prefix="nel-viewer-"))
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    try:
        make(folder / "runs" / "large", rows)
        words = [*NEL, "view", str(folder / "runs"), "--port", "0"]
        server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env)
        assert server.stdout is not None
        client = Client(server.stdout.readline().split()[-1])
        for name, seconds in measured(client):
            print(f"{name:<50} {seconds:8.3f}")
        status = Path(f"/proc/{server.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        print(f"{'memory of the server at its peak, MB':<50} {int(peak.split()[1]) // 1024:8d}")
        server.terminate()
        server.wait()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
