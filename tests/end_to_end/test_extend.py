"""Runs that are resumed with more repeats or problems: nothing is paid twice, and the end is that
of a run which was begun so."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import kill_when
from runs import NEL, counts, paid, rows, timeless

from nemo_evaluator import ConfigError, compare_runs, evaluate
from nemo_evaluator.results.journal import Scored, Solved, events
from nemo_evaluator.results.run_info import read_run_info

Nel = Callable[..., subprocess.CompletedProcess[str]]


def command(url: str, bench: Path, out: Path, problems: int, repeats: int, *more: str) -> list[str]:
    words = ["--bench", bench, "--model-url", url, "--model-id", "m", "-o", out, *more]
    sizes = ["--max-problems", problems, "--repeats", repeats, "--max-concurrent", 8]
    return [str(word) for word in ("eval", "run", *words, *sizes, "--no-progress")]


def journal(out: Path) -> Path:
    return out / "sums" / "journal.jsonl"


def only_once(out: Path, rollouts: int) -> None:
    for kind in (Solved, Scored):
        found = Counter((e.problem_idx, e.repeat) for e in events(journal(out)) if type(e) is kind)
        assert set(found.values()) == {1} and len(found) == rollouts


@pytest.mark.slow
def test_extended_twice_and_killed_in_between(
    tmp_path: Path, nel: Nel, bench: Callable[[int], Path], serve: Callable[..., str]
) -> None:
    said = {f"How much is {i} modulo 50?": str(i % 50 if i % 3 else "no") for i in range(200)}
    file, url, out = bench(200), serve(latency_ms=300, answers=said), tmp_path / "out"
    assert nel(*command(url, file, out, 30, 1)).returncode == 0
    asked = counts(url)
    assert sum(asked.values()) == 30
    larger = command(url, file, out, 30, 3, "--resume")
    kill_when(lambda: len(paid(journal(out))) > 45, [*NEL, *larger])
    held = paid(journal(out))
    assert bundle(out)["coverage"]["planned"] == 90  # no gate takes what is there for the whole
    gate = nel("gate", out, out, "--policy", policy(tmp_path))
    assert gate.returncode == 2 and "INCONCLUSIVE" in gate.stdout
    done = nel(*larger)
    assert done.returncode == 0 and held <= paid(journal(out))
    # What was in flight when it was killed was asked again: no more than --max-concurrent.
    assert sum(counts(url).values()) <= 90 + 8
    assert read_run_info(out).extended == ("sums: repeats: 1 → 3",)
    before = sum(counts(url).values())
    last = nel(*command(url, file, out, 40, 4, "--resume"))
    assert last.returncode == 0 and "sums: repeats: 3 → 4, problems: 30 → 40" in last.stderr
    assert sum(counts(url).values()) - before == 40 * 4 - 90
    only_once(out, 160)
    calm = tmp_path / "calm"
    assert nel(*command(serve(answers=said), file, calm, 40, 4)).returncode == 0
    assert timeless(out / "sums") == timeless(calm / "sums")
    assert bundle(out)["scores"]["pass@1"] == bundle(calm)["scores"]["pass@1"]
    assert "repeats: 3 → 4, problems: 30 → 40" in (out / "report.md").read_text()


def policy(folder: Path) -> Path:
    path = folder / "policy.json"
    rules = {"metric": "mean_reward", "max_drop": 0.9, "tier": "critical"}
    path.write_text(json.dumps({"version": 1, "defaults": rules}))
    return path


def bundle(out: Path) -> Any:
    (path,) = (out / "sums").glob("eval-*.json")
    return json.loads(path.read_text())["benchmark"]


@pytest.mark.slow
def test_killed_before_the_journal_says_that_it_is_larger(
    tmp_path: Path, nel: Nel, bench: Callable[[int], Path], serve: Callable[..., str]
) -> None:
    """plan.lock is written first: such a run is reported, resumed and extended again."""
    file, url, out = bench(50), serve(), tmp_path / "out"
    assert nel(*command(url, file, out, 10, 2)).returncode == 0
    small = journal(out).read_bytes()
    assert nel(*command(url, file, out, 20, 3, "--resume")).returncode == 0
    journal(out).write_bytes(small)
    for name in ("results.jsonl", "unscored.jsonl"):
        (out / "sums" / name).unlink(missing_ok=True)
    report = nel("eval", "report", out)
    assert report.returncode == 0, report.stderr
    assert (bundle(out)["coverage"]["scored"], bundle(out)["coverage"]["planned"]) == (20, 60)
    asked = sum(counts(url).values())
    assert nel(*command(url, file, out, 20, 4, "--resume")).returncode == 0
    assert sum(counts(url).values()) - asked == 80 - 20
    only_once(out, 80)


@pytest.mark.slow
def test_extended_after_errors(
    tmp_path: Path, nel: Nel, bench: Callable[[int], Path], serve: Callable[..., str]
) -> None:
    """A larger run tries again what had failed, as any resumed run does."""
    file, out, port = bench(50), tmp_path / "out", "http://127.0.0.1:9/v1"
    url = serve()
    words = ("-O", "services.model.proxy.max_outage=0.5")
    assert nel(*command(url, file, out, 10, 1, *words)).returncode == 0
    dead = nel(*command(port, file, out, 10, 2, "--resume", *words))
    assert dead.returncode in (2, 3), dead.stderr
    done = nel(*command(url, file, out, 20, 2, "--resume", *words))
    assert done.returncode == 0, done.stderr
    only_once(out, 40)
    assert sum(counts(url).values()) == 40


SIMULATED = {"type": "simulated", "accuracy": 0.7}


def run(out: Path, bench: Path | str = "sample", **more: Any) -> Any:
    settings = {key: more.pop(key) for key in ("resume", "gate", "baseline") if key in more}
    if "gate" in settings:
        settings["stop_when"] = "decided"
    document = {
        "services": {"model": SIMULATED},
        "benchmarks": [{"name": str(bench), "max_problems": 10, "repeats": 2, **more}],
        "output": {"dir": str(out), "report": []},
    }
    return evaluate(document, **settings)


def test_a_run_that_was_extended_is_the_run_that_was_begun_larger(tmp_path: Path) -> None:
    out, calm = tmp_path / "out", tmp_path / "calm"
    run(out)
    small = timeless(out / "sample")
    run(out, resume=True, repeats=3)
    run(out, resume=True, repeats=3, max_problems=None)
    run(calm, repeats=3, max_problems=None)
    assert timeless(out / "sample") == timeless(calm / "sample")
    assert [row for row in timeless(out / "sample") if row in small] == small
    assert read_run_info(out).extended == (
        "sample: repeats: 2 → 3",
        "sample: problems: 10 → 120",
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"repeats": 1}, "repeats: 2 → 1: a run can be extended, but not reduced"),
        ({"max_problems": 5}, "problems: 10 → 5: a run can be extended, but not reduced"),
        ({"max_problems": 20, "repeats": 1}, "not reduced"),
        ({"max_problems": 20, "shuffle_seed": 9}, "with another shuffle_seed"),
    ],
)
def test_what_takes_rollouts_away_is_refused(
    tmp_path: Path, changed: dict[str, int], said: str
) -> None:
    run(tmp_path / "out")
    before = (tmp_path / "out" / "sample" / "journal.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=r"cannot change the number of rollouts") as caught:
        run(tmp_path / "out", resume=True, **changed)
    assert said in str(caught.value)
    assert (tmp_path / "out" / "sample" / "journal.jsonl").read_bytes() == before


def test_another_model_stays_refused_in_a_larger_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "out")
    monkeypatch.setitem(SIMULATED, "accuracy", 0.8)
    with pytest.raises(ConfigError, match="would mix results"):
        run(tmp_path / "out", resume=True, repeats=4)


def test_a_run_that_a_gate_may_end_is_not_extended(tmp_path: Path) -> None:
    """Its answers were looked at by a plan for that number of problems."""
    path = policy(tmp_path)
    run(tmp_path / "base", max_problems=40)
    gated = {"gate": str(path), "baseline": str(tmp_path / "base")}
    run(tmp_path / "out", max_problems=40, **gated)
    for more in (gated, {}):
        with pytest.raises(ConfigError, match="a gate looks at its answers"):
            run(tmp_path / "out", max_problems=40, repeats=3, resume=True, **more)


@pytest.mark.slow
def test_the_repeats_of_shards_can_be_extended(
    tmp_path: Path, nel: Nel, bench: Callable[[int], Path], serve: Callable[..., str]
) -> None:
    file, url = bench(30), serve()
    shards = [("--shard", f"{i}/2") for i in range(2)]
    for shard in shards:
        assert nel(*command(url, file, tmp_path / "out", 10, 1, *shard)).returncode == 0
    assert nel(*command(url, file, tmp_path / "out", 10, 2, *shards[0], "--resume")).returncode == 0
    uneven = nel("eval", "merge", tmp_path / "out")
    assert uneven.returncode == 2 and "repeats: 2 → 1" in uneven.stderr
    refused = nel(*command(url, file, tmp_path / "out", 20, 2, *shards[1], "--resume"))
    assert refused.returncode == 2 and "shards of a larger run" in refused.stderr
    assert nel(*command(url, file, tmp_path / "out", 10, 2, *shards[1], "--resume")).returncode == 0
    assert nel("eval", "merge", tmp_path / "out").returncode == 0
    assert len(rows(tmp_path / "out" / "sums")) == 20 and sum(counts(url).values()) == 20
    assert read_run_info(tmp_path / "out").extended == ("sums: repeats: 1 → 2",)


def test_a_comparison_says_that_the_smaller_run_can_be_extended(tmp_path: Path) -> None:
    run(tmp_path / "base", max_problems=None)
    run(tmp_path / "out")
    with pytest.raises(
        ConfigError, match=r"(?s)n problems: '120' and '10'.*extend the smaller run"
    ):
        compare_runs(tmp_path / "base", tmp_path / "out")
    run(tmp_path / "out", max_problems=None, resume=True)
    assert compare_runs(tmp_path / "base", tmp_path / "out")["verdict"] == "PASS"
