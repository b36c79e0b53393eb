"""The traffic log by session and by rollout, as `nel traffic` shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator import evaluate
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.reports.traffic import conversation_lines, session_lines
from nemo_evaluator.results.traffic import (
    conversations,
    session_conversations,
    sessions,
    traffic_files,
)
from nemo_evaluator.types import RolloutKey


@pytest.fixture(scope="module", params=["summary", "full"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traffic") / "run"
    service = {"type": "simulated", "proxy": {"model_traffic": {"level": request.param}}}
    entries = [{"name": "sample", "max_problems": 3, "repeats": 2}]
    output = {"dir": str(folder), "report": []}
    evaluate({"services": {"model": service}, "benchmarks": entries, "output": output})
    return folder


def test_every_rollout_is_a_session(run: Path) -> None:
    [log] = traffic_files(run)
    assert traffic_files(run, "sample") == [log] == traffic_files(log)
    found = sessions(log)
    assert len(found) == 6 and all(one.is_rollout and one.calls == 1 for one in found)
    lines = list(session_lines(found, 2))
    assert lines[0].startswith("6 sessions, 6 calls, 0 failed") and "(4 more)" in lines[-1]
    assert f"{found[0].problem_idx}/{found[0].repeat}" == found[0].name


def test_a_conversation_shows_the_texts_wherever_they_stand(run: Path) -> None:
    [log] = traffic_files(run)
    key = RolloutKey(sessions(log)[0].problem_idx, 0)
    [talk] = conversations(log, key)
    text = "\n".join(conversation_lines(talk))
    assert talk.title == f"sample {key}" and "── call 1: " in text and "assistant:" in text
    assert (talk.result is not None) == ("texts from results.jsonl" in text)
    assert conversations(log, RolloutKey(99, 0)) == []


def call(**fields: Any) -> str:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return json.dumps({"problem_idx": -1, "usage": usage, "latency_ms": 4.0, **fields}) + "\n"


def test_sessions_of_a_proxy_have_the_names_of_its_clients(tmp_path: Path) -> None:
    tools = [{"id": "c1", "name": "add", "arguments": "{}"}]
    message = {"role": "user", "content": [{"text": "hi"}, {"type": "image_url"}]}
    assistant = {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}, 3]}
    log = tmp_path / "model_traffic.jsonl"
    log.write_text(
        call(session_id="a", cost_usd=0.5, tool_calls_full=tools, source="cache", tries=2)
        + call(session_id="a", cost_usd=0.25, request_messages=[message, assistant, "odd"])
        + call(session_id="a", reasoning_content="hm", message_content="yes")
        + call(error_type="timeout", error_message="too late", status_code=504)
        + call(request_messages=[{"type": "function_call_output", "output": 4}])
        + '{"problem_idx": -1, "latency_ms": '
    )
    first, other = sessions(log)
    assert (first.name, first.calls, first.tokens, first.cost_usd) == ("a", 3, 15, 0.75)
    assert (other.name, other.errors) == ("(no session)", 1)
    assert next(session_lines([first, other], 9)).startswith("2 sessions, 5 calls, 1 failed")
    [talk] = session_conversations(log, "a")
    text = "\n".join(conversation_lines(talk))
    assert talk.title == "session a" and "add({})" in text and "[image_url]" in text
    assert "from cache, 2 tries" in text and "reasoning:" in text and "0.7500 USD" in text
    [talk] = session_conversations(log, "")
    text = "\n".join(conversation_lines(talk))
    assert talk.title == "calls without a session" and "timeout (HTTP 504): too late" in text
    assert "function_call_output:" in text


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model_traffic\.jsonl"):
        traffic_files(tmp_path)
