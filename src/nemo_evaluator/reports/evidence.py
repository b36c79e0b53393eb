"""Who decided on which runs, as facts of a page."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from ..decisions.provenance import Provenance, RunFacts
from ..decisions.sentences import percent

NO_FILE = "given in the call, not in a file"


def evidence(facts: Provenance, *, rules: str | None = None) -> list[tuple[str, str]]:
    """Both runs, the policy's file and the reader. ``rules``: of the policy, where one decided."""
    rows = [("baseline", _run(facts.baseline)), ("candidate", _run(facts.candidate))]
    if rules is not None:
        digest = f"sha256 {facts.policy_sha256}"
        policy = NO_FILE if facts.policy is None else f"{facts.policy}, {digest}"
        rows.append(("policy", f"{policy}, {rules} rules"))
    rows.append(
        (
            "decided",
            f"{moment(facts.decided)} by {facts.user} on {facts.host} with nel {facts.version}",
        )
    )
    return rows


def evidence_of_many(facts: Sequence[Provenance]) -> list[tuple[str, str]]:
    """The baseline, every candidate, and the reader."""
    if not facts:
        return []
    (baseline, _, decided) = evidence(facts[0])
    candidates = [(f"candidate {i}", _run(one.candidate)) for i, one in enumerate(facts, 1)]
    return [baseline, *candidates, decided]


def coverage_fact(shares: Mapping[str, float]) -> list[tuple[str, str]]:
    """The least share of planned rollouts that are paired; which benchmark's, if they differ."""
    if not shares:
        return []
    name = min(shares, key=lambda name: shares[name])
    where = "" if len(set(shares.values())) == 1 else f" in {name}, the least"
    text = f"{percent(shares[name])} of the planned rollouts are paired{where}"
    return [("coverage", text)]


def open_fact(undecided: Sequence[str], missing: Sequence[str]) -> tuple[str, str]:
    """What was not decided, with what the candidate lacks."""
    named = [*undecided, *(f"{name} (missing)" for name in missing)]
    return "not decided", ", ".join(named) or "nothing"


def _run(run: RunFacts) -> str:
    parts = [run.name]
    if run.run_ids:
        parts.append(f"run{'s' * (len(run.run_ids) > 1)} {', '.join(run.run_ids)}")
    if run.created:
        first, last = run.created[0], run.created[-1]
        first, last = moment(first), moment(last)
        parts.append(f"begun {first}" if first == last else f"begun {first} to {last}")
    return ", ".join([*parts, run.path])


def moment(text: str) -> str:
    """A date as one reads it, ``2026-11-20 09:12 UTC``; what is no date, as it stands."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return text
    if found.tzinfo is None:
        return f"{found:%Y-%m-%d %H:%M}"
    return f"{found.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"
