"""What a journal says of a run that may stop when its gate is decided."""

from __future__ import annotations

from pathlib import Path

from journals import plan

from nemo_evaluator.results.journal import JournalIndex, encode, header_of, scan
from nemo_evaluator.results.stopping import Decided, Decision, StoppingRule, Watched

PLAN = plan(10, name="sums", slug="sums")
RULE = StoppingRule(policy="p.yaml", policy_digest="1", baseline="b", problems=10, horizon=10)
OTHER = StoppingRule(policy="q.yaml", policy_digest="2", baseline="b", problems=10, horizon=10)
DECISION = Decision(status="BREACH", reason="worse", problems=(3, 1, 2), verdict="NO-GO")


def scanned(folder: Path, *events: Watched | Decided) -> JournalIndex:
    path = folder / "journal.jsonl"
    path.write_bytes(b"".join(encode(event) for event in (header_of(PLAN, "r"), *events)))
    return scan(path, PLAN)


def test_a_rule_and_its_decision(tmp_path: Path) -> None:
    decided = Decided(at=1.0, decision=DECISION)
    found = scanned(tmp_path, Watched(rule=RULE), decided)
    assert found.stopping is not None and not found.damaged
    assert (found.stopping.rule, found.stopping.decision) == (RULE, DECISION)
    assert found.stopping.text == (
        "stopped early: NO-GO was certain by p.yaml after 3 of 10 problems"
    )
    # A resumed run states the same rule again: the decision stands.
    again = scanned(tmp_path, Watched(rule=RULE), decided, Watched(rule=RULE))
    assert again.stopping == found.stopping


def test_a_decision_belongs_to_its_rule(tmp_path: Path) -> None:
    decided = Decided(at=1.0, decision=DECISION)
    assert scanned(tmp_path, decided).stopping is None
    other = scanned(tmp_path, Watched(rule=RULE), decided, Watched(rule=OTHER)).stopping
    assert other is not None and other.rule == OTHER and other.decision is None
    assert other.text is None
