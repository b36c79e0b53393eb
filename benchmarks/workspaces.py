"""What a workspace costs: tasks in containers, against `docker run` doing the same commands.

    python benchmarks/workspaces.py [--tasks 40] [--at-once 4] [--base sandbox-base:latest]

Makes a folder of Harbor tasks (each a solution and tests that read what it wrote), runs it with
`solver: oracle`, and in between runs the same two scripts of every task in one `docker run` each,
with as many at a time. Prints JSON: seconds of both (the fastest of the rounds), and their ratio.
The images are built before either is timed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nemo_evaluator import evaluate_async
from nemo_evaluator.sandboxes.build_context import Context
from nemo_evaluator.sandboxes.contract import BuildSpec
from nemo_evaluator.sandboxes.docker_build import REPOSITORY

SOLVE = """\
#!/bin/bash
seq 20000 | awk '{ s += $1 } END { print s }' > /app/sum.txt
python3 -c 'print(sum(n * n for n in range(20000)))' > /app/squares.txt
ls -la /usr/bin | sort | wc -l > /app/count.txt
"""
TEST = """\
#!/bin/bash
mkdir -p /logs/verifier
python3 - <<'END'
from pathlib import Path
ok = Path("/app/sum.txt").read_text().strip() == "200010000"
ok &= int(Path("/app/squares.txt").read_text()) == sum(n * n for n in range(20000))
Path("/logs/verifier/reward.txt").write_text(str(int(ok)))
END
"""


def lay_out(folder: Path, tasks: int, base: str) -> None:
    """The tasks; they share an image."""
    for number in range(tasks):
        files = {
            "task.toml": 'version = "1.0"\n[metadata]\n',
            "instruction.md": "Write the sums.\n",
            "environment/Dockerfile": f"FROM {base}\nWORKDIR /app\n",
            "solution/solve.sh": SOLVE,
            "tests/test.sh": TEST,
        }
        for name, text in files.items():
            path = folder / f"task-{number:03}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)


async def ours(folder: Path, at_once: int, out: Path) -> float:
    """Seconds of a run of ours."""
    config: dict[str, Any] = {
        "services": {},
        "solver": {"type": "oracle"},
        "benchmarks": [
            {
                "name": f"harbor://{folder}",
                "sandbox": {"type": "docker", "concurrency": at_once},
                "max_concurrent": at_once,
            }
        ],
        "output": {"dir": str(out), "report": []},
    }
    began = time.perf_counter()
    result = await evaluate_async(config)
    seconds = time.perf_counter() - began
    assert result.exit_code == 0, result.messages
    (rows,) = out.glob("*/results.jsonl")
    assert all(json.loads(line)["reward"] == 1 for line in rows.read_text().splitlines())
    return seconds


def bare(image: str, tasks: int, at_once: int) -> float:
    """Seconds of `docker run` for each task, doing the same."""
    argv = ["docker", "run", "--rm", image]
    argv += ["bash", "-c", f"{SOLVE}\n{TEST}\ntest $(cat /logs/verifier/reward.txt) = 1"]
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        runs = [pool.submit(subprocess.run, argv, check=True) for _ in range(tasks)]
        for run in runs:
            run.result()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--base", default="sandbox-base:latest")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder / "tasks", args.tasks, args.base)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        lay_out(folder / "one", 1, args.base)
        asyncio.run(ours(folder / "one", 1, folder / "first"))  # builds the image
        context = BuildSpec(context=str(folder / "one/task-000/environment"))
        image = f"{REPOSITORY}:{Context(context).digest()}"
        times: dict[str, list[float]] = {"ours": [], "bare": []}
        for number in range(args.rounds):
            run = folder / f"run-{number}"
            times["ours"].append(asyncio.run(ours(folder / "tasks", args.at_once, run)))
            times["bare"].append(bare(image, args.tasks, args.at_once))
        subprocess.run(["docker", "rmi", image], check=True, stdout=subprocess.DEVNULL)
    mine, theirs = min(times["ours"]), min(times["bare"])
    print(
        json.dumps(
            {
                "tasks": args.tasks,
                "at_once": args.at_once,
                "ours_seconds": round(mine, 2),
                "bare_seconds": round(theirs, 2),
                "ratio": round(mine / theirs, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
