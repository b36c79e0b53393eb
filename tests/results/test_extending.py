"""Which plans extend an earlier one: those that hold all of its rollouts."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from journals import plan

from nemo_evaluator.results.extending import count_keys, counts, obstacle
from nemo_evaluator.results.planned import planned_problems
from nemo_evaluator.types import BenchmarkPlan, PlanSettings

SIZE = 12
SEEDS = st.sampled_from([None, 1, 2])


def cut(problems: int, repeats: int, seed: int | None, size: int = SIZE) -> BenchmarkPlan:
    return plan(
        problems,
        repeats,
        dataset_size=size,
        settings=PlanSettings(shuffle_seed=seed),
        identity={"n_problems": problems, "repeats": repeats, "shuffle_seed": seed},
    )


def rollouts(of: BenchmarkPlan) -> set[tuple[int, int]]:
    held = planned_problems(of)
    return {(i, r) for i in range(of.dataset_size) if i in held for r in range(of.repeats)}


@given(
    st.tuples(st.integers(1, SIZE), st.integers(1, 3), SEEDS),
    st.tuples(st.integers(1, SIZE), st.integers(1, 3), SEEDS),
)
def test_no_rollout_is_lost_by_an_extension(
    one: tuple[int, int, int | None], other: tuple[int, int, int | None]
) -> None:
    old, new = cut(*one), cut(*other)
    if obstacle(old, new) is None and (old.n_problems < new.n_problems or one[2] == other[2]):
        assert rollouts(old) <= rollouts(new)
        assert bool(counts(old, new)) == (len(rollouts(new)) > len(rollouts(old)))
    elif not rollouts(old) <= rollouts(new):
        assert obstacle(old, new) is not None or "shuffle_seed" not in count_keys(old, new)


def test_what_stands_in_the_way_is_said() -> None:
    few, more = cut(4, 2, 1), cut(8, 2, 1)
    assert obstacle(few, more) is None and counts(few, more) == ["problems: 4 → 8"]
    assert "not reduced" in (obstacle(more, few) or "")
    assert "not reduced" in (obstacle(cut(4, 2, 1), cut(8, 1, 1)) or "")
    assert "shuffle_seed" in (obstacle(few, cut(8, 2, 2)) or "")
    assert obstacle(few, cut(SIZE, 2, 2)) is None  # all problems, in whatever order
    assert "12 problems, and has 20" in (obstacle(few, cut(8, 2, 1, size=20)) or "")
    shard = PlanSettings(shuffle_seed=1, shard=(0, 2), shard_range=(0, 2))
    parts = [msgspec.structs.replace(one, settings=shard) for one in (few, more, cut(4, 5, 1))]
    assert "shards" in (obstacle(*parts[:2]) or "") and obstacle(parts[0], parts[2]) is None
