"""Runs that end when their gate is decided: through the Python door, on the simulated model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from commands import Nel
from runs import BENCH

from nemo_evaluator import ConfigError, compare_runs, evaluate, gate_runs, load_run
from nemo_evaluator.decisions.options import CompareOptions
from nemo_evaluator.executors.local import RunResult
from nemo_evaluator.results.journal import Event, events
from nemo_evaluator.results.run_info import RunStatus, read_run_info
from nemo_evaluator.results.status import State, status_of
from nemo_evaluator.results.stopping import Decided, Watched
from nemo_evaluator.tasks.decide import compare_many
from nemo_evaluator.tasks.rescore import rescore

SIZE = 400
POLICY = "version: 1\ndefaults: {metric: mean_reward, max_drop: 0.05, tier: critical}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a policy, a benchmark, and two runs of a model to compare with: ``base``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sums.py").write_text(BENCH % {"size": SIZE})
    (tmp_path / "more.py").write_text((BENCH % {"size": SIZE}).replace('"sums"', '"more"'))
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


def run(
    out: str, accuracy: float, *, names: tuple[str, ...] = ("sums.py",), **settings: Any
) -> RunResult:
    document = {
        "services": {
            "model": {"type": "simulated", "accuracy": accuracy, "latency": {"mean_ms": 3}}
        },
        "benchmarks": [{"name": name, "max_concurrent": 8} for name in names],
        "output": {"dir": out, "report": []},
    }
    return evaluate(document, **settings)


def decided(out: str, accuracy: float, *, baseline: str = "base", **more: Any) -> RunResult:
    return run(out, accuracy, gate="policy.yaml", baseline=baseline, stop_when="decided", **more)


def journal(out: str, name: str = "sums") -> list[Event]:
    return list(events(Path(out) / name / "journal.jsonl"))


def bundle(out: str, name: str = "sums") -> Any:
    (path,) = (Path(out) / name).glob("eval-*.json")
    return json.loads(path.read_text())["benchmark"]


def test_a_worse_model_ends_early_and_everything_says_so(folder: Path) -> None:
    run("base", 0.9)
    result = decided("worse", 0.6)
    (summary,) = result.summary.benchmarks
    assert result.exit_code == 0 and summary.n_scored < SIZE / 2
    info = read_run_info(Path("worse"))
    assert info.status == "decided" and "NO-GO was certain by policy.yaml" in (info.decided or "")
    assert any("stopped early: NO-GO" in w and "worse by" in w for w in summary.warnings)
    assert any(message.startswith("gate: NO-GO by policy.yaml") for message in result.messages)
    (rule,) = [event.rule for event in journal("worse") if isinstance(event, Watched)]
    (decision,) = [event.decision for event in journal("worse") if isinstance(event, Decided)]
    assert (rule.problems, rule.horizon, rule.policy) == (SIZE, SIZE, "policy.yaml")
    assert decision.verdict == "NO-GO" and 25 <= len(decision.problems) <= summary.n_scored
    assert bundle("worse")["stopping"]["decision"]["problems"] == list(decision.problems)
    # The gate and the comparison say what was certain, over the problems it rests on.
    report = gate_runs("base", "worse", "policy.yaml")
    (found,) = report["benchmarks"]
    assert (report["verdict"], found["n_paired"]) == ("NO-GO", len(decision.problems))
    assert found["coverage"] == 1.0 and decision.reason in found["reasons"]
    assert compare_runs("base", "worse")["verdict"] == "BLOCK"
    assert load_run("worse").benchmarks[0].stopping == summary.stopping


def test_a_model_as_good_passes_early(folder: Path) -> None:
    run("base", 0.9)
    result = decided("same", 0.9)
    (summary,) = result.summary.benchmarks
    assert result.exit_code == 0 and summary.n_scored < SIZE * 0.75
    assert read_run_info(Path("same")).status == "decided"
    report = gate_runs("base", "same", "policy.yaml")
    assert report["verdict"] == "GO" and report["benchmarks"][0]["coverage"] == 1.0
    # The whole run would have been a GO too; another policy is not certain from these problems.
    strict = {"version": 1, "defaults": {"metric": "mean_reward", "max_drop": 0.01}}
    assert gate_runs("base", "same", strict)["verdict"] == "INCONCLUSIVE"


def test_a_resumed_run_says_that_it_was_decided_or_goes_on(folder: Path) -> None:
    run("base", 0.9)
    first = decided("worse", 0.6).summary.benchmarks[0]
    asked = len(journal("worse"))
    again = decided("worse", 0.6, resume=True)
    assert again.exit_code == 0 and again.summary.run.status == "decided"
    assert len(journal("worse")) == asked
    assert again.summary.benchmarks[0].n_scored == first.n_scored
    (folder / "policy.yaml").write_text(POLICY.replace("0.05", "0.04"))
    with pytest.raises(ConfigError, match="another policy or baseline"):
        decided("worse", 0.6, resume=True)
    whole = run("worse", 0.6, resume=True)
    assert whole.summary.run.status == "done"
    assert whole.summary.benchmarks[0].n_scored == SIZE and not whole.summary.benchmarks[0].warnings
    # Looked at while it ran: a drop is shown by limits that hold at every look.
    report = gate_runs("base", "worse", "policy.yaml")
    assert report["verdict"] == "NO-GO" and report["benchmarks"][0]["n_paired"] == SIZE
    assert any("looked at while it ran" in w for w in report["benchmarks"][0]["warnings"])


def test_an_interruption_changes_no_decision(folder: Path) -> None:
    run("base", 0.9)
    decided("whole", 0.6)
    cut = decided("cut", 0.6, budget_tokens=1200)
    assert cut.exit_code == 3 and cut.summary.run.status == "incomplete"
    decided("cut", 0.6, budget_tokens=1_000_000, resume=True)
    one, other = (
        [event.decision for event in journal(out) if isinstance(event, Decided)]
        for out in ("whole", "cut")
    )
    assert one == other
    watched = [event for event in journal("cut") if isinstance(event, Watched)]
    assert len(watched) == 1


def test_several_benchmarks(folder: Path) -> None:
    """The first one passes early; a breach of the second one ends the run before the third."""
    names = ("sums.py", "more.py")
    run("base", 0.9, names=names)
    good = decided("same", 0.9, names=names)
    assert [s.stopping.decision.verdict for s in good.summary.benchmarks  # type: ignore[union-attr]
            ] == [None, "GO"]  # fmt: skip
    assert gate_runs("base", "same", "policy.yaml")["verdict"] == "GO"
    bad = decided("worse", 0.6, names=names)
    assert [s.slug for s in bad.summary.benchmarks] == ["sums"] and bad.exit_code == 0
    report = gate_runs("base", "worse", "policy.yaml")
    assert report["verdict"] == "NO-GO" and report["missing"] == []
    statuses = {item["benchmark"]: item["status"] for item in report["benchmarks"]}
    assert statuses == {"sums": "BREACH", "more": "INSUFFICIENT_EVIDENCE"}


def test_a_gate_alone_tells_its_verdict_at_the_end(folder: Path) -> None:
    run("base", 0.9)
    result = run("worse", 0.6, gate="policy.yaml", baseline="base")
    assert result.exit_code == 0 and result.summary.benchmarks[0].n_scored == SIZE
    assert any(message.startswith("gate: NO-GO") for message in result.messages)
    assert "stopping" not in bundle("worse")


@pytest.mark.parametrize(
    ("policy", "names", "why"),
    [
        ("rules: published\n", ("sums.py",), "published rules"),
        ("benchmarks: {other: {}}\n", ("sums.py",), "this run lacks other"),
        ("", ("sums.py", "more.py"), "the baseline lacks more"),
        ("benchmarks: {sums: {tier: advisory}}\n", ("sums.py",), "decides by this policy"),
    ],
)
def test_what_could_never_be_decided_is_refused_before_anything_is_asked(
    folder: Path, policy: str, names: tuple[str, ...], why: str
) -> None:
    run("base", 0.9)
    (folder / "policy.yaml").write_text(POLICY + policy)
    with pytest.raises(ConfigError, match=why):
        decided("out", 0.9, names=names)
    assert not list(Path("out").glob("*/journal.jsonl"))


def test_a_baseline_that_is_not_comparable_is_refused(folder: Path) -> None:
    run("base", 0.9)
    (folder / "sums.py").write_text((BENCH % {"size": SIZE}).replace("How much", "What"))
    with pytest.raises(ConfigError, match="would not be comparable"):
        decided("out", 0.9)


def test_parts_of_a_gate_and_shards_are_refused(folder: Path) -> None:
    run("base", 0.9)
    with pytest.raises(ConfigError, match="needs --baseline too"):
        run("out", 0.9, gate="policy.yaml")
    with pytest.raises(ConfigError, match="needs --gate too"):
        run("out", 0.9, stop_when="decided")
    with pytest.raises(ConfigError, match="a shard has a part"):
        decided("out", 0.9, shard="0/2")
    with pytest.raises(ConfigError, match="no such file or folder"):
        decided("out", 0.9, baseline="nothing")


def test_a_baseline_that_stopped_early_itself_is_refused(folder: Path) -> None:
    run("base", 0.9)
    decided("worse", 0.6)
    with pytest.raises(ConfigError, match=r"verdicts on \d+\.\d% of the rollouts of sums"):
        decided("out", 0.9, baseline="worse")


def test_verifying_again_keeps_what_was_decided(folder: Path) -> None:
    run("base", 0.9)
    first = decided("worse", 0.6).summary.benchmarks[0]
    done = asyncio.run(rescore(Path("worse"), output=Path("again")))
    assert done.exit_code == 0 and read_run_info(Path("again")).status == "decided"
    assert done.after.benchmarks[0].stopping == first.stopping
    assert gate_runs("base", "again", "policy.yaml")["verdict"] == "NO-GO"


def test_every_end_of_a_run_is_a_state_of_it(folder: Path) -> None:
    for status in {*RunStatus} - {RunStatus.RUNNING}:
        assert State(status).value == status.value
    run("base", 0.9)
    decided("worse", 0.6)
    assert status_of(Path("worse")).state is State.DECIDED


def test_a_run_that_chose_its_end_has_no_place_in_a_ranking(folder: Path) -> None:
    for out, accuracy in (("base", 0.9), ("other", 0.85)):
        run(out, accuracy)
    decided("worse", 0.6)
    options = CompareOptions()
    field = compare_many(Path("base"), [Path("other"), Path("worse")], options, "holm")
    assert {place.name for place in field.leaderboard["sums"]} == {"base", "other"}
    (verdict,) = [entry.verdict for entry in field.entries if entry.candidate == "worse"]
    assert verdict in ("BLOCK", "WARN")  # a drop is shown; corrected, one beyond the limit may not
    assert not compare_many(Path("base"), [Path("worse")], options, "holm").leaderboard


@pytest.mark.parametrize("metric", ["latency_ms", "no_answer_rate", "macro:mean_reward"])
def test_a_metric_that_is_known_at_the_end_alone_stops_nothing(folder: Path, metric: str) -> None:
    run("base", 0.9)
    text = POLICY.replace("mean_reward", f'"{metric}"').replace("0.05", "0.5")
    (folder / "policy.yaml").write_text(text)
    result = decided("same", 0.9)
    assert result.summary.run.status == "done"
    assert result.summary.benchmarks[0].n_scored == SIZE


def test_a_metric_that_no_rollout_has_is_refused_before_anything_is_asked(folder: Path) -> None:
    run("base", 0.9)
    (folder / "policy.yaml").write_text(POLICY.replace("mean_reward", "corpus"))
    with pytest.raises(ConfigError, match=r"sums\.metric: metric 'corpus' is not in .* baseline"):
        decided("out", 0.9)
    assert not list(Path("out").glob("*/journal.jsonl"))


def test_the_command_says_what_to_expect_and_what_came_of_it(folder: Path, nel: Nel) -> None:
    run("base", 0.9)
    (folder / "build.yaml").write_text(
        "services: {m: {type: simulated, accuracy: 0.6, latency: {mean_ms: 3}}}\n"
        "benchmarks: [{name: sums.py, max_concurrent: 8}]\n"
        "gate: {policy: policy.yaml, baseline: base}\n"
        "output: {dir: build}\n"
    )
    words = ("eval", "run", "build.yaml", "--stop-when", "decided", "--no-progress")
    code, plan, _ = nel(*words, "--dry-run")
    assert code == 0 and "ends when decided" in plan and "are a NO-GO after about" in plan
    code, out, told = nel(*words)
    assert code == 0 and "stopped early: NO-GO was certain by policy.yaml" in out
    assert "expected: sums: half of the runs" in told and "gate: NO-GO by policy.yaml" in told
    report = (folder / "build" / "report.md").read_text()
    assert "**decided**" in report and "stopped early: NO-GO" in report and "worse by" in report
    assert nel("gate", "base", "build", "-p", "policy.yaml")[0] == 1
    code, _, told = nel("eval", "run", "sums.yaml", "--stop-when", "sometime")
    assert code == 2 and "decided" in told
