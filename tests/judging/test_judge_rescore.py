"""Rescoring with judges: what was paid for is not paid again, and another scorer may ask them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback

from nemo_evaluator import ConfigError
from nemo_evaluator.results.judgements import judge_totals
from nemo_evaluator.tasks.rescore import Rescored, rescore

from .conftest import Started, api, says

JUDGE = {"type": "judge", "name": "quality", "service": "judge"}
ONLY = {"include_defaults": False}
SCORERS = """
from nemo_evaluator import ScorerInput, needs_judge
from nemo_evaluator.scoring.judged import Labels


def left(sample: ScorerInput) -> dict:
    return needs_judge(sample, rubric="Is it kind?", threshold=0.5)


async def asking(sample: ScorerInput) -> dict:
    ruling = await sample.judge.ask("Is it good? " + sample.response, Labels(("good", "bad")))
    return {"correct": ruling.value == "good", "extracted": ruling.value}


def plain(sample: ScorerInput) -> dict:
    return {"correct": bool(sample.response)}
"""


async def again(folder: Path, scorer: str = "", **more: Any) -> Rescored:
    (folder / "scorers.py").write_text(SCORERS)
    name = f"{folder / 'scorers.py'}:{scorer}" if scorer else None
    return await rescore(folder / "run", scorer=name, output=folder / "new", **more)


async def test_the_same_judge_is_not_paid_again(
    run: Started, tmp_path: Path, loopback: Loopback, judge: Loopback
) -> None:
    await run(JUDGE, scoring=ONLY)
    asked = len(judge.calls)
    judge.script(says("Score: 0"))
    found = await again(tmp_path)
    assert (len(judge.calls), len(loopback.calls)) == (asked, 4)
    [flips] = found.flips
    assert flips.same == 4
    [path] = (tmp_path / "new").glob("*/judgements.jsonl")
    assert judge_totals(path).calls == 4  # the new results tell what they rest on


async def test_another_rubric_is_judged_anew(
    run: Started, tmp_path: Path, loopback: Loopback, judge: Loopback
) -> None:
    await run(JUDGE, scoring=ONLY)
    judge.script(says("Score: 0"))
    found = await again(tmp_path, overrides=["benchmarks.0.scoring.metrics.0.rubric=Be strict."])
    assert (len(judge.calls), len(loopback.calls)) == (8, 4)
    assert found.flips[0].down == 4 and "Be strict." in judge.calls[-1].prompt


async def test_another_scorer_may_leave_it_to_the_judge(
    run: Started, tmp_path: Path, judge: Loopback
) -> None:
    await run(JUDGE)
    found = await again(tmp_path, "left")
    assert not found.messages
    summary = found.after.benchmarks[0]
    assert summary.headline == "pass@1" and summary.score.value == 1.0
    assert summary.runtime.judge_calls == 4
    assert "Is it kind?" in judge.calls[-1].prompt


async def test_another_scorer_may_ask_the_judge(
    run: Started, tmp_path: Path, judge: Loopback
) -> None:
    await run(JUDGE)
    judge.script(says('{"reasoning": "", "verdict": "good"}'))
    found = await again(tmp_path, "asking")
    assert found.after.benchmarks[0].score.value == 1.0
    [path] = (tmp_path / "new").glob("*/results.jsonl")
    row = json.loads(path.read_text().splitlines()[0])
    assert row["scoring_details"]["judge"]["calls"] == 1


async def test_a_judge_without_a_verdict_leaves_the_rescored_without_one(
    run: Started, tmp_path: Path, judge: Loopback
) -> None:
    await run(JUDGE)
    judge.script(says("Hm."))
    found = await again(tmp_path, "left")
    assert found.flips[0].lost == 4 and "no readable verdict" in found.messages[0]


async def test_a_scorer_that_asks_no_judge_needs_none(
    run: Started, tmp_path: Path, judge: Loopback
) -> None:
    await run(JUDGE)
    await judge.__aexit__(None, None, None)
    found = await again(tmp_path, "plain")
    assert not found.messages and found.after.benchmarks[0].score.value == 1.0


async def test_the_key_of_a_judge_is_needed_and_that_of_the_model_is_not(
    run: Started,
    tmp_path: Path,
    loopback: Loopback,
    judge: Loopback,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MODEL_KEY", "JUDGE_KEY"):
        monkeypatch.setenv(name, "k")
    services = {
        "model": api(loopback, api_key_env="MODEL_KEY"),
        "judge": api(judge, model="j", api_key_env="JUDGE_KEY"),
    }
    await run(JUDGE, services=services)
    monkeypatch.delenv("MODEL_KEY")
    assert not (await again(tmp_path)).messages
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(ConfigError, match=r"services\.judge: .* not set"):
        await rescore(tmp_path / "run", output=tmp_path / "third")
