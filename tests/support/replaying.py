"""Runs of judged benchmarks whose answers and verdicts are recorded: both endpoints replay."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loopback import FAULTS, Call, Loopback, Reply, text_reply
from runs import rows

from nemo_evaluator import evaluate_async
from nemo_evaluator.executors.local import RunResult

JUDGE = {"type": "judge", "name": "grader", "service": "judge"}


def recorded(shared: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(shared / "data" / "recorded" / f"{name}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return str(path)


def shown(prompt: str, name: str) -> str:
    """What a judge's prompt shows under a tag."""
    match = re.search(rf"<({name}_[0-9a-f]{{8}})>\n(.*?)\n</\1>", prompt, re.DOTALL)
    assert match is not None, (name, prompt[:500])
    return match[2]


def rules(field: str, verdict: Callable[[str], str]) -> Callable[[Call], Reply]:
    """A judge whose verdict follows from its prompt."""

    def script(call: Call) -> Reply:
        said = {"reasoning": "as recorded", field: verdict(call.prompt)}
        return text_reply(call, json.dumps(said))

    return script


def answering(answers: Mapping[str, str]) -> Callable[[Call], Reply]:
    def script(call: Call) -> Reply:
        text = answers.get(call.prompt)
        return FAULTS["not_found"](call) if text is None else text_reply(call, text)

    return script


async def replay(
    folder: Path,
    model: Loopback,
    judge: Loopback | None,
    *,
    name: str,
    params: Mapping[str, Any] | None = None,
) -> RunResult:
    """A whole run."""
    services = {
        key: {"type": "api", "url": server.url, "protocol": "chat_completions", "model": key}
        for key, server in (("model", model), ("judge", judge))
        if server is not None
    }
    entry: dict[str, Any] = {
        "name": name,
        "params": dict(params or {}),
        "solver": {"type": "simple", "service": "model"},
    }
    if judge is not None:
        entry["scoring"] = {"metrics": [JUDGE]}
    document = {
        "services": services,
        "benchmarks": [entry],
        "output": {"dir": str(folder), "report": []},
    }
    return await evaluate_async(document)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    [path] = folder.glob("*/results.jsonl")
    return rows(path.parent)
