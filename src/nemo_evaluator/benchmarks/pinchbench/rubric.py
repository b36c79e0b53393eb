"""A rubric, asked of the judge: each criterion by itself, over what the agent did and left."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence

from ...environments.contract import Judge
from ...judging.prompts import SYSTEM, tagged
from ...judging.verification import together
from ...sandboxes.contract import Sandbox
from ...scoring.judged import Ruling, Scale
from .tasks import Criterion, Task

FORM = Scale(1.0)
GRADER = """\
Say how well an AI assistant did one task, by one criterion and nothing else.

You see what it was asked, what it was expected to do, what it said and did step by step, and the \
files in its working directory when it was done. Where the steps and the files disagree, the files \
are right. The criterion says which score stands for what; scores between them are allowed.
"""
FILE_CHARS, ALL_CHARS = 20_000, 100_000
READ_BYTES = 4 * FILE_CHARS
SKIPPED = {
    ".nel_transcript.jsonl",
    ".git",
    ".openclaw",
    "node_modules",
    "__pycache__",
    ".venv",
    ".cache",
}


async def judged(judge: Judge, task: Task, story: str, files: str) -> Sequence[Ruling]:
    """The judge's ruling on every criterion. Raises InfraError if one cannot be had."""
    return await together(
        judge.ask(question(task, criterion, story, files), FORM, system=SYSTEM)
        for criterion in task.rubric
    )


def question(task: Task, criterion: Criterion, story: str, files: str) -> str:
    """What the judge is asked about one criterion."""
    shown = [
        tagged("task", task.prompt),
        tagged("expected", task.expected),
        tagged("steps", story),
        tagged("files", files or "(none)"),
        tagged("criterion", f"{criterion.name}\n\n{criterion.text}"),
    ]
    return "\n\n".join([GRADER, *shown])


async def files_for_judge(sandbox: Sandbox) -> str:
    """The files that an agent left, texts with their content, up to a size."""
    try:
        archive = await sandbox.save(".")
    except ValueError as error:
        return f"(too many to show: {error})"
    return shown_files(archive)


def shown_files(archive: bytes) -> str:
    """The files of an archive, for a reader."""
    parts: list[str] = []
    left = ALL_CHARS
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for member in sorted(opened, key=lambda one: one.name):
            name = member.name.removeprefix("./")
            if not member.isreg() or member.issparse() or SKIPPED & set(name.split("/")):
                continue
            file = opened.extractfile(member)
            data = file.read(READ_BYTES) if file is not None else b""
            text = _text(data)[: min(FILE_CHARS, left)]
            left -= len(text)
            more = "" if member.size <= len(text.encode()) else f" ({member.size} bytes)"
            parts.append(f"--- {name}{more}\n{text}")
    return "\n".join(parts)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        cut = (
            len(data) == READ_BYTES and error.start > READ_BYTES - 4
        )  # in the midst of a character
        return data[: error.start].decode() if cut else "(not a text)"
