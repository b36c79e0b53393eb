"""The files of a submission, each with its mode: nothing of it is readable by others that need not
be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...config.load import Loaded
from ...errors import ConfigError
from ...results.layout import SUBMITTED_CONFIG
from ..host import PRIVATE, PROGRAM, File
from .plan import LOGS, SECRETS, JobPlan
from .render import rendered, secrets_text


def files_of(plan: JobPlan, loaded: Loaded, command: str, *, elsewhere: bool) -> dict[str, File]:
    """The files by their names below the directory, secrets first. ``elsewhere``: the directory is
    on another host, which has not the files that benchmarks are named by. Raises ConfigError."""
    scripts = {job.script for job in plan.jobs}
    files = {SECRETS: File(secrets_text(plan).encode(), PRIVATE)} if plan.secrets else {}
    for name, text in rendered(plan).items():
        files[name] = File(text.encode(), PROGRAM if name in scripts else PRIVATE)
    files[SUBMITTED_CONFIG] = File(loaded.snapshot(command).encode())
    files[f"{LOGS}/.made"] = File(b"")
    if elsewhere:
        files.update(_of_benchmarks(loaded))
    return files


def _of_benchmarks(loaded: Loaded) -> Iterator[tuple[str, File]]:
    """Files that benchmarks name by a path that is relative to the folder of the run."""
    for benchmark in loaded.config.benchmarks:
        for name in (benchmark.name, benchmark.name.rpartition(":")[0]):
            path = Path(name)
            if not name or path.is_absolute() or ".." in path.parts or not path.is_file():
                continue
            try:
                yield path.as_posix(), File(path.read_bytes())
            except OSError as error:
                raise ConfigError(f"cannot be read: {error.strerror}", where=name) from None
