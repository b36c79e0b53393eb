"""HealthBench: points, clipping, axes and themes, variants; recorded judgements replayed."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from loopback import Call, Loopback, Reply, fixed_chat, text_reply
from replaying import answering, recorded, replay, rows_of, rules, shown, write_rows

from nemo_evaluator import ConfigError
from nemo_evaluator.benchmarks.healthbench import FILES, seed, share, subset_of, verdict
from nemo_evaluator.environments.rows import Dataset


def item(points: int, *tags: str, criterion: str = "c") -> dict[str, Any]:
    return {"criterion": criterion, "points": points, "tags": list(tags)}


def example(number: int, *rubrics: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "prompt_id": f"p{number}",
        "prompt": [{"role": "user", "content": f"Question {number}"}],
        "rubrics": list(rubrics),
        "example_tags": ["theme:hedging"],
        **more,
    }


def test_points_of_an_example() -> None:
    criteria = [item(10), item(5), item(-8)]
    assert share(criteria, [True, False, True]) == pytest.approx(2 / 15)
    assert share(criteria, [True, True, False]) == 1.0
    assert share(criteria, [False, False, True]) == pytest.approx(-8 / 15)  # not clipped
    assert share([item(-8)], [True]) is None


def test_an_axis_counts_where_it_can_give_points() -> None:
    criteria = [item(10, "axis:accuracy"), item(-5, "axis:completeness"), item(4, "level:example")]
    found = verdict(criteria, [True, True, False])
    assert found["reward"] == pytest.approx(5 / 14)
    assert found["metrics"] == {"axis:accuracy": [1.0, 1.0]}


async def test_means_are_clipped_and_single_scores_are_not(
    tmp_path: Path, loopback: Loopback
) -> None:
    rows = [example(i, item(5, criterion="good"), item(-10, criterion="bad")) for i in range(4)]
    loopback.script(fixed_chat("A reply."))
    dataset = write_rows(tmp_path / "rows.jsonl", rows)
    bad = rules("met", lambda prompt: "yes" if shown(prompt, "criterion") == "bad" else "no")
    async with Loopback(bad) as judge:
        result = await replay(
            tmp_path / "run", loopback, judge, name="healthbench", params={"dataset": dataset}
        )
    summary = result.summary.benchmarks[0]
    assert [row["reward"] for row in rows_of(tmp_path / "run")] == [-2.0] * 4
    assert summary.headline == "mean_reward" and summary.score.value == 0.0
    assert summary.score.ci_lower == summary.score.ci_upper == 0.0
    assert summary.categories["theme"]["hedging"].value == 0.0


async def test_one_criterion_without_a_verdict_leaves_the_example_without_one(
    tmp_path: Path, loopback: Loopback
) -> None:
    rows = [example(0, item(5, criterion="good"), item(5, criterion="odd"))]
    loopback.script(fixed_chat("A reply."))
    dataset = write_rows(tmp_path / "rows.jsonl", rows)

    def garbled(call: Call) -> Reply:
        about = shown(call.body["messages"][1]["content"], "criterion")
        return text_reply(call, '{"met": "maybe"}' if about == "odd" else '{"met": "yes"}')

    async with Loopback(garbled) as judge:
        result = await replay(
            tmp_path / "run", loopback, judge, name="healthbench", params={"dataset": dataset}
        )
    assert result.exit_code == 3 and rows_of(tmp_path / "run")[0]["reward"] is None


def test_variants_choose_their_examples_and_items() -> None:
    data = Dataset(
        [
            example(0, item(5, "level:cluster"), item(3, "level:example")),
            example(1, item(5, "level:example"), example_tags=["subset:hard"]),
        ],
        "d",
    )
    [consensus] = subset_of(data, "consensus").rows
    assert consensus["prompt_id"] == "p0" and len(consensus["rubrics"]) == 1
    [hard] = subset_of(data, "hard").rows
    assert hard["prompt_id"] == "p1"
    with pytest.raises(ConfigError, match=r"does not say which examples are hard.*dataset: FILE"):
        subset_of(Dataset(data.rows[:1], "d"), "hard")


def test_an_example_without_points_is_refused() -> None:
    with pytest.raises(ConfigError, match="no criterion gives points"):
        seed(example(0, item(-5)), 0)


LOAD = """
import json
from nemo_evaluator.benchmarks.healthbench import params
from nemo_evaluator.environments.rows import load
for subset in (None, "hard", "consensus"):
    data = load(params(subset)["dataset"])
    print(json.dumps([data.name, [row["prompt_id"] for row in data.rows], len(data.revision)]))
"""


@pytest.mark.shared
def test_each_variant_is_a_file_of_the_authors(
    tmp_path: Path, shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid out as on the hub: no splits, and a file of another kind beside them."""
    monkeypatch.syspath_prepend(str(shared_dir / "tools"))
    from hub import LocalHub

    folder = tmp_path / "root/openai/HealthBench"
    folder.mkdir(parents=True)
    for number, name in enumerate(FILES.values()):
        write_rows(folder / name, [example(number, item(5))])
    write_rows(folder / "2025-05-07-06-14-12_oss_meta_eval.jsonl", [{"completion": "x"}])
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    with LocalHub(tmp_path / "root") as hub:
        done = subprocess.run(
            [sys.executable, "-c", LOAD],
            env=hub.env(tmp_path / "home"),
            capture_output=True,
            text=True,
            timeout=90,
        )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [
        [f"hf://openai/HealthBench?file={name}", [f"p{number}"], 40]
        for number, name in enumerate(FILES.values())
    ]


@pytest.mark.shared
async def test_recorded_judgements_give_the_recorded_scores(
    tmp_path: Path, loopback: Loopback, shared_dir: Path
) -> None:
    graded = {row["prompt_id"]: row for row in recorded(shared_dir, "healthbench_graded")}
    path = shared_dir / "data/hf/openai/HealthBench/default/test.jsonl.gz"
    with gzip.open(path, "rt") as file:
        rows = [row for line in file if (row := json.loads(line))["prompt_id"] in graded]
    assert len(rows) == len(graded) == 50
    met: dict[tuple[str, str], bool] = {}
    answers = {}
    for row in rows:
        record = graded[row["prompt_id"]]
        answers[row["prompt"][-1]["content"]] = record["response"]
        for rubric, judged in zip(row["rubrics"], record["rubric_judgements"], strict=True):
            assert rubric["points"] == judged["points"]
            key = (record["response"].strip(), rubric["criterion"])
            met[key] = judged["response_dict"]["criteria_met"]
    loopback.script(answering(answers))
    dataset = write_rows(tmp_path / "rows.jsonl", rows)

    def recorded_verdict(prompt: str) -> str:
        key = (shown(prompt, "last_reply").strip(), shown(prompt, "criterion"))
        return "yes" if met[key] else "no"

    async with Loopback(rules("met", recorded_verdict)) as judge:
        result = await replay(
            tmp_path / "run", loopback, judge, name="healthbench", params={"dataset": dataset}
        )
    assert result.exit_code == 0
    for row in rows_of(tmp_path / "run"):
        record = graded[row["metadata"]["prompt_id"]]
        assert row["reward"] == pytest.approx(record["score"], abs=1e-9)
        own = row["scoring_details"]["metrics"]
        for name, value in record["metrics"].items():
            if name.startswith("axis:"):
                assert own[name][0] == pytest.approx(value)
    mean = sum(record["score"] for record in graded.values()) / len(graded)
    summary = result.summary.benchmarks[0]
    assert summary.score.value == pytest.approx(min(max(mean, 0.0), 1.0))
    print(f"50 examples, {len(met)} criteria: mean {summary.score.value:.6f}, recorded {mean:.6f}")
