"""Reports in every format, all from the one view model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..files.writing import replace_file
from ..results.summary import RunSummary
from . import data, markdown
from .overview import document
from .sources import run_sources
from .view import Report, build_report


@dataclass(frozen=True, slots=True)
class Format:
    """A report format."""

    suffix: str
    about: str
    render: Callable[[Report], str]


def render(report: Report, name: str) -> str:
    """The report in one format. Raises ConfigError for an unknown one."""
    return _format(name).render(report)


def write_reports(run: RunSummary, directory: Path, names: Sequence[str]) -> list[Path]:
    """Write ``report.<suffix>`` for each format, from the bundles of the run in a directory; none
    if nothing was begun. Raises ConfigError for an unknown format."""
    formats = [_format(name) for name in names]
    if not formats or not run.benchmarks:
        return []
    report = build_report(tuple(run_sources(directory)))
    return [_written(report, directory, chosen) for chosen in formats]


def write_all(report: Report, directory: Path) -> list[Path]:
    """Write ``report.<suffix>`` in every format. Raises ConfigError if it cannot be written."""
    return [_written(report, directory, chosen) for chosen in FORMATS.values()]


def save(text: str, path: Path) -> None:
    """Write a report, and the folder it is to stand in. A file is replaced as a whole, a device or
    a pipe is written into. Raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            replace_file(path, text.encode())
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from None


def list_formats() -> list[tuple[str, str]]:
    """Name and one line about each format."""
    return [(name, chosen.about) for name, chosen in FORMATS.items()]


def to_markdown(report: Report) -> str:
    """For reading and for merge requests."""
    return markdown.to_markdown(document(report))


def to_html(report: Report) -> str:
    """One file that asks for nothing else."""
    from .html.blocks import to_html as page

    return page(document(report))


FORMATS: dict[str, Format] = {
    "markdown": Format("md", "tables for reading and for merge requests", to_markdown),
    "html": Format("html", "one self-contained page with plots", to_html),
    "json": Format("json", "everything as data", data.to_json),
    "csv": Format("csv", "one line per benchmark", data.to_csv),
    "latex": Format("tex", "a booktabs table", data.to_latex),
}


def _written(report: Report, directory: Path, chosen: Format) -> Path:
    path = directory / f"report.{chosen.suffix}"
    save(chosen.render(report), path)
    return path


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ConfigError(
            f"there is no report format {name!r}", hint=f"one of {', '.join(FORMATS)}"
        )
    return FORMATS[name]
