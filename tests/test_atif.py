"""Steps made to conform to ATIF: by harbor's own model, and without losing anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harbor_model import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_evaluator import evaluate
from nemo_evaluator.atif import conforming, violations
from nemo_evaluator.results.trajectory_row import TrajectoryRow, read_trajectories
from nemo_evaluator.steps import (
    Observation,
    ObservationResult,
    Step,
    StepMetrics,
    StepSource,
    ToolCall,
    steps_from,
)

texts = st.text(max_size=6) | st.sampled_from(["c1", "c2", "2026-01-01T00:00:00Z"])
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "audio", "image_url", "tool"])},
    optional={
        "text": texts | st.integers(),
        "source": st.fixed_dictionaries(
            {"media_type": st.sampled_from(["image/png", "audio/wav", "text/html"])},
            optional={"path": texts, "duration_sec": st.just(1)},
        ),
        "image_url": st.fixed_dictionaries({"url": st.just("data:image/png;base64,AA==")}),
    },
)
contents = texts | st.none() | st.integers() | st.lists(parts | texts, max_size=3) | parts
references = st.none() | st.lists(st.dictionaries(texts, texts, max_size=2), max_size=2)
results = st.builds(
    ObservationResult,
    source_call_id=st.none() | texts,
    content=contents,
    subagent_trajectory_ref=references,
)
calls = st.builds(ToolCall, tool_call_id=texts, function_name=texts)
metrics = st.builds(
    StepMetrics, prompt_tokens=st.integers(0, 9), reasoning_tokens=st.none() | st.integers(0, 9)
)
steps = st.lists(
    st.builds(
        Step,
        source=st.sampled_from(StepSource),
        message=contents,
        timestamp=st.none() | texts,
        model_name=st.none() | texts,
        reasoning_effort=st.none() | st.integers() | st.lists(texts, max_size=1),
        reasoning_content=st.none() | texts,
        tool_calls=st.lists(calls, max_size=2).map(tuple),
        observation=st.none()
        | st.builds(Observation, results=st.lists(results, max_size=3).map(tuple)),
        metrics=st.none() | metrics,
        llm_call_count=st.none() | st.integers(-1, 2),
    ),
    min_size=1,
    max_size=4,
)


def document(found: tuple[Step, ...]) -> dict[str, Any]:
    return TrajectoryRow(problem_idx=0, steps=found).document


def test_harbor_accepts_whatever_was_recorded() -> None:
    made: list[dict[str, Any]] = []

    @settings(max_examples=300, database=None)
    @given(steps)
    def collect(recorded: list[Step]) -> None:
        found = conforming(recorded)
        assert violations(found) == () and conforming(found) == found
        if found:
            made.append(document(found))

    collect()
    assert len(made) > 50
    assert refused(made) == []


def test_a_trajectory_of_harbor_is_read_without_loss() -> None:
    given = {
        "schema_version": "ATIF-v1.8",
        "agent": {"name": "a", "version": "1"},
        "steps": [
            {
                "step_id": 1,
                "source": "user",
                "message": "look",
                "timestamp": "2026-01-01T00:00:00Z",
            },
            {
                "step_id": 2,
                "source": "agent",
                "model_name": "m",
                "reasoning_effort": "high",
                "message": [
                    {"type": "text", "text": "see"},
                    {
                        "type": "image",
                        "source": {"media_type": "image/png", "path": "images/1.png"},
                    },
                ],
                "reasoning_content": "hm",
                "tool_calls": [{"tool_call_id": "c", "function_name": "ls", "arguments": {}}],
                "observation": {
                    "results": [
                        {
                            "source_call_id": "c",
                            "content": "a.txt",
                            "subagent_trajectory_ref": [{"trajectory_path": "sub.json"}],
                        }
                    ]
                },
                "metrics": {
                    "prompt_tokens": 3,
                    "completion_tokens": 2,
                    "cached_tokens": 1,
                    "cost_usd": 0.5,
                    "prompt_token_ids": [1, 2, 3],
                    "completion_token_ids": [4, 5],
                    "logprobs": [-0.5, -0.25],
                    "extra": {"k": 1},
                },
                "is_copied_context": False,
                "llm_call_count": 1,
            },
            {"step_id": 3, "source": "agent", "message": "", "llm_call_count": 0},
        ],
    }
    read = conforming(steps_from([given]))
    assert (
        msgspec.json.decode(msgspec.json.encode(read)) == given["steps"] and violations(read) == ()
    )
    assert refused([given]) == []


def test_results_told_later_stand_with_their_call() -> None:
    called = Step(
        source=StepSource.AGENT, tool_calls=(ToolCall(tool_call_id="c1", function_name="bash"),)
    )
    told = ObservationResult(source_call_id="c1", content="ok")
    later = Step(source=StepSource.SYSTEM, observation=Observation(results=(told,)))
    [step] = conforming([called, later])
    assert step.observation is not None and step.observation.results == (told,)


def test_what_breaks_a_rule_is_named_and_kept() -> None:
    wrong = Step(
        source=StepSource.USER,
        message={"k": 1},
        timestamp="yesterday",
        observation=Observation(results=(ObservationResult(source_call_id="gone", content="x"),)),
    )
    [step] = conforming([wrong])
    assert step.message == '{"k": 1}' and step.extra["timestamp"] == "yesterday"
    assert step.observation is not None
    assert step.observation.results[0].extra == {"source_call_id": "gone"}
    assert len(violations([wrong])) == 3


def test_the_file_of_a_run_holds_atif_documents(tmp_path: Path) -> None:
    evaluate(bench="sample", model_url="simulated", max_problems=3, output_dir=tmp_path / "run")
    folder = next(tmp_path.glob("run/sample*"))
    rows = list(read_trajectories(folder))
    assert len(rows) == 3
    for row in rows:
        asked, answered = row.steps
        assert asked.message == row.prompt
        assert row.model is not None and answered.message == row.model.content
    lines = (folder / "trajectories.jsonl").read_text().splitlines()
    raw = [json.loads(line) for line in lines]
    assert [row.document["steps"] for row in rows] == [line["steps"] for line in raw]
    assert refused(row.document for row in rows) == []


@pytest.mark.parametrize("field", ["session_id", "notes", "final_metrics"])
def test_absent_fields_of_a_document_are_not_written(field: str) -> None:
    assert field not in document((Step(source=StepSource.USER, message="x", step_id=1),))
