"""The plan: which problems in which order, and what may not change under a resumed run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.engine.plan import check_resumable, differences, digest, problem_digest
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.results.plan_lock import PlanLock, read_lock, write_lock
from nemo_evaluator.results.planned import problem_order
from nemo_evaluator.types import BenchmarkPlan, Problem


def plan(slug: str = "b", **identity: object) -> BenchmarkPlan:
    return BenchmarkPlan(
        name="b",
        slug=slug,
        service="model",
        model="m",
        simulated=False,
        solver="simple",
        dataset_size=10,
        n_problems=10,
        repeats=1,
        identity=identity,
        digest=digest(identity),
    )


def test_published_permutations() -> None:
    assert problem_order(10, shuffle_seed=42, max_problems=None) == [7, 3, 2, 8, 5, 6, 9, 4, 0, 1]
    assert problem_order(20, shuffle_seed=7, max_problems=5) == [17, 15, 11, 18, 7]
    assert problem_order(5, shuffle_seed=None, max_problems=3) == [0, 1, 2]


@given(st.integers(0, 300), st.integers(0, 100), st.integers(1, 400))
def test_the_order_is_a_permutation_cut_after_the_shuffle(size: int, seed: int, most: int) -> None:
    whole = problem_order(size, shuffle_seed=seed, max_problems=None)
    assert sorted(whole) == list(range(size))
    assert problem_order(size, shuffle_seed=seed, max_problems=most) == whole[:most]


def test_resume_names_every_difference(tmp_path: Path) -> None:
    old = PlanLock(run_id="r", benchmarks=(plan(model="m", temperature=0.0),))
    with pytest.raises(ConfigError) as caught:
        check_resumable(old, [plan(model="n", temperature=0.5)], where=tmp_path)
    text = str(caught.value)
    assert "b: model: m → n" in text and "b: temperature: 0.0 → 0.5" in text and "-o" in text


@given(st.text(max_size=200), st.text(max_size=99), st.text(max_size=99))
def test_a_difference_shows_where_long_values_differ(same: str, one: str, other: str) -> None:
    found = differences(plan(command=same + one), plan(command=same + other))
    if one == other:
        assert found == []
        return
    before, after = found[0].removeprefix("command: ").split(" → ")[:2]
    if "→" not in same + one + other:
        assert before != after and len(found[0]) < 160


def test_resume_refuses_a_benchmark_that_is_gone(tmp_path: Path) -> None:
    old = PlanLock(run_id="r", benchmarks=(plan("a"), plan("b")))
    with pytest.raises(ConfigError, match="a: no longer in the configuration"):
        check_resumable(old, [plan("b")], where=tmp_path)


def test_an_added_benchmark_and_other_settings_are_fine(tmp_path: Path) -> None:
    check_resumable(
        PlanLock(run_id="r", benchmarks=(plan("a", model="m"),)),
        [plan("a", model="m"), plan("b")],
        where=tmp_path,
    )


def test_lock_file_round_trips(tmp_path: Path) -> None:
    lock = PlanLock(run_id="r", benchmarks=(plan(model="m", stop=["a", "b"]),))
    write_lock(tmp_path / "plan.lock", lock)
    found = read_lock(tmp_path / "plan.lock")
    assert found is not None and not differences(found.benchmarks[0], lock.benchmarks[0])
    assert read_lock(tmp_path / "none") is None
    (tmp_path / "bad").write_text("{")
    with pytest.raises(ConfigError, match="bad: cannot be read"):
        read_lock(tmp_path / "bad")


def test_problem_digest_covers_what_is_asked_and_expected() -> None:
    base = Problem(idx=0, prompt="q", target="a")
    assert problem_digest(base) == problem_digest(Problem(idx=5, prompt="q", target="a"))
    for other in (
        Problem(idx=0, prompt="q2", target="a"),
        Problem(idx=0, prompt="q", target="b"),
        Problem(idx=0, prompt="q", target="a", system="s"),
    ):
        assert problem_digest(other) != problem_digest(base)
