"""The traffic log: its rows, its bounds, and that it never fails a call."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from steps import knowing

from nemo_evaluator.config.proxy import ModelTrafficCaptureConfig
from nemo_evaluator.errors import ModelError
from nemo_evaluator.traffic.log import TrafficLog
from nemo_evaluator.traffic.pipeline import Pipeline
from nemo_evaluator.traffic.types import CallContext, ModelRequest, ModelResponse, Place

ANSWER = {
    "model": "mm",
    "choices": [
        {
            "finish_reason": "stop",
            "message": {
                "content": "x" * 25,
                "reasoning_content": "r",
                "tool_calls": [
                    {
                        "id": "t",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a": 1}'},
                    }
                ],
            },
        }
    ],
    "usage": {"input_tokens": 4, "output_tokens": 6, "input_tokens_details": {"cached_tokens": 1}},
}
REQUEST = {"model": "mm", "messages": [{"role": "user", "content": "hello"}]}


class Logged:
    """A pipeline that ends in a traffic log."""

    def __init__(self, path: Path, **options: Any) -> None:
        config = ModelTrafficCaptureConfig.model_validate(options)
        self.path, self.log = path, TrafficLog(config)
        self.log.keep("b", path)
        self.answer: Any = ANSWER
        self.pipeline = Pipeline([("log", self.log)], self._terminal)
        scrub = knowing("secret-key-123")
        self.pipeline.open(Place("store", "m", "peer", "chat_completions", scrub=scrub))

    async def _terminal(self, request: ModelRequest) -> ModelResponse:
        if isinstance(self.answer, Exception):
            raise self.answer
        return ModelResponse(200, self.answer, latency_ms=12.5)

    async def ask(self, body: Any = None, session: str = "ab12", attempt: int = 1) -> None:
        context = CallContext(session, benchmark="b", problem_idx=3, repeat=1, attempt=attempt)
        body = dict(body or REQUEST)
        await self.pipeline(ModelRequest("chat_completions", body, context=context))

    async def rows(self) -> list[dict[str, Any]]:
        await self.pipeline.close()
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]


async def test_a_row_as_other_tools_read_it(tmp_path: Path) -> None:
    """A worked example of the format."""
    logged = Logged(tmp_path / "t.jsonl", capture_request_body=True, max_content_chars=20)
    await logged.ask()
    [row] = await logged.rows()
    number = row["adapter_request_id"]
    assert row["model_traffic_request_id"] == f"ab12:{number}"
    assert row["timestamp"].endswith("Z") and "T" in row["timestamp"]
    expected = {
        "benchmark": "b",
        "problem_idx": 3,
        "repeat": 1,
        "session_id": "ab12",
        "service": "store",
        "method": "POST",
        "path": "/chat/completions",
        "status_code": 200,
        "latency_ms": 12.5,
        "model": "mm",
        "finish_reason": "stop",
        "usage": {
            "prompt_tokens": 4,
            "completion_tokens": 6,
            "total_tokens": 10,
            "cached_tokens": 1,
        },
        "tool_calls": {"count": 1, "names": {"f": 1}},
        "token_provenance": "provider_reported",
        "request_hash": "60bd31987997e1d8",
        "tool_calls_full": [{"id": "t", "name": "f", "arguments": '{"a": 1}'}],
        "reasoning_content": "r",
        "message_content": f"{'x' * 20}...[truncated, 5 chars dropped]",
    }
    assert {name: row[name] for name in expected} == expected


async def test_failures_are_rows_too(tmp_path: Path) -> None:
    logged = Logged(tmp_path / "t.jsonl")
    upstream = ModelResponse(400, {"error": {"message": "too long, secret-key-123"}})
    logged.answer = ModelError("HTTP 400: secret-key-123", status=400, upstream=upstream)
    with pytest.raises(ModelError):
        await logged.ask()
    [row] = await logged.rows()
    assert row["usage"] == {} and row["tool_calls"] == {"count": 0, "names": {}}
    assert row["status_code"] == 400 and row["error_type"] == "bad_request"
    assert row["error_message"] == "HTTP 400: **********"
    assert row["error_body"] == "too long, **********"
    assert "token_provenance" not in row


async def test_summaries_hold_no_texts(tmp_path: Path) -> None:
    logged = Logged(tmp_path / "t.jsonl")
    await logged.ask()
    [row] = await logged.rows()
    assert "xxxx" not in json.dumps(row) and "hello" not in json.dumps(row)


async def test_a_growing_conversation_is_written_once(tmp_path: Path) -> None:
    logged = Logged(tmp_path / "t.jsonl", level="full")
    messages: list[dict[str, str]] = []
    for number in range(5):
        messages = [*messages, {"role": "user", "content": f"turn {number} secret-key-123"}]
        await logged.ask({"messages": messages})
    await logged.ask({"messages": [{"role": "user", "content": "compacted"}, *messages[3:]]})
    await logged.ask({"messages": messages}, attempt=2)
    rows = await logged.rows()
    assert [row["request_messages_from"] for row in rows] == [0, 1, 2, 3, 4, 0, 0]
    assert [len(row["request_messages"]) for row in rows] == [1, 1, 1, 1, 1, 3, 5]
    assert "secret-key" not in logged.path.read_text()


async def test_what_is_kept_can_be_chosen(tmp_path: Path) -> None:
    logged = Logged(
        tmp_path / "t.jsonl",
        level="full",
        capture_messages=False,
        capture_reasoning=False,
        capture_tool_calls=False,
    )
    await logged.ask()
    [row] = await logged.rows()
    absent = {"request_messages", "message_content", "reasoning_content", "tool_calls_full"}
    assert not absent & set(row)


async def test_the_file_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logged = Logged(tmp_path / "t.jsonl", level="full", max_mb=1)
    big = {"messages": [{"role": "user", "content": "y" * 200_000}]}
    for number in range(10):
        await logged.ask(big, session=f"s{number}")
    rows = await logged.rows()
    assert len(rows) == 10
    assert 5 <= sum("request_messages" in row for row in rows) <= 6
    for _ in range(6000):
        await logged.ask(session="s")
    await logged.pipeline.close()
    assert logged.path.stat().st_size < 2 * 2**20 + 2**18
    assert "no more traffic is logged: has reached its limit of 2 MB" in caplog.text


async def test_a_full_disk_ends_the_log_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    logged = Logged(tmp_path / "missing" / "t.jsonl")
    await logged.ask()
    await logged.pipeline.close()
    await logged.ask()
    assert await logged.rows() == []
    assert "no more traffic is logged: No such file or directory" in caplog.text


def test_options_say_what_the_log_keeps() -> None:
    def kept(**options: Any) -> str:
        return ModelTrafficCaptureConfig.model_validate(options).kept

    assert kept() == "summary"
    assert kept(capture_request_body=True) == "full"
    assert kept(level=False) == kept(level="off") == "off"
    assert kept(level="summary", capture_request_body=True) == "summary"
