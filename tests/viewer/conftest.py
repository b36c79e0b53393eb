"""Runs to look at, and a viewer that shows them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from browser import page
from commands import listening
from runs import NEL
from viewing import TOKEN, Client

__all__ = ["page"]


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, ``before`` and ``after``; do not change them."""
    folder = tmp_path_factory.mktemp("view")
    for name, seed in (("before", 1), ("after", 2)):
        words = [
            "eval",
            "run",
            "--bench",
            "sample",
            "--model-url",
            "simulated",
            "--seed",
            str(seed),
        ]
        words += ["--repeats", "2", "-o", str(folder / name), "--no-progress"]
        subprocess.run([*NEL, *words], check=True, capture_output=True)
    return folder


@pytest.fixture
def runs(two_runs: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(two_runs, tmp_path / "runs"))


@pytest.fixture
def view(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Starts viewers."""
    with ExitStack() as stack:

        def start(*paths: Path, **env: str) -> Client:
            told = {
                "XDG_CACHE_HOME": str(tmp_path / "cache"),
                "XDG_DATA_HOME": str(tmp_path / "data"),
                "NEL_VIEW_TOKEN": TOKEN,
            }
            words = ["view", *map(str, paths), "--port", "0"]
            _, url = stack.enter_context(listening(*words, **{**told, **env}))
            return Client(url)

        yield start


@pytest.fixture
def hostile(runs: Path) -> Path:
    """A run whose answers are made to do harm."""
    folder = runs / "after" / "sample"
    shutil.rmtree(runs / "before")
    lines = (folder / "results.jsonl").read_bytes().splitlines(keepends=True)
    texts = [
        "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
        "\x1b[31mred\x1b[0m \x07 \u202egnihtemos\u202c",
        "x" * 5_000_000,
        "עברית ו־العربية",
    ]
    for number, text in enumerate(texts):
        row = json.loads(lines[number])
        row |= {"model_response": text, "extracted_answer": text[:60], "prompt": text[:500]}
        row["metadata"] = {"category": "<b>bold</b>"}
        lines[number] = json.dumps(row).encode() + b"\n"
    lines[5] = lines[5].replace(b"Answer", b"Ans\xff\xfewer")
    (folder / "journal.jsonl").unlink()
    (folder / "results.jsonl").write_bytes(b"".join(lines))
    return runs
