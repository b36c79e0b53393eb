"""What is sent to sample answers, and repeats that say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from loopback import Loopback, answer, text_reply
from observing import Said
from runs import BENCH

from nemo_evaluator import evaluate_async
from nemo_evaluator.config.load import parse
from nemo_evaluator.config.quick import quick_config
from nemo_evaluator.executors.local import run as run_locally
from nemo_evaluator.executors.options import Options
from nemo_evaluator.results.repeats import Sameness
from nemo_evaluator.results.sampling import doubtful_repeats, sent, temperature
from nemo_evaluator.tasks.dry_run import describe_plan
from nemo_evaluator.types import BenchmarkPlan, RolloutKey

PLAN = BenchmarkPlan(
    name="b",
    slug="b",
    service="m",
    model="m",
    simulated=False,
    solver="simple",
    dataset_size=1,
    n_problems=1,
    repeats=3,
    identity={"model.generation": {}, "model.extra_body": {}},
)


def plan(**identity: Any) -> BenchmarkPlan:
    named = {key.replace("__", "."): value for key, value in identity.items()}
    return msgspec.structs.replace(PLAN, identity={**PLAN.identity, **named})


def test_the_nearest_place_wins() -> None:
    both = plan(
        model__extra_body={"temperature": 1.0, "top_k": 3},
        model__generation={"temperature": 0.5},
        solver__generation={"temperature": 0.7},
    )
    assert sent(both.identity) == {"temperature": 0.7, "top_k": 3}
    assert temperature(both) == "0.7"
    assert temperature(PLAN) == "not sent, so the endpoint's default"


def test_repeats_at_temperature_0_are_doubtful() -> None:
    assert "3 repeats at temperature 0" in (
        doubtful_repeats(plan(model__generation={"temperature": 0.0})) or ""
    )
    assert doubtful_repeats(plan(model__generation={"temperature": 0.1})) is None
    assert doubtful_repeats(PLAN) is None


def document(tmp_path: Path, url: str, **benchmark: Any) -> dict[str, Any]:
    path = tmp_path / "sums.py"
    path.write_text(BENCH % {"size": 6})
    service = {"type": "api", "url": url, "protocol": "chat_completions", "model": "m"}
    return {
        "services": {"model": {**service, "generation": benchmark.pop("generation", {})}},
        "benchmarks": [{"name": str(path), **benchmark}],
        "output": {"dir": str(tmp_path / "run"), "report": []},
    }


async def test_flags_and_files_send_the_same_nothing(tmp_path: Path, loopback: Loopback) -> None:
    config = document(tmp_path, loopback.url)
    await evaluate_async(config)
    name = config["benchmarks"][0]["name"]
    out = str(tmp_path / "other")
    await evaluate_async(bench=name, model_url=loopback.url, model_id="m", output_dir=out)
    assert len(loopback.calls) == 12
    assert all(set(call.body) <= {"model", "messages", "stream"} for call in loopback.calls)
    loaded = quick_config([name], model_url=loopback.url, model_id="m")
    assert "temperature not sent, so the endpoint's default" in await describe_plan(loaded)
    warm = quick_config([name], model_url=loopback.url, model_id="m", temperature=0.0, repeats=3)
    text = await describe_plan(warm)
    assert "temperature 0\n" in text and "3 repeats at temperature 0" in text


async def test_repeats_at_temperature_0_are_warned_of(tmp_path: Path, loopback: Loopback) -> None:
    said = Said()
    config = document(tmp_path, loopback.url, repeats=2, generation={"temperature": 0.0})
    await run_locally(parse(config), Options(observers=(said,)))
    assert any("2 repeats at temperature 0" in line for line in said.texts)


@pytest.mark.parametrize("same", [True, False])
async def test_repeats_that_are_all_the_same_are_told(
    tmp_path: Path, loopback: Loopback, same: bool
) -> None:
    def varied(call: Any) -> Any:
        return text_reply(call, f"{call.nth} is the answer")

    loopback.script(answer if same else varied)
    result = await evaluate_async(document(tmp_path, loopback.url, repeats=3))
    told = [text for text in result.messages if "gave the same answers word for word" in text]
    assert len(told) == same
    assert result.exit_code == 0


def test_sameness_counts_problems() -> None:
    found = Sameness()
    for idx, texts in enumerate([["a", "a", "a"], ["a", "a", "b"], ["a", "a"], ["c", "c", "c"]]):
        for repeat, text in enumerate(texts):
            found.add(RolloutKey(idx, repeat), text)
    assert found.count() == 2 and found.count() == 2
