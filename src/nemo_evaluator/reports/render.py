"""Reports in every format, all from the one view model."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..errors import ConfigError
from ..results.summary import RunSummary, headline_line
from .view import Table, build_view


@dataclass(frozen=True, slots=True)
class Format:
    """A report format."""

    suffix: str
    about: str
    render: Callable[[RunSummary], str]


def render(run: RunSummary, name: str) -> str:
    """The report in one format. Raises ConfigError for an unknown one."""
    return _format(name).render(run)


def write_reports(run: RunSummary, directory: Path, names: Sequence[str]) -> list[Path]:
    """Write ``report.<suffix>`` for each format. Raises ConfigError for an unknown one."""
    paths = []
    for name in names:
        chosen = _format(name)
        path = directory / f"report.{chosen.suffix}"
        path.write_text(chosen.render(run), encoding="utf-8")
        paths.append(path)
    return paths


def list_formats() -> list[tuple[str, str]]:
    """Name and one line about each format."""
    return [(name, chosen.about) for name, chosen in FORMATS.items()]


def to_markdown(run: RunSummary) -> str:
    """Markdown with escaped cells."""
    view = build_view(run)
    lines = [f"# {_md(view.title)}", ""]
    lines += [f"- {name}: {_md(value)}" for name, value in view.facts]
    if view.simulated:
        lines += [
            "",
            "**Some scores come from a simulated model and say nothing about a real one.**",
        ]
    lines += [""] + [f"- **{_md(name)}**: {_md(line)}" for name, line in view.headlines]
    for table in view.tables:
        lines += ["", f"## {_md(table.title)}", ""]
        lines += [_md_row(table.columns), _md_row(["---"] * len(table.columns))]
        lines += [_md_row([_md(cell) for cell in row]) for row in table.rows]
    return "\n".join(lines) + "\n"


def to_json(run: RunSummary) -> str:
    """The summary as data."""
    benchmarks = {}
    for benchmark in run.benchmarks:
        data = msgspec.to_builtins(benchmark)
        data |= {"coverage": benchmark.coverage, "headline_line": headline_line(benchmark)}
        benchmarks[benchmark.slug] = data
    document = {
        "run": run.run,
        "n_benchmarks": len(benchmarks),
        "benchmarks": benchmarks,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def to_csv(run: RunSummary) -> str:
    """One line per benchmark and metric."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "benchmark",
            "samples",
            "repeats",
            "metric",
            "score",
            "ci_lower",
            "ci_upper",
            "method",
            "model",
            "scored",
            "planned",
            "truncated",
            "no_answer",
            "simulated",
        ]
    )
    for b in run.benchmarks:
        for metric, value in b.metrics.items():
            row: list[object] = [b.slug, b.n_problems, b.repeats, metric]
            row += [f"{x:.6f}" for x in (value.value, value.ci_lower, value.ci_upper)]
            row += [value.method, b.model or "", b.n_scored, b.n_rollouts, b.truncated]
            row += [b.no_answer, str(b.simulated).lower()]
            writer.writerow(row)
    return out.getvalue()


def to_html(run: RunSummary) -> str:
    """One self-contained page, light or dark as the reader's system is."""
    view = build_view(run)
    parts = [
        _HTML_HEAD.format(title=html.escape(view.title)),
        f"<h1>{html.escape(view.title)}</h1>",
    ]
    facts = " · ".join(f"{name}: {html.escape(value)}" for name, value in view.facts)
    parts.append(f"<p class=facts>{facts}</p>")
    if view.simulated:
        parts.append("<p class=note>Some scores come from a simulated model.</p>")
    parts += ["<ul>"] + [
        f"<li><b>{html.escape(name)}</b> {html.escape(line)}</li>" for name, line in view.headlines
    ]
    parts.append("</ul>")
    parts += [_html_table(table) for table in view.tables]
    return "\n".join(parts) + "\n</body></html>\n"


def to_latex(run: RunSummary) -> str:
    """A booktabs table of the headline scores."""
    lines = [
        r"\begin{tabular}{lrllr}",
        r"\toprule",
        r"Benchmark & Score & Metric & 95\,\% CI & n \\",
        r"\midrule",
    ]
    for b in run.benchmarks:
        score = b.score
        name = _tex(b.slug) + (" (simulated)" if b.simulated else "")
        if score is None:
            cells = [name, "--", "", "", "0"]
        else:
            interval = f"[{score.ci_lower:.3f}, {score.ci_upper:.3f}]"
            cells = [name, f"{score.value:.3f}", _tex(b.headline or ""), interval]
            cells.append(str(score.n))
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


FORMATS: dict[str, Format] = {
    "markdown": Format("md", "tables for reading and for merge requests", to_markdown),
    "html": Format("html", "one self-contained page", to_html),
    "json": Format("json", "the whole summary as data", to_json),
    "csv": Format("csv", "one line per benchmark and metric", to_csv),
    "latex": Format("tex", "a booktabs table", to_latex),
}


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ConfigError(
            f"there is no report format {name!r}", hint=f"one of {', '.join(FORMATS)}"
        )
    return FORMATS[name]


def _md(text: str) -> str:
    text = " ".join(text.split())
    return re.sub(r"([|\\`*_<>\[\]])", r"\\\1", text) if re.search(r"[|\\`*<>]", text) else text


def _md_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _tex(text: str) -> str:
    text = text.replace("\\", r"\textbackslash ")
    text = re.sub(r"([&%$#_{}])", r"\\\1", text)
    return text.replace("^", r"\textasciicircum{}").replace("~", r"\textasciitilde{}")


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    return (
        f"<h2>{html.escape(table.title)}</h2>\n<div class=wide><table>"
        f"<thead><tr>{head}</tr></thead>"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


_HTML_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }}
body {{ max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; white-space: nowrap; }}
th, td {{ text-align: left; padding: .3rem .7rem; border-bottom: 1px solid #8884; }}
td {{ font-variant-numeric: tabular-nums; }}
.facts {{ opacity: .7; }} .note {{ border-left: 3px solid #c80; padding-left: .7rem; }}
</style></head><body>"""
