"""An audit as text, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from ..results.audit import Audit, Finding
from .blocks import Document, Section, Table
from .escape import one_line
from .figures import percent
from .markdown import to_markdown

FORMATS = ("text", "json", "markdown")
CATEGORIES = 4
"""Categories that are named beside a finding."""
MARK = "check this before trusting the score"


def audit_text(audits: Sequence[Audit], examples: int, form: str) -> str:
    """All audits in one of the ``FORMATS``."""
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(audits), indent=2).decode()
    if form == "markdown":
        return to_markdown(audit_document(audits, examples))
    return "\n".join(line for one in audits for line in audit_lines(one, examples))


def audit_document(audits: Sequence[Audit], examples: int) -> Document:
    """All audits, a section each."""
    return Document("Audit", (), (), tuple(_section(one, examples) for one in audits))


def audit_lines(audit: Audit, examples: int) -> Iterator[str]:
    """Every finding with its share and some examples."""
    yield _head(audit)
    if not audit.findings:
        yield "  nothing found"
    wide = max((len(finding.kind) for finding in audit.findings), default=0)
    for finding in audit.findings:
        mark = f"  ← {MARK}" if finding.flagged else ""
        yield f"  {finding.kind:<{wide}}  {_share(finding):<24} {finding.meaning}{mark}"
        if categories := _categories(finding):
            yield f"      {categories}"
        for example in finding.examples[:examples]:
            yield f"      {example.problem_idx}/{example.repeat}  {one_line(example.text)}"


def _head(audit: Audit) -> str:
    scored = f"{audit.scored:,} of {audit.rollouts:,} rollouts scored"
    return f"{audit.benchmark}: {scored}, {audit.problems:,} problems"


def _share(finding: Finding) -> str:
    return f"{finding.count:,} of {finding.of:,} ({percent(finding.share)})"


def _categories(finding: Finding) -> str:
    """The categories of a finding, where problems have categories."""
    named = list(finding.by_category.items())
    counts = [f"{one_line(name)} {count:,}" for name, count in named[:CATEGORIES]]
    if len(named) > CATEGORIES:
        counts.append(f"{len(named) - CATEGORIES:,} more categories")
    return ", ".join(counts)


def _section(audit: Audit, examples: int) -> Section:
    rows = tuple(
        (
            finding.kind,
            finding.area.value,
            _share(finding),
            finding.meaning + (f" ({MARK})" if finding.flagged else ""),
            _categories(finding),
        )
        for finding in audit.findings
    )
    shown = tuple(
        (finding.kind, f"{example.problem_idx}/{example.repeat}", example.text)
        for finding in audit.findings
        for example in finding.examples[:examples]
    )
    return Section(
        audit.benchmark,
        (
            Table("", ("Finding", "About", "Rollouts", "Meaning", "Categories"), rows),
            Table("Examples", ("Finding", "Rollout", "What shows it"), shown, code=(2,)),
        ),
        lead=_head(audit) if audit.findings else f"{_head(audit)}: nothing found.",
    )
