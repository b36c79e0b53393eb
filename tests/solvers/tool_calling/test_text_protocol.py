"""Tool calls in the text, and how it is found out that they are needed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nemo_evaluator.errors import InfraError
from nemo_evaluator.sandboxes import Sandbox
from nemo_evaluator.solvers.tool_calling.protocols import Ids
from nemo_evaluator.solvers.tool_calling.text_protocol import Textual
from nemo_evaluator.traffic.types import ModelRequest, ModelResponse
from nemo_evaluator.types import Generation

from .conftest import bash, solve


def block(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def read(text: str, **more: Any) -> tuple[str, list[Any]]:
    return Textual().read(Generation(text=text, **more), Ids())


async def test_a_task_is_done_in_text(one: Sandbox) -> None:
    first = (
        "I look." + block("bash", '{"command": "echo hi"}') + block("bash", '{"command": "x y"}')
    )
    said = [first, block("file_write", '{"path": "a", "content": "b"}'), "It is done."]
    ran = await solve(said, one, tool_protocol="text", system_prompt="Be brief.")
    assert ran.solution.response == "It is done."
    assert ran.solution.details["tool_protocol"] == "text"
    assert await one.download("a") == b"b"
    assert "tools" not in ran.requests[0].body
    system = ran.told(0)[0]["content"]
    assert system.startswith("Be brief.") and "- bash: " in system and '"command"' in system
    roles = [message["role"] for message in ran.told(-1)]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    answer = ran.told(-1)[3]["content"]
    assert '<tool_response id="call_1" name="bash">\nhi\n\n</tool_response>' in answer
    assert "[exit code 127]" in answer
    assert ran.solution.steps[0].message == system
    step = ran.solution.steps[2]
    assert step.message == "I look." and len(step.tool_calls) == 2


@pytest.mark.parametrize(
    ("text", "named", "besides"),
    [
        (block("f", "{}"), ["f"], ""),
        ('a<tool_call>{"name": "f"}</tool_call>b', ["f"], "ab"),
        ('<tool_call>{"name": "f", "parameters": {"a": 1}}', ["f"], ""),
        ('<tool_call>{"name": "f"}<tool_call>{"name": "g"}</tool_call>', ["f", "g"], ""),
        ('```tool_call\n{"name": "f"}\n```\nend', ["f"], "end"),
        ('<tool_call>\n```json\n{"name": "f"}\n```\n</tool_call>', ["f"], ""),
        ('<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', ["f"], ""),
        ('```python\nprint("<tool>")\n```', [], '```python\nprint("<tool>")\n```'),
        ("no call", [], "no call"),
        ('<think>a <tool_call>{"name": "f"}</tool_call>?</think>x', [], None),
        ('<think>hm</think><tool_call>{"name": "f"}</tool_call>', ["f"], ""),
    ],
)
def test_blocks_in_a_text_are_calls(text: str, named: list[str], besides: str | None) -> None:
    said, calls = read(text)
    assert [call.name for call in calls] == named
    assert said == (text if besides is None else besides)
    assert all(call.problem is None for call in calls)


def test_what_cannot_be_read_is_told() -> None:
    for text, why in (
        ("<tool_call>ls -l</tool_call>", "no JSON"),
        ("<tool_call>[1]</tool_call>", "no JSON object"),
        ('<tool_call>{"arguments": {}}</tool_call>', "without a `name`"),
        (block("f", '"not json"'), "no JSON"),
    ):
        _, [call] = read(text)
        assert why in (call.problem or "")
    _, [call] = read('<tool_call>{"name": "f", "argu', finish_reason="length")
    assert "cut off" in (call.problem or "")
    _, [call] = read('<tool_call>{"name": "f", "arguments": {"text": "two\nlines"}}')
    assert call.arguments == {"text": "two\nlines"}  # as models write them


@given(st.text(alphabet=st.sampled_from('<tool_call>/{}":`\n ab,[]\\')) | st.text())
def test_any_text_is_read(text: str) -> None:
    said, calls = read(text)
    assert isinstance(said, str) and len({call.id for call in calls}) == len(calls)


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.booleans()), max_size=3
    )
)
def test_calls_come_out_as_they_were_written(several: list[dict[str, Any]]) -> None:
    written = [json.dumps({"name": "f", "arguments": given}) for given in several]
    assume(not any("tool_call>" in text for text in written))
    blocks = [f"<tool_call>\n{text}\n</tool_call>" for text in written]
    _, calls = read("\n".join(["before", *blocks, "after"]))
    assert [dict(call.arguments) for call in calls] == several


def refusing(status: int, message: str) -> Any:
    """An endpoint that takes no tools."""

    def script(request: ModelRequest) -> Any:
        if "tools" in request.body:
            return ModelResponse(status, {"error": {"message": message}})
        turns = sum(message["role"] == "assistant" for message in request.body["messages"])
        return "done" if turns else block("bash", '{"command": "touch made"}')

    return script


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'),
        (400, "registry/library/model does not support tools"),
        (404, "No endpoints found that support tool use"),
        (500, "tools param requires --jinja flag"),
        (422, "Function calling is not enabled for this model"),
    ],
)
async def test_auto_goes_on_in_text_where_tools_are_refused(
    one: Sandbox, status: int, message: str
) -> None:
    ran = await solve(refusing(status, message), one)
    assert ran.solution.response == "done" and ran.solution.error is None
    assert ran.solution.details["tool_protocol"] == "text"
    assert await one.download("made") == b""


async def test_other_refusals_are_what_they_are(one: Sandbox) -> None:
    ran = await solve(refusing(400, "temperature is out of range"), one)
    assert ran.solution.error is not None
    ran = await solve(refusing(400, "no tools here"), one, tool_protocol="native")
    assert ran.solution.error is not None and len(ran.requests) == 1
    with pytest.raises(InfraError):
        await solve(refusing(503, "busy"), one)
    # After an answer a refusal is no matter of the protocol any more.
    later = [bash("true"), ModelResponse(400, {"error": {"message": "no such tool call id"}})]
    ran = await solve(later, one)
    assert ran.solution.error is not None and ran.solution.details["tool_protocol"] == "native"
