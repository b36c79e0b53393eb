"""An audit as text or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from ..results.audit import FLAGGED, Audit


def audit_lines(audit: Audit, examples: int) -> Iterator[str]:
    """Every finding with its share and some examples."""
    head = f"{audit.benchmark}: {audit.scored:,} of {audit.rollouts:,} rollouts scored,"
    yield f"{head} {audit.problems:,} problems"
    if not audit.findings:
        yield "  nothing found"
    for finding in audit.findings:
        flagged = finding.kind in ("no_answer", "strict_differs") and finding.share > FLAGGED
        mark = "  ← check this before trusting the score" if flagged else ""
        share = f"{finding.count:,} of {finding.of:,} ({finding.share:.1%})"
        yield f"  {finding.kind:<15} {share:<24} {finding.meaning}{mark}"
        for example in finding.examples[:examples]:
            yield f"      {example.problem_idx}/{example.repeat}  {example.text}"


def audit_json(audits: Sequence[Audit]) -> str:
    """All audits as one JSON document."""
    return msgspec.json.format(msgspec.json.encode(audits), indent=2).decode()
