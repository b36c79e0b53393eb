"""Tool calls in the text itself, for models and servers that know no tool calls.

The model writes, as often as it likes in one reply::

    <tool_call>
    {"name": "bash", "arguments": {"command": "ls"}}
    </tool_call>

and reads, in the next message of the user, ``<tool_response id="..." name="...">`` blocks in the
same order. A code fence marked ``tool_call`` is read as such a block too; a block that is not
closed ends with the reply. The reader never raises: what it cannot read is a call with a problem.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ...types import Generation, Json, Message
from .contract import Tool, ToolResult
from .protocols import Ids, arguments_of, pictured
from .toolbox import Call

BLOCK = re.compile(
    r"<tool_call>(?P<tag>.*?)(?:</tool_call>|(?=<tool_call>)|\Z)"
    r"|^```[ \t]*tool_call[^\n]*\n(?P<fence>.*?)(?:^```[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
FENCE = re.compile(r"\A\s*```\w*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
INTRODUCTION = """\
You have tools. To call one, write a block of this form, with the name of the tool and a JSON object
of its arguments:

<tool_call>
{"name": "NAME", "arguments": {}}
</tool_call>

You may write several blocks in one reply. Then end your reply: the results are in the next message,
each in a <tool_response> block. A reply without such a block is your final answer.

The tools, each with the JSON schema of its arguments:
"""


class Textual:
    """Calls in the text."""

    name = "text"

    def params(self, tools: Sequence[Tool], *, parallel: bool) -> dict[str, Json]:
        """See `ToolProtocol.params`."""
        return {}

    def system(self, system: str | None, tools: Sequence[Tool]) -> str | None:
        """See `ToolProtocol.system`."""
        lines = [INTRODUCTION, *(_line(tool) for tool in tools)]
        return "\n".join(lines if system is None else [system, "", *lines])

    def read(self, generation: Generation, ids: Ids) -> tuple[str, list[Call]]:
        """See `ToolProtocol.read`."""
        text = THOUGHT.sub("", generation.text)  # what is only thought of is not called
        calls = [
            _call(match["tag"] if match["tag"] is not None else match["fence"], ids, generation)
            for match in BLOCK.finditer(text)
        ]
        return BLOCK.sub("", text).strip() if calls else generation.text, calls

    def said(self, generation: Generation, calls: Sequence[Call]) -> Message:
        """See `ToolProtocol.said`."""
        return {"role": "assistant", "content": generation.text}

    def told(self, calls: Sequence[Call], results: Sequence[ToolResult]) -> list[Message]:
        """See `ToolProtocol.told`."""
        blocks = [
            f'<tool_response id="{call.id}" name="{call.name}">\n{result.text}\n</tool_response>'
            for call, result in zip(calls, results, strict=True)
        ]
        text: Message = {"role": "user", "content": "\n".join(blocks)}
        images = pictured(calls, results)
        if images:  # one message: some templates want the roles to alternate
            return [
                {**text, "content": [{"type": "text", "text": text["content"]}, *_parts(images)]}
            ]
        return [text]


def _parts(messages: Sequence[Message]) -> list[Json]:
    return [part for message in messages for part in message["content"]]


def _line(tool: Tool) -> str:
    schema = msgspec.json.encode(tool.parameters).decode()
    return f"- {tool.name}: {tool.description}\n  {schema}"


def _call(block: str, ids: Ids, generation: Generation) -> Call:
    """The call that a block is."""
    inner = FENCE.match(block)
    fields, problem = arguments_of(inner[1] if inner else block, cut_off=generation.truncated)
    if problem is not None:
        return Call(id=ids.of(), name="", problem=f"a <tool_call> block cannot be read: {problem}")
    name = fields.get("name")
    if not isinstance(name, str) or not name:
        return Call(id=ids.of(), name="", problem="a <tool_call> block without a `name`")
    arguments, problem = arguments_of(fields.get("arguments", fields.get("parameters")))
    return Call(id=ids.of(fields.get("id")), name=name, arguments=arguments, problem=problem)
