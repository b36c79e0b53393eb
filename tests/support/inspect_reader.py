"""Logs of Inspect as its own package reads them, in the interpreter that has it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from parts import part

READ = """
import json, logging, sys, warnings
warnings.simplefilter("error")
heard = []
class Heard(logging.Handler):
    def emit(self, record): heard.append(record.getMessage())
from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries
logging.getLogger("inspect_ai").addHandler(Heard(logging.WARNING))
logs = []
for path in sys.argv[1:]:
    log = read_eval_log(path, resolve_attachments=True)
    head = read_eval_log(path, header_only=True)
    assert head.eval.eval_id == log.eval.eval_id
    logs.append({
        "log": log.model_dump(mode="json"),
        "inputs": [[len(e.input) for e in s.events if e.event == "model"] for s in log.samples],
        "summaries": [s.model_dump(mode="json") for s in read_eval_log_sample_summaries(path)],
    })
assert not heard, heard
json.dump(logs, sys.stdout)
"""


def read_logs(paths: list[Path]) -> list[dict[str, Any]]:
    """Each log with its samples and their summaries; a warning is an error. Skips where Inspect
    is absent."""
    done = subprocess.run(
        [part("export") / "bin" / "python", "-W", "error", "-c", READ, *paths],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
