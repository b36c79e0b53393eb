"""Steps of an agent: ours in full, and other programs' read into the same records."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.results.trajectory_row import decode_trajectory
from nemo_evaluator.steps import Step, StepSource, numbered, steps_from

DOCUMENT = {
    "schema_version": "ATIF-v1.6",
    "session_id": "0123456789abcdef",
    "agent": {"name": "nemo-evaluator", "version": "0.1.0"},
    "steps": [
        {"step_id": 1, "source": "user", "message": "list the files"},
        {
            "step_id": 2,
            "source": "agent",
            "message": "",
            "tool_calls": [
                {"tool_call_id": "c1", "function_name": "bash", "arguments": {"command": "ls"}}
            ],
            "observation": {"results": [{"source_call_id": "c1", "content": "a.txt"}]},
            "metrics": {"prompt_tokens": 7, "completion_tokens": 2},
            "is_last": True,
        },
    ],
    "final_metrics": {"total_steps": 2},
}


def test_an_atif_document_becomes_its_steps() -> None:
    asked, acted = steps_from([DOCUMENT])
    assert (asked.step_id, asked.source, asked.message) == (1, StepSource.USER, "list the files")
    assert acted.tool_calls[0].arguments == {"command": "ls"}
    assert acted.observation is not None and acted.observation.results[0].content == "a.txt"
    assert acted.extra == {"is_last": True}


def test_what_is_not_atif_is_kept_and_says_who_spoke() -> None:
    oracle = {"type": "oracle", "return_code": 0, "stdout": "ok"}
    chat = {"role": "assistant", "content": "42"}
    first, second, third = steps_from([oracle, chat, "a line"])
    assert first.extra == oracle and first.source is StepSource.SYSTEM
    assert (second.source, second.message) == (StepSource.AGENT, "42")
    assert third.extra == {"value": "a line"} and third.step_id == 3


def test_a_row_of_results_with_a_trajectory_is_read() -> None:
    line = msgspec.json.encode({"problem_idx": 19, "repeat": 0, "trajectory": [DOCUMENT]})
    row = decode_trajectory(line)
    assert row is not None and row.key == (19, 0) and len(row.steps) == 2
    assert decode_trajectory(b'{"repeat": 1}') is None and decode_trajectory(b"[]") is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*Step.__struct_fields__, "steps", "role"]), inner)
    ),
    max_leaves=12,
)


@given(values)
def test_nothing_that_json_can_hold_raises(found: object) -> None:
    steps = steps_from(found)
    assert [step.step_id for step in steps] == list(range(1, len(steps) + 1))
    assert msgspec.convert(msgspec.to_builtins(steps), tuple[Step, ...]) == steps
    assert numbered(steps) == steps
