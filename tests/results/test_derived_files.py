"""What follows from a journal, and from nothing else."""

from __future__ import annotations

import json
import random
from array import array
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import RUN, errored, plan, problem, scored, solved, write

from nemo_evaluator.results.active_time import active_seconds
from nemo_evaluator.results.derive import publish
from nemo_evaluator.results.journal import Event, Solved, encode
from nemo_evaluator.results.layout import ascii_slug, slug
from nemo_evaluator.results.planned import is_name
from nemo_evaluator.results.result_row import read_rows
from nemo_evaluator.results.summary import headline_line
from nemo_evaluator.types import (
    EndedBy,
    Failure,
)


def results(folder: Path) -> list[dict[str, Any]]:
    return lines(folder / "results.jsonl")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_headline_carries_coverage_and_both_bounds(tmp_path: Path) -> None:
    events: list[Event] = []
    for idx in range(8):
        events += [problem(idx), solved(idx), scored(idx, idx < 4)]
    events += [problem(8), errored(8), problem(9), solved(9)]
    summary = write(tmp_path, events, plan(10))
    assert summary.n_scored == 8 and summary.coverage == 0.8
    assert summary.bound_if_rest_wrong == 0.4 and summary.bound_if_rest_right == 0.6
    assert headline_line(summary) == (
        "0.500 [0.184, 0.816] n=8 of 10, scored 80.0 %; 0.400 if the rest is wrong, 0.600 if right"
    )
    assert summary.outcomes == {"infra_error": 1, "scored": 8, "unscored": 1}
    assert [row["problem_idx"] for row in results(tmp_path)] == list(range(8))
    errored_, open_ = lines(tmp_path / "unscored.jsonl")
    assert errored_["reward"] is None and open_["reward"] is None
    assert errored_["scoring_details"]["error_category"] == "connection"
    assert errored_["scoring_details"]["method"] == "infra_error"
    assert open_["model_response"] == "r9"
    assert [row.problem_idx for row in read_rows(tmp_path)] == list(range(10))


def test_marks_beside_the_score(tmp_path: Path) -> None:
    events = [
        problem(0), solved(0, finish_reason="length"), scored(0, False),
        problem(1), solved(1), scored(1, False, extracted=None, failure=Failure.FORMAT),
        problem(2), solved(2), scored(2, True), problem(3), solved(3), scored(3, True),
    ]  # fmt: skip
    summary = write(tmp_path, events, plan(4, simulated=True))
    line = headline_line(summary)
    assert line.endswith("n=4, truncated 25.0 %, no answer found 25.0 % (simulated)")
    assert summary.failures["format_error"].count == 1 and summary.failures["truncated"].count == 1


def test_nothing_scored_is_no_score(tmp_path: Path) -> None:
    summary = write(tmp_path, [problem(0), errored(0)], plan(3))
    assert summary.score is None and headline_line(summary) == "no score: 0 of 3 scored"


def test_one_fractional_reward_does_not_take_the_mean_away(tmp_path: Path) -> None:
    binary = [e for i in range(6) for e in (problem(i), solved(i), scored(i, i % 2 == 0))]
    first = write(tmp_path / "a", binary, plan(6))
    assert {"pass@1", "mean_reward"} <= set(first.metrics)
    mixed = [*binary[:-1], scored(5, False, reward=0.5, correct=None)]
    second = write(tmp_path / "b", mixed, plan(6))
    assert set(second.metrics) == {"mean_reward"}
    assert first.metrics["mean_reward"].value == 0.5


def test_repeats_give_pass_at_k_and_are_not_independent(tmp_path: Path) -> None:
    events: list[Event] = []
    verdicts = {0: [1, 1], 1: [1, 0], 2: [0, 0], 3: [1, 1]}
    for idx, found in verdicts.items():
        events.append(problem(idx))
        for repeat, right in enumerate(found):
            events += [solved(idx, repeat), scored(idx, bool(right), repeat)]
    summary = write(tmp_path, events, plan(4, repeats=2))
    assert summary.metrics["pass@1"].value == 0.625
    assert summary.metrics["pass@2"].value == 0.75
    assert summary.metrics["pass^2"].value == 0.5
    assert summary.metrics["pass@1"].n == 4


def test_every_attempt_counts_for_cost_the_last_for_the_score(tmp_path: Path) -> None:
    events = [
        problem(0), solved(0, attempt=1), errored(0, attempt=1), solved(0, attempt=2),
        scored(0, True, attempt=2), problem(1), solved(1), scored(1, False),
    ]  # fmt: skip
    summary = write(tmp_path, events, plan(2))
    assert summary.runtime.total_tokens == 15 and summary.n_scored == 2
    assert summary.retried == {
        "rollouts": 1,
        "mean_reward_retried": 1.0,
        "mean_reward_never_retried": 0.0,
    }


def test_breakdowns_and_further_metrics(tmp_path: Path) -> None:
    events: list[Event] = []
    for idx in range(6):
        metadata = {"category": "xy"[idx % 2], "breakdowns": {"level": f"Level {idx % 3}"}}
        details = {"metrics": {"f1": idx / 10}, "scorer:exact_match": {"reward": 1.0}}
        events += [problem(idx, metadata=metadata), solved(idx)]
        events.append(scored(idx, True, details=details))
    summary = write(tmp_path, events, plan(6))
    assert summary.categories["category"]["x"].n == 3
    assert set(summary.categories["level"]) == {"Level 0", "Level 1", "Level 2"}
    assert summary.metrics["f1"].value == 0.25
    assert summary.metrics["scorer:exact_match"].correct == 6
    assert results(tmp_path)[0]["scorer_rewards"] == {"scorer:exact_match": 1.0}


def test_what_a_solver_says_of_its_work_is_published(tmp_path: Path) -> None:
    said = {"turns": 7, "rule": "the solver's"}
    own = solved(0, ended_by=EndedBy.TURNS, details=said)
    events: list[Event] = [problem(0), own, scored(0, False, details={"rule": "line"})]
    events += [problem(1), solved(1), scored(1, True)]
    write(tmp_path, events, plan(2))
    [limited, other] = results(tmp_path)
    assert limited["ended_by"] == "turns"
    assert limited["solver_details"] == {"turns": 7}, "what a scorer tells under a name stays"
    assert "ended_by" not in other and "solver_details" not in other
    assert [row.ended_by for row in read_rows(tmp_path)] == [EndedBy.TURNS, None]


def test_exactly_one_bundle_of_ours_in_the_published_shape(tmp_path: Path) -> None:
    own = {"benchmark": {"name": "b"}, "config": {"identity": {"model": "m"}}}
    (tmp_path / "eval-old.json").write_text(json.dumps(own))
    other = tmp_path / "eval-20300101T000000Z-b.json"
    other.write_text(json.dumps({"benchmark": {"name": "b"}, "config": {"model": "m"}}))
    events = [e for i in range(3) for e in (problem(i), solved(i), scored(i, True))]
    write(tmp_path, events, plan(3))
    assert other.is_file(), "of another program"
    other.unlink()
    (path,) = tmp_path.glob("eval-*.json")
    bundle = json.loads(path.read_text())
    assert bundle["run_id"] == RUN.run_id == path.stem.removeprefix("eval-")
    assert bundle["benchmark"]["samples"] == 3 and bundle["n_results"] == 3
    entry = bundle["benchmark"]["scores"]["pass@1"]
    assert entry["value"] == 1.0 and entry["ci_lower"] < 1.0
    stats = json.loads((tmp_path / "runtime_stats.json").read_text())
    assert {"total_tokens", "latency_percentiles_ms", "tokens_per_second"} <= set(stats)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_events_between_rollouts_does_not_matter(
    tmp_path_factory: Any, seed: int
) -> None:
    rng = random.Random(seed)
    chains = [[problem(i), solved(i), scored(i, rng.random() < 0.5)] for i in range(6)]
    straight = [event for chain in chains for event in chain]
    mixed: list[Event] = []
    left = [list(chain) for chain in chains]
    while any(left):
        chain = rng.choice([c for c in left if c])
        mixed.append(chain.pop(0))
    folder = tmp_path_factory.mktemp("d")
    write(folder / "a", straight, plan(6))
    write(folder / "b", mixed, plan(6))
    for name in ("results.jsonl", "trajectories.jsonl"):
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()


def test_deriving_again_gives_the_same_bytes(tmp_path: Path) -> None:
    events = [e for i in range(5) for e in (problem(i), solved(i), scored(i, i < 2))]
    write(tmp_path, events, plan(5))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    publish(tmp_path, plan(5), RUN)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_texts_are_not_multiplied(tmp_path: Path) -> None:
    """The journal holds a prompt and each answer once; statistics do not repeat them."""
    prompt, events = "p" * 20_000, []
    events.append(problem(0, prompt=prompt))
    for repeat in range(8):
        events += [solved(0, repeat, response="a" * 5_000), scored(0, True, repeat)]
    write(tmp_path, events, plan(1, repeats=8))
    assert (tmp_path / "journal.jsonl").read_text().count(prompt) == 1
    assert (tmp_path / "journal.jsonl").stat().st_size < 20_000 + 8 * 5_000 + 8 * 600
    for name in ("runtime_stats.json", "failure_analysis.json"):
        assert "a" * 300 not in (tmp_path / name).read_text()


def test_slugs_are_safe_folders() -> None:
    assert slug("lm-eval://gsm8k") == "lm-eval__gsm8k"
    assert slug("./my_bench.py:x") == "my_bench_x"
    for name in ("..", "", "a b/c", "ü"):
        assert slug(name) and "/" not in slug(name) and not slug(name).startswith(".")


@given(st.text(max_size=200))
def test_every_slug_is_the_name_of_a_folder(name: str) -> None:
    found = slug(name)
    assert is_name(found) and len(found.encode()) <= 150
    assert slug(found) == found or found.endswith(".py")
    assert ascii_slug(name).isascii() and is_name(ascii_slug(name))


def test_letters_of_every_script_stay(tmp_path: Path) -> None:
    names = {
        "北京": "北京",
        "हिन्दी भाषा": "हिन्दी_भाषा",
        "ü/é": "ü_é",
        "u\u0308": "ü",
        "京" * 99: "京" * 50,
    }
    for name, folder in names.items():
        assert slug(name) == folder
        (tmp_path / folder).mkdir()
    assert not is_name("a\u202eb") and not is_name(".hidden") and not is_name("京" * 67)


def test_records_round_trip() -> None:
    event = solved(1)
    assert msgspec.json.decode(encode(event), type=Solved) == event


@pytest.mark.parametrize(
    ("times", "began", "seconds"),
    [
        ([5, 10, 110], [0, 100], 20),  # the pause between two invocations is no work
        ([1000], [0], 1000),  # a slow answer is
        ([5, 10], [0, 7, 100], 5 + 3),  # one that was stopped before anything happened
        ([1, 2, 3, 400], [], 2),  # a journal that does not say: long gaps are pauses
        ([1], [], 0),
        ([], [0], 0),
    ],
)
def test_duration_is_time_at_work(times: list[float], began: list[float], seconds: float) -> None:
    assert active_seconds(array("d", times), began) == pytest.approx(seconds)
