"""What servers, datasets, scorers and models said is shown, and never obeyed by a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
from pathlib import Path
from typing import Any

import pytest
from loopback import Call, Loopback, Reply
from runs import NEL

from nemo_evaluator.cli.output import printable
from nemo_evaluator.config.scrubber import KNOWN, MASK
from nemo_evaluator.reports.escape import visible

EVIL = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\x85\x1b]8;;http://e\x1b\\x\r\x08\x08\u202eabc\u2066\x7f\x00"
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
BENCH = f"""
from nemo_evaluator import ScorerInput, benchmark, scorer

EVIL = {EVIL!r}
ROWS = [{{"a": i, "target": EVIL, "level": f"{{EVIL}}{{i % 2}}"}} for i in range(8)]


@benchmark(name="evil", dataset=ROWS, prompt=EVIL.replace("{{", "") + " how much is {{a}}?",
           category_field="level")
@scorer
def evil(sample: ScorerInput) -> dict:
    if sample.metadata["a"] == 3:
        raise RuntimeError(EVIL)
    return {{"correct": False, "extracted": EVIL, "explanation": EVIL}}
"""


def evil_answer(call: Call) -> Reply:
    if call.nth == 1 and "is 5" in call.prompt:
        body: Any = {"error": {"message": f"{EVIL} went wrong"}}
        return Reply(status=400, body=json.dumps(body).encode())
    message = {"role": "assistant", "content": f"answer {EVIL}", "reasoning_content": EVIL}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return Reply(body=json.dumps({"choices": [choice], "usage": usage, "model": EVIL}).encode())


async def nel(*words: object, cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *(*NEL, *map(str, words)),
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out.decode()


@pytest.mark.slow
async def test_no_command_prints_what_a_terminal_obeys(loopback: Loopback, tmp_path: Path) -> None:
    (tmp_path / "bench.py").write_text(BENCH)
    loopback.script(evil_answer)
    model = ("--model-url", loopback.url, "--model-id", "m")
    full = "services.model.proxy.model_traffic.level=full"
    words = ("eval", "run", "-b", "bench.py", *model, "-o", "out", "-n", 2, "-v")
    said = {"run": await nel(*words, "-O", full, cwd=tmp_path)}
    for line in (
        ("eval", "report", "out"),
        ("eval", "report", "out", "-f", "json"),
        ("eval", "report", "out", "-f", "csv"),
        ("eval", "report", "out", "-f", "html"),
        ("report", "out"),
        ("traffic", "out"),
        ("traffic", "out", "--rollout", "1/0"),
        ("show", "out"),
        ("show", "out", "--json"),
        ("audit", "out"),
        ("eval", "rescore", "out", "-o", "again"),
        ("eval", "run", "-b", f"{EVIL[:-1]}.py", *model, "-o", "none"),
    ):
        said[" ".join(map(str, line))] = await nel(*line, cwd=tmp_path)
    for name, text in said.items():
        found = OBEYED.search(text.replace("\r\n", "\n"))
        assert not found, f"nel {name}: {text[max(0, found.start() - 60) : found.end()]!r}"
    assert "\\u001b]52" in said["traffic out --rollout 1/0"]
    rows = [json.loads(line) for line in said["show out --json"].splitlines()]
    assert any(f"answer {EVIL}" == row["model_response"] for row in rows), "JSON tells it all"


@pytest.mark.slow
async def test_a_terminal_still_gets_its_table(tmp_path: Path) -> None:
    """Our own colours and cursor movements pass; a server's do not."""
    main, other = pty.openpty()
    words = ("eval", "run", "-b", "sample", "--model-url", "simulated", "--max-problems", "4")
    process = await asyncio.create_subprocess_exec(
        *(*NEL, *words, "-o", str(tmp_path / "out")),
        stdin=other,
        stdout=other,
        stderr=other,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(other)
    pieces = []
    while True:
        try:
            data = await asyncio.to_thread(os.read, main, 65536)
        except OSError:
            break
        if not data:
            break
        pieces.append(data)
    os.close(main)
    assert await process.wait() == 0
    text = b"".join(pieces).decode()
    assert "\x1b[1m" in text and "\\u001b" not in text


def test_control_characters_are_made_visible() -> None:
    assert visible("a\x1b[1mb\tc\nd\r\ne\rf") == "a\\u001b[1mb\tc\nd\ne\\rf"
    assert visible("\x7f\x9b\u202e\U000e0041") == "\\u007f\\u009b\\u202e\\udb40\\udc41"
    assert visible("plain ü 漢 שלום") == "plain ü 漢 שלום"
    KNOWN.learn("sk-9f8e7d6c5b4a3928")
    assert printable("\x1bkey sk-9f8e7d6c5b4a3928") == f"\\u001bkey {MASK}"


def test_json_stays_what_it_was() -> None:
    text = json.dumps({"a": EVIL}, ensure_ascii=False)
    assert json.loads(visible(text)) == {"a": EVIL}
    assert not OBEYED.search(visible(text))
