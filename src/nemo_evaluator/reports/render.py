"""Reports in every format, all from the one view model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..errors import ConfigError
from ..files.writing import output_file
from ..kinds import REPORTS
from ..results.summary import RunSummary
from . import data, markdown
from .overview import document
from .sources import run_sources
from .view import Report, build_report


@runtime_checkable
class ReportFormat(Protocol):
    """A way to write a report. A plug-in is an object, or a class of one, with these two."""

    suffix: str
    """The report is the file ``report.<suffix>``."""

    @property
    def render(self) -> Callable[[Report], str]:
        """The text of a report."""


@dataclass(frozen=True, slots=True)
class Format:
    """A built-in format."""

    suffix: str
    render: Callable[[Report], str]


def render(report: Report, name: str) -> str:
    """The report in one format. Raises ConfigError for an unknown one, and for one that fails."""
    return _rendered(report, name, open_format(name))


def write_reports(
    run: RunSummary, directory: Path, names: Sequence[str], warn: Callable[[str], None]
) -> list[Path]:
    """Write ``report.<suffix>`` for each format, from the bundles of the run in a directory; none
    if nothing was begun. ``warn`` is told which format of a user failed: the run is complete
    without it. Raises ConfigError for an unknown format, and if nothing can be written."""
    formats = [(name, open_format(name)) for name in names]
    if not formats or not run.benchmarks:
        return []
    report = build_report(tuple(run_sources(directory)))
    written = []
    for name, chosen in formats:
        try:
            text = _rendered(report, name, chosen)
        except ConfigError as error:
            warn(f"warning: {error}; again: nel eval report {directory} -f {name}")
        else:
            written.append(_written(text, directory, chosen))
    return written


def write_all(report: Report, directory: Path) -> list[Path]:
    """Write ``report.<suffix>`` in every built-in format. Raises ConfigError if it cannot be
    written."""
    formats = [open_format(name) for name in REPORTS.built_in]
    return [_written(chosen.render(report), directory, chosen) for chosen in formats]


def save(text: str, path: Path) -> None:
    """Write a report, and the folder it is to stand in. A file is replaced as a whole, a device or
    a pipe is written into. Raises ConfigError."""
    try:
        with output_file(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from None


def to_markdown(report: Report) -> str:
    """For reading and for merge requests."""
    return markdown.to_markdown(document(report))


def to_html(report: Report) -> str:
    """One file that asks for nothing else."""
    from .html.blocks import to_html as page

    return page(document(report))


MARKDOWN = Format("md", to_markdown)
HTML = Format("html", to_html)
JSON = Format("json", data.to_json)
CSV = Format("csv", data.to_csv)
LATEX = Format("tex", data.to_latex)


def open_format(name: str) -> ReportFormat:
    """The format of a name. Raises ConfigError."""
    if not REPORTS.has(name):
        hint = f"one of {', '.join(REPORTS.names())}; your own is named {REPORTS.by_path}"
        raise ConfigError(f"there is no report format {name!r}", hint=hint)
    found = REPORTS.instance(name)
    if not isinstance(found, ReportFormat):
        raise REPORTS.wrong(name, "it needs a suffix and render(report), which gives the text")
    return found


def _rendered(report: Report, name: str, chosen: ReportFormat) -> str:
    with REPORTS.foreign(name):
        text: object = chosen.render(report)
    if not isinstance(text, str):
        raise ConfigError(
            f"render(report) gives the text of a report, not {text!r:.80}",
            where=REPORTS.where(name),
        )
    return text


def _written(text: str, directory: Path, chosen: ReportFormat) -> Path:
    path = directory / f"report.{chosen.suffix}"
    save(text, path)
    return path
