"""Run directories of another tool in the published format: reports and merges of their rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import Nel
from published import constant, write_results

UNAUTHORISED = {
    "scoring_details": {
        "error": "HTTP 401: invalid key",
        "error_category": "infra_error",
        "method": "infra_error",
        "retries_exhausted": True,
    },
    "model_response": "",
}


def entry(nel: Nel, path: Path) -> dict[str, Any]:
    code, out, err = nel("report", path, "-f", "json")
    assert (code, err) == (0, "")
    [(_, found)] = json.loads(out)["benchmarks"].items()
    assert isinstance(found, dict)
    return found


def test_twenty_answers_of_401_are_no_score(tmp_path: Path, nel: Nel) -> None:
    zero = {"pass@1": {"value": 0.0, "bootstrap_ci_lower": 0.0, "bootstrap_ci_upper": 0.0}}
    folder = tmp_path / "run" / "bench"
    write_results(folder, constant(0.0, 20), rows=UNAUTHORISED, scores=zero)
    found = entry(nel, tmp_path / "run")
    assert found["headline"] is None and found["metrics"] == {}
    assert (found["n_scored"], found["n_rollouts"], found["coverage"]) == (0, 20, 0.0)
    assert found["failures"] == {"infra_error": 20} and found["told"] == 0.0
    text = nel("report", folder)[1]
    assert "no score: 0 of 20 rollouts have a verdict (infra_error 20)" in text
    assert "the bundle itself says 0.0000, the rows in results.jsonl give no score" in text
    assert "HTTP 401: invalid key" in text and "0.0000 [" not in text


def test_some_errors_leave_the_score_of_the_others(tmp_path: Path, nel: Nel) -> None:
    rewards = {**constant(1.0, 30), **{i: [0.0] for i in range(30, 40)}}
    rewards |= {i: [None] for i in range(40, 50)}
    write_results(tmp_path / "b", rewards, scores={"pass@1": {"value": 0.6}})
    found = entry(nel, tmp_path / "b")
    assert found["pass@1"]["value"] == 0.75 and found["pass@1"]["n"] == 40
    assert found["pass@1"]["ci_lower"] < 0.75 < found["pass@1"]["ci_upper"]
    assert (found["told"], found["coverage"]) == (0.6, 0.8)
    assert (found["score_if_rest_wrong"], found["score_if_rest_right"]) == (0.6, 0.8)


def test_without_errors_the_rows_say_what_the_bundle_says(tmp_path: Path, nel: Nel) -> None:
    scores = {"pass@1": {"value": 0.6}, "f1/token": {"value": 0.3}}
    rewards = {i: [float(i < 30)] for i in range(50)}
    write_results(
        tmp_path / "b", rewards, scores=scores, categories={i: "ab"[i % 2] for i in rewards}
    )
    found = entry(nel, tmp_path / "b")
    assert found["told"] is None and found["pass@1"]["value"] == 0.6
    assert found["pass@1"]["ci_lower"] is not None  # a bundle of one repeat gives none
    assert found["f1/token"]["value"] == 0.3
    assert set(found["categories"]) == {"a", "b"}


def test_the_last_line_counts_and_rows_need_no_order(tmp_path: Path, nel: Nel) -> None:
    folder = write_results(tmp_path / "b", {2: [1.0], 0: [0.0], 1: [1.0]}, scores={})
    with (folder / "results.jsonl").open("a") as file:
        file.write('{"problem_idx": 0, "reward": 1.0}\nnonsense\n{"problem_idx": 9, "rew')
    found = entry(nel, folder)
    assert found["pass@1"]["value"] == 1.0 and found["n_rollouts"] == 3


def test_rows_without_a_bundle_are_reported(tmp_path: Path, nel: Nel) -> None:
    folder = write_results(tmp_path / "bench", constant(0.5, 10))
    next(folder.glob("eval-*.json")).unlink()
    found = entry(nel, folder)
    assert found["benchmark"] == "bench" and found["mean_reward"]["value"] == 0.5


def test_strange_details_of_other_tools_are_no_crash(tmp_path: Path, nel: Nel) -> None:
    rows = {
        "scoring_details": {
            "metrics": {"f1": "high"},
            "scorer:x": {"reward": "1"},
            "scorer:y": {"reward": 0.5},
            "judge": ["odd"],
            "category": 7,
        },
        "metadata": {"breakdowns": ["a"], "category": None},
        "latency_ms": None,
        "tokens": "many",
        "scorer_rewards": {"scorer:z": None},
    }
    write_results(tmp_path / "b", constant(1.0, 3), rows=rows)
    found = entry(nel, tmp_path / "b")
    assert found["scorer:y"]["value"] == 0.5 and set(found["categories"]) == {"7"}


def test_audits_look_through_them_too(tmp_path: Path, nel: Nel) -> None:
    write_results(tmp_path / "run" / "bench", {**constant(1.0, 8), 8: [None], 9: [None]})
    for path in (tmp_path / "run", tmp_path / "run" / "bench"):
        code, out, _ = nel("audit", path)
        assert code == 0 and "bench: 8 of 10 rollouts scored" in out
        assert "unscored  2 of 10" in out
    code, _, err = nel("audit", tmp_path / "run" / "..")
    assert code == 2 and "holds no results" in err


def test_the_file_of_rows_is_as_good_as_its_folder(tmp_path: Path, nel: Nel) -> None:
    folder = write_results(tmp_path / "b", constant(1.0, 4))
    assert nel("report", folder / "results.jsonl") == nel("report", folder)


def test_absurd_numbers_are_no_crash(tmp_path: Path, nel: Nel) -> None:
    folder = write_results(tmp_path / "b", constant(1.0, 3), scores={})
    [path] = folder.glob("eval-*.json")
    document = json.loads(path.read_text())
    document["benchmark"] |= {"repeats": 10**12, "samples": 10**15}
    document["config"]["shuffle"] = {"ds_effective_size": 10**12, "ds_full_size": 10**15}
    path.write_text(json.dumps(document))
    with (folder / "results.jsonl").open("a") as file:
        file.write(json.dumps({"problem_idx": 2**60, "repeat": 2**60, "reward": 0.0}) + "\n")
        file.write(json.dumps({"problem_idx": 2**90, "reward": 0.0}) + "\n")
    for fmt in ("json", "html", "markdown"):
        assert nel("report", folder, "-f", fmt)[0] == 0
    assert nel("show", folder)[0] == 0


# Shards


def shards(
    parent: Path, parts: Sequence[dict[int, list[float | None]]], **config: Any
) -> list[Path]:
    whole = {"shuffle": {"ds_full_size": 4, "ds_effective_size": 4}, **config}
    runtime = {"total_steps": 4, "total_tokens": 100, "total_completion_tokens": 60,
               "elapsed_seconds": 2.0}  # fmt: skip
    return [
        write_results(
            parent / f"shard_{index}" / "bench",
            rewards,
            run_id=f"eval-{index}",
            config={"shard": {"idx": index, "total": len(parts)}, "model": "m", **whole},
            scores={"pass@1": {"value": 0.0}, "runtime": runtime},
        )
        for index, rewards in enumerate(parts)
    ]


BINARY: list[dict[int, list[float | None]]] = [
    {0: [1.0, 0.0], 1: [1.0, 1.0]},
    {2: [0.0, 0.0], 3: [1.0, 0.0]},
]
PARTS: list[dict[int, list[float | None]]] = [
    {0: [0.7, 0.8], 1: [0.5, 0.6]},
    {2: [0.0, 1.0], 3: [0.3, 0.4]},
]


def test_shards_become_one_run(tmp_path: Path, nel: Nel) -> None:
    folders = shards(tmp_path, PARTS)
    before = {path: path.read_bytes() for f in folders for path in f.iterdir()}
    code, out, err = nel("eval", "merge", tmp_path)
    assert (code, err) == (0, "") and f"Merging bench: 2 shards -> {tmp_path}" in out
    found = entry(nel, tmp_path / "bench")
    assert found["mean_reward"]["value"] == pytest.approx(0.5375)
    assert "pass@1" not in found and found["coverage"] == 1.0
    assert found["config"]["n_shards"] == 2 and "shard" not in found["config"]
    assert found["runtime"]["total_tokens"] == 200 and found["runtime"]["elapsed_seconds"] == 2.0
    lines = (tmp_path / "bench/results.jsonl").read_text().splitlines()
    assert [json.loads(line)["problem_idx"] for line in lines] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert {path: path.read_bytes() for f in folders for path in f.iterdir()} == before
    # Again, with the same result: one bundle, the same bytes.
    files = {p.name: p.read_bytes() for p in (tmp_path / "bench").iterdir()}
    assert nel("eval", "merge", tmp_path)[0] == 0
    again = {p.name: p.read_bytes() for p in (tmp_path / "bench").iterdir()}
    assert again.keys() == files.keys() and again["results.jsonl"] == files["results.jsonl"]


def test_binary_shards_have_pass_at_k(tmp_path: Path, nel: Nel) -> None:
    shards(tmp_path, BINARY)
    assert nel("eval", "merge", tmp_path, "-n", 2)[0] == 0
    found = entry(nel, tmp_path / "bench")
    assert found["pass@1"]["value"] == 0.5 and found["pass@2"]["value"] == 0.75


def test_errors_in_shards_stay_errors(tmp_path: Path, nel: Nel) -> None:
    shards(tmp_path, [{0: [1.0], 1: [None]}, {2: [1.0], 3: [0.0]}])
    code, _, err = nel("eval", "merge", tmp_path)
    assert code == 3 and "1 of 4 rollouts have no verdict" in err
    found = entry(nel, tmp_path / "bench")
    assert found["pass@1"]["value"] == pytest.approx(2 / 3) and found["n_scored"] == 3
    [line] = (tmp_path / "bench/unscored.jsonl").read_text().splitlines()
    assert json.loads(line)["problem_idx"] == 1


def test_what_cannot_be_merged_is_refused(tmp_path: Path, nel: Nel) -> None:
    def refused(*words: object) -> str:
        code, _, err = nel("eval", "merge", tmp_path, *words)
        assert code == 2
        return err

    folders = shards(tmp_path, [*PARTS, {5: [1.0, 1.0]}])
    assert "repeats" in refused("-n", 3)
    shutil.rmtree(folders[2].parent)
    assert "shard 2 of 3 missing for bench" in refused()
    assert nel("eval", "merge", tmp_path, "--partial")[0] in (0, 3)
    shutil.copytree(folders[0].parent, tmp_path / "shard_7")
    assert "is shard 0 like" in refused()
    shutil.rmtree(tmp_path / "shard_7")
    other = tmp_path / "shard_2"
    sizes = {"ds_full_size": 4, "ds_effective_size": 4}
    config = {"model": "m", "shard": {"idx": 2, "total": 3}, "shuffle": sizes}
    write_results(other / "bench", {0: [1.0]}, config=config)
    assert "holds rollout 0/0, which" in refused()
    shutil.rmtree(other)
    write_results(other / "bench", {8: [1.0]}, config={"model": "another"})
    assert "is a shard of another run" in refused()


def test_results_that_no_merge_wrote_are_not_overwritten(tmp_path: Path, nel: Nel) -> None:
    shards(tmp_path, BINARY)
    own = write_results(tmp_path / "bench", constant(1.0, 5), run_id="eval-mine")
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    code, _, err = nel("eval", "merge", tmp_path)
    assert code == 2 and "stands where the merged results go" in err
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before
