"""Whatever stands in a run directory, a command ends with a result or one line, soon, and writes
nothing elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Nel
from commands import nel as nel  # a fixture

WORDS = ("eval", "run", "--bench", "sample", "--model-url", "simulated", "--no-progress")
RUN = (*WORDS, "--max-problems", 4, "-o", "run")
REPORT = ("eval", "report", "run")
READERS = (("report", "run"), ("compare", "good", "run"), ("show", "run", "--json"))
DOCUMENTS = (REPORT, *READERS, ("eval", "rescore", "run", "-o", "rescored"), (*RUN, "--resume"))
COMMANDS = {
    "plan.lock": DOCUMENTS,
    "run.json": DOCUMENTS,
    "config.yaml": DOCUMENTS[-2:],
    "flips.json": READERS[:1],
    "sample/journal.jsonl": DOCUMENTS,
    "sample/judgements.jsonl": DOCUMENTS[-3:],
    "sample/results.jsonl": (*READERS, ("audit", "run")),
    "sample/unscored.jsonl": (*READERS, ("audit", "run")),
    "sample/model_traffic.jsonl": (("traffic", "run"), (*RUN, "--resume")),
    "sample/.reserve": DOCUMENTS[-1:],
    "sample/eval-*.json": READERS,
}
DEEP = b'{"problem_idx":0,"reward":1.0,"metadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"


def link(path: Path) -> None:
    (path.parent / "precious").write_bytes(b"precious")
    path.symlink_to("precious")


MAKE: dict[str, Callable[[Path], object]] = {
    "empty": Path.touch,
    "zeros": lambda path: path.write_bytes(bytes(10_000)),
    "garbage": lambda path: path.write_bytes(b"\x00\xff{{garbage\n"),
    "deep": lambda path: path.write_bytes(DEEP),
    "utf-8": lambda path: path.write_bytes(b'{"run_id":"\xff","problem_idx":0}\n'),
    "list": lambda path: path.write_bytes(b"[1,2]\n"),
    "nulls": lambda path: path.write_bytes(b'{"problem_idx":null,"attempt":null,"usage":[]}\n'),
    "fifo": os.mkfifo,
    "directory": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path),
    "link": link,
}


@pytest.mark.timeout(300)
@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKE)
def test_any_file_of_any_kind(
    nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nel(*RUN)[0] == 0
    shutil.copytree("run", "good")
    for pattern, commands in COMMANDS.items():
        found = next(Path("good").glob(pattern), Path("good") / pattern)
        for words in commands:
            shutil.rmtree("run")
            shutil.rmtree("rescored", ignore_errors=True)
            shutil.copytree("good", "run")
            path = tmp_path / "run" / found.relative_to("good")
            path.unlink(missing_ok=True)
            MAKE[kind](path)
            code, _, err = nel(*words)
            assert code in (0, 1, 2, 3), (pattern, words, err)
            if kind == "link":
                assert (path.parent / "precious").read_bytes() == b"precious", (pattern, words)
