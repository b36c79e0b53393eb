"""Keeps what servers and GPUs of a job say of themselves: a program beside the evaluation.

``python -m nemo_evaluator.executors.slurm.scrape FILE=URL...`` asks each URL every 10 seconds and
appends what it answers to its file, as lines of JSON. A URL without metrics at first is dropped.
"""

from __future__ import annotations

import http.client
import json
import signal
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

INTERVAL_SECONDS, ANSWER_SECONDS = 10.0, 5.0
MARKS = ("# HELP", "# TYPE")
"""How metrics of Prometheus begin."""
_FAILURES = (OSError, http.client.HTTPException, ValueError)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Nodes of the job are asked without the proxies of the environment."""


def has_metrics(url: str) -> bool:
    """Whether metrics are there."""
    try:
        return _text(url).startswith(MARKS)
    except _FAILURES:
        return False


def sample(url: str) -> dict[str, object]:
    """What is there now, or why it cannot be had."""
    began, text, failure = time.time(), None, None
    try:
        text = _text(url)
    except _FAILURES as error:
        failure = f"{type(error).__name__}: {error}"
    latency = round(time.time() - began, 4)
    return {
        "t_sample": began,
        "scrape_latency_s": latency,
        "url": url,
        "text": text,
        "exception": failure,
    }


def scrape(targets: Mapping[Path, str], rounds: int | None = None) -> None:
    """Ask the targets that have metrics, until this process is ended, or this many times."""
    there = {file: url for file, url in targets.items() if has_metrics(url)}
    while there and rounds != 0:
        for file, url in there.items():
            with file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(sample(url)) + "\n")
        rounds = None if rounds is None else rounds - 1
        if rounds != 0:
            time.sleep(INTERVAL_SECONDS)


def _text(url: str) -> str:
    with _DIRECT.open(url, timeout=ANSWER_SECONDS) as answer:
        content: bytes = answer.read()
    return content.decode(errors="replace")


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _main(words: Sequence[str]) -> None:
    signal.signal(signal.SIGTERM, _end)
    pairs = (word.rpartition("=") for word in words)
    scrape({Path(file): url for file, _, url in pairs})


if __name__ == "__main__":
    _main(sys.argv[1:])
