"""The tasks of PinchBench as its repository has them: Markdown files with a YAML header.

Invariant: what is read here is complete: a task whose checks or rubric are missing is refused
before anything is paid.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ...config.tree import plain
from ...config.yaml_file import parse_yaml
from ...errors import ConfigError, suggest
from ...types import Json, Record

SECTION = re.compile(r"^## +(.+?) *$", re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CRITERION = re.compile(
    r"^### +(?:Criterion \d+: *)?(.+?) *\(Weight: *(\d+(?:\.\d+)?) *%\) *$", re.M
)
AUTOMATED, JUDGED, HYBRID = "automated", "llm_judge", "hybrid"
ASSETS = "assets"


class File(Record, frozen=True):
    """A file of a task's workspace: its content, or where it is among the assets."""

    path: str | None = None
    content: str | None = None
    source: str | None = None
    dest: str | None = None


class Header(Record, frozen=True):
    """The header of a task file."""

    id: str
    name: str = ""
    category: str | None = None
    grading_type: str = AUTOMATED
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    workspace_files: tuple[File, ...] = ()
    grading_weights: Mapping[str, float] = {}
    multi_session: bool = False
    sessions: tuple[Mapping[str, Any] | str, ...] = ()
    """What is asked one after the other: a text, or ``prompt``, ``id`` and ``new_session``."""
    prerequisites: tuple[str, ...] = ()


class Criterion(Record, frozen=True):
    """One criterion of a rubric; weights are shares of 1."""

    name: str
    weight: float
    text: str


class Task(Record, frozen=True, kw_only=True):
    """One task."""

    file: Path
    header: Header
    prompt: str
    expected: str
    checks: str | None
    """Python that defines ``grade(transcript, workspace_path)``."""
    rubric: tuple[Criterion, ...]
    weights: tuple[float, float]
    """Of the checks and of the rubric; their sum is 1."""

    def files(self) -> dict[str, bytes]:
        """What is in the workspace at the start, by relative path. Raises ConfigError. Blocks."""
        found = {}
        for file in self.header.workspace_files:
            path, data = _file(file, self.file)
            found[path] = data
        return found


def read_tasks(folder: Path, wanted: Sequence[str], left_out: Sequence[str]) -> list[Task]:
    """The tasks of a folder, by file name: those that a pattern names. Raises ConfigError."""
    below = folder / "tasks" if (folder / "tasks").is_dir() else folder
    files = sorted(below.glob("task_*.md"))
    if not files:
        raise ConfigError(
            "holds no task_*.md", where=str(folder), hint="params: {tasks_dir: .../skill/tasks}"
        )
    tasks = [_read(file) for file in files]
    for pattern in (*wanted, *left_out):
        if not any(_matches(task, pattern) for task in tasks):
            names = [task.header.id for task in tasks]
            hint = suggest(pattern, names)
            raise ConfigError(f"no task is called {pattern!r}", where=str(folder), hint=hint)
    chosen = [
        task
        for task in tasks
        if (not wanted or any(_matches(task, pattern) for pattern in wanted))
        and not any(_matches(task, pattern) for pattern in left_out)
    ]
    ids = [task.header.id for task in chosen]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise ConfigError(f"two tasks are called {twice[0]!r}", where=str(folder))
    return chosen


def digest_of(tasks: Sequence[Task]) -> str:
    """Tells these tasks and their files from any others. Blocks."""
    found = hashlib.sha256()
    for task in tasks:
        found.update(task.file.read_bytes())
        for file in task.header.workspace_files:
            if file.source is not None and (asset := _asset(file.source, task.file)).is_file():
                found.update(hashlib.sha256(asset.read_bytes()).digest())
    return found.hexdigest()[:16]


def _matches(task: Task, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(n, pattern) for n in (task.header.id, task.file.stem))


def _read(file: Path) -> Task:
    """One task file. Raises ConfigError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(file)) from None
    parts = re.split(r"^---[ \t]*$", text, maxsplit=2, flags=re.MULTILINE)
    if len(parts) < 3 or parts[0].strip():
        raise ConfigError("has no header between two lines of ---", where=str(file))
    header = _header(parts[1], file)
    sections = dict(_sections(parts[2]))
    code = PYTHON.search(sections.get("Automated Checks", ""))
    rubric = sections.get("LLM Judge Rubric", "").strip()
    task = Task(
        file=file,
        header=header,
        prompt=_prompt(header, sections),
        expected=sections.get("Expected Behavior", "").strip(),
        checks=code[1] if code and header.grading_type != JUDGED else None,
        rubric=_criteria(rubric) if header.grading_type != AUTOMATED else (),
        weights=_weights(header, file),
    )
    needed = {"## Prompt": task.prompt}
    if header.grading_type in (AUTOMATED, HYBRID):
        needed["## Automated Checks with a ```python block"] = task.checks or ""
    if header.grading_type in (JUDGED, HYBRID):
        needed["## LLM Judge Rubric"] = rubric
    if missing := [name for name, content in needed.items() if not content]:
        raise ConfigError(f"lacks {', '.join(missing)}", where=str(file))
    return task


def _header(text: str, file: Path) -> Header:
    found = plain(parse_yaml(text, str(file)))
    try:
        return msgspec.convert(found, Header)
    except msgspec.ValidationError as error:
        raise ConfigError(f"header: {error}", where=str(file)) from None


def _prompt(header: Header, sections: Mapping[str, str]) -> str:
    """The prompt; of a task with several sessions, all that is asked, in order."""
    prompts = [str(session["prompt"]) for session in sessions_of(header)]
    return "\n\n".join(prompts) if any(prompts) else sections.get("Prompt", "").strip()


def _weights(header: Header, file: Path) -> tuple[float, float]:
    if header.grading_type == AUTOMATED:
        return 1.0, 0.0
    if header.grading_type == JUDGED:
        return 0.0, 1.0
    if header.grading_type != HYBRID:
        raise ConfigError(
            f"grading_type {header.grading_type!r} is unknown",
            where=str(file),
            hint=suggest(header.grading_type, (AUTOMATED, JUDGED, HYBRID)),
        )
    checks = header.grading_weights.get(AUTOMATED, 0.5)
    judged = header.grading_weights.get(JUDGED, 0.5)
    if min(checks, judged) < 0 or checks + judged <= 0:
        raise ConfigError("grading_weights must be positive", where=str(file))
    return checks / (checks + judged), judged / (checks + judged)


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Sections of the second level. A heading inside a code block is none."""
    fenced = [match.span() for match in re.finditer(r"^```.*?^```", text, re.M | re.S)]
    heads = [
        match
        for match in SECTION.finditer(text)
        if not any(start <= match.start() < end for start, end in fenced)
    ]
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        yield head[1], text[head.end() : following.start() if following else len(text)]


def _criteria(rubric: str) -> tuple[Criterion, ...]:
    """The criteria of a rubric; a rubric without any is one as a whole."""
    heads = list(CRITERION.finditer(rubric))
    total = sum(float(head[2]) for head in heads)
    if not heads or total <= 0:
        return (Criterion("rubric", 1.0, rubric),)
    ends = [*(head.start() for head in heads[1:]), len(rubric)]
    return tuple(
        Criterion(head[1], float(head[2]) / total, rubric[head.end() : end].strip())
        for head, end in zip(heads, ends, strict=True)
    )


def _file(file: File, task: Path) -> tuple[str, bytes]:
    path = file.path or file.dest or file.source or ""
    if not path or path.startswith("/") or ".." in Path(path).parts:
        raise ConfigError(f"workspace file {path!r} is no relative path", where=str(task))
    if file.content is not None:
        return path, file.content.encode()
    if file.source is None:
        raise ConfigError(f"workspace file {path!r} has no content", where=str(task))
    asset = _asset(file.source, task)
    try:
        return path, asset.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the asset {file.source!r} cannot be read: {error.strerror}",
            where=str(task),
            hint=f"put it at {asset}, or leave the task out: params: {{exclude: [{task.stem}]}}",
        ) from None


def _asset(source: str, task: Path) -> Path:
    """Where an asset lies: beside the folder of the tasks."""
    folder = task.parent.parent / ASSETS
    found = (folder / source.removeprefix(f"{ASSETS}/")).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise ConfigError(f"the asset {source!r} lies elsewhere", where=str(task))
    return found


def sessions_of(header: Header) -> list[dict[str, Json]]:
    """What is asked one after the other, as agents with sessions are told; else nothing."""
    found: list[dict[str, Json]] = []
    for given in header.sessions:
        session = {"prompt": given} if isinstance(given, str) else given
        if prompt := str(session.get("prompt") or "").strip():
            new = bool(session.get("new_session"))
            name = str(session.get("id") or "")
            found.append({"prompt": prompt, "id": name, "new_session": new})
    return found
