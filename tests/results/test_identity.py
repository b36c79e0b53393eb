"""What changes a request or an answer is part of a run's identity; what watches is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator import ConfigError, compare_runs, evaluate, kinds
from nemo_evaluator.results.identity import INTERCEPTORS, changes, incomparable, served_differently
from nemo_evaluator.traffic.types import Changes

BASE: dict[str, Any] = {"model": "m", "environment.scorer": "f", INTERCEPTORS: []}


def interceptor(name: str, effect: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "changes": effect, "config": config}


def run(folder: Path, *interceptors: dict[str, Any], resume: bool = False, n: int = 4) -> None:
    config = {
        "services": {
            "model": {
                "type": "simulated",
                "accuracy": 0.8,
                "proxy": {"interceptors": list(interceptors)},
            }
        },
        "benchmarks": [
            {"name": "sample", "solver": {"type": "simple", "service": "model"}, "max_problems": n}
        ],
        "output": {"dir": str(folder), "report": []},
    }
    assert evaluate(config, resume=resume).exit_code == 0


SHAPING = [
    {"name": "system_message", "config": {"system_message": "Be brief."}},
    {"name": "payload_modifier", "config": {"params_to_add": {"model": "b", "temperature": 1.0}}},
]
ADAPTING = [
    {"name": "drop_params", "config": {"params": ["seed"]}},
    {"name": "reasoning", "config": {}},
]
WATCHING = [{"name": "log_tokens"}, {"name": "response_stats"}, {"name": "streaming"}]


@pytest.mark.parametrize("step", [*SHAPING, *ADAPTING], ids=lambda step: step["name"])
def test_resume_refuses_another_pipeline(tmp_path: Path, step: dict[str, Any]) -> None:
    run(tmp_path / "run")
    with pytest.raises(ConfigError, match=f"interceptors: .*{step['name']}"):
        run(tmp_path / "run", step, resume=True)


@pytest.mark.parametrize("step", SHAPING, ids=lambda step: step["name"])
def test_compare_refuses_another_question_to_the_model(
    tmp_path: Path, step: dict[str, Any]
) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b", step)
    with pytest.raises(ConfigError, match=f"interceptors that change requests: .*{step['name']}"):
        compare_runs(tmp_path / "a", tmp_path / "b")
    report = compare_runs(tmp_path / "a", tmp_path / "b", force=True)
    assert any(step["name"] in warning for warning in report["warnings"])


@pytest.mark.parametrize("step", ADAPTING, ids=lambda step: step["name"])
def test_compare_names_what_adapts_a_model(tmp_path: Path, step: dict[str, Any]) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b", step)
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert any(step["name"] in w and "served differently" in w for w in report["warnings"])


def test_what_only_watches_is_no_part_of_it(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "a", *WATCHING, resume=True)
    run(tmp_path / "b", *WATCHING)
    report = compare_runs(tmp_path / "a", tmp_path / "b")
    assert not any("served" in warning for warning in report["warnings"])


def test_every_built_in_interceptor_says_what_it_changes() -> None:
    named = {
        name: vars(kinds.INTERCEPTORS.load(name)).get("changes")
        for name in kinds.INTERCEPTORS.built_in
        if name != "endpoint"
    }
    requests = {name for name, changes in named.items() if changes in (None, Changes.REQUESTS)}
    assert requests == {
        "consolidate_system",
        "modify_tools",
        "payload_modifier",
        "reasoning_replay",
        "system_message",
    }


def test_an_identity_of_an_older_version_is_no_difference() -> None:
    older = {key: value for key, value in BASE.items() if key != INTERCEPTORS}
    newer = {**BASE, INTERCEPTORS: [interceptor("x", "requests")]}
    for compared in (changes, incomparable, served_differently):
        assert not list(compared(older, newer))
    assert [d.what for d in changes(BASE, newer)] == [INTERCEPTORS]


def test_how_a_model_was_served_is_told_apart_from_what_was_measured() -> None:
    other = {
        **BASE,
        "model": "n",
        "model.generation": {"temperature": 1.0},
        "environment.scorer": "g",
    }
    assert [d.what for d in incomparable(BASE, other)] == ["scorer"]
    assert [d.what for d in served_differently(BASE, other)] == ["model generation"]


def test_a_digest_made_by_an_older_rule_says_nothing() -> None:
    """Runs of versions whose digests took in the decorators go on, and are compared."""
    older, newer = {"environment.scorer": "f:0b1a"}, {"environment.scorer": "f:code-77aa"}
    assert not list(changes(older, newer))
    assert list(changes(older, {"environment.scorer": "g:code-77aa"}))
    assert list(changes(newer, {"environment.scorer": "f:code-77ab"}))
    assert list(changes(older, {"environment.scorer": "f:0b1b"}))
