"""What a server sends for an answer, in the forms that servers really use, through the client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from loopback import Loopback, Manner, Reply, Script, answer, chat_body, json_reply, sse

from nemo_evaluator.engine.accounts import of_session
from nemo_evaluator.errors import BudgetExceeded, InfraError, ModelError
from nemo_evaluator.solvers.simple import to_solution
from nemo_evaluator.traffic import answers
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.types import CallContext, ModelRequest
from nemo_evaluator.types import Failure, Generation

Open = Callable[..., ModelClient]
TEXT = "The answer is 42"
USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
MARK = "\ufeff".encode()


async def ask(model: ModelClient, **more: Any) -> Generation:
    return await model.generate(prompt="q", context=CallContext(session="b/0/0"), **more)


def choice(**fields: Any) -> Script:
    return lambda call: json_reply({"choices": [{"index": 0, **fields}], "usage": USAGE})


def chunk(**fields: Any) -> bytes:
    return sse({"choices": [{"index": 0, **fields}]})


def events(
    *pieces: bytes, kind: str = "text/event-stream", manner: Manner = Manner.CHUNKS
) -> Script:
    return lambda call: Reply(manner=Manner.CHUNKS, pieces=list(pieces), content_type=kind)


STREAM = (
    chunk(delta={"content": "The answer "}),
    chunk(delta={"content": "is 42"}),
    chunk(delta={}, finish_reason="stop"),
    sse({"choices": [], "usage": USAGE}),
    b"data: [DONE]\n\n",
)


# -- why it stopped -------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "reason", ["network_error", "insufficient_system_resource", "abort", "ERROR", "cancelled"]
)
async def test_a_failed_generation_is_asked_again(
    loopback: Loopback, open_model: Open, reason: str, stream: bool
) -> None:
    failed = choice(message={"content": "The"}, finish_reason=reason)
    if stream:
        failed = events(STREAM[0], chunk(delta={}, finish_reason=reason), STREAM[-1])
    loopback.script(failed, answer)
    model = open_model(loopback.url, stream=stream)
    generation = await ask(model)
    assert generation.text.startswith("The answer is ")
    assert generation.tries == 2
    assert model.stats().failed_tries == {Failure.SERVER_ERROR: 1}


async def test_what_a_failed_generation_used_is_accounted(
    loopback: Loopback, open_model: Open
) -> None:
    """It was paid for, though nobody got an answer: in the ledger, for budgets, by session."""
    failed = choice(message={"content": "The"}, finish_reason="abort")
    loopback.script(failed, choice(message={"content": {}}), choice(message={"content": TEXT}))
    limit = {"name": "budget", "config": {"session": {"tokens": 21}}}
    price = {"prompt": 1_000_000, "completion": 0}
    model = open_model(loopback.url, price=price, proxy={"interceptors": [limit]})
    generation = await ask(model)
    assert (generation.usage.total_tokens, generation.tries) == (7, 3)
    used = model.ledger.session(CallContext(session="b/0/0"))
    assert (used.total_tokens, used.cost_usd, used.answers, used.calls) == (21, 9.0, 1, 1)
    with pytest.raises(BudgetExceeded, match="21 of 21 tokens"):
        await ask(model)
    loopback.script(failed)
    other = open_model(loopback.url, proxy={"max_retries": 1})
    with pytest.raises(InfraError):
        await ask(other)
    used = other.ledger.session(CallContext(session="b/0/0"))
    assert (used.total_tokens, used.answers) == (14, 0)
    assert of_session(used).usage.total_tokens == 14


async def test_a_generation_that_always_fails_is_no_answer(
    loopback: Loopback, open_model: Open
) -> None:
    loopback.script(choice(message={"content": "The"}, finish_reason="network_error"))
    with pytest.raises(InfraError, match="finish_reason 'network_error'"):
        await ask(open_model(loopback.url, proxy={"max_retries": 1}))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS", "model_length", "max_output_tokens"])
async def test_a_cut_off_answer_is_known_by_any_name(
    loopback: Loopback, open_model: Open, reason: str, stream: bool
) -> None:
    cut = choice(message={"content": "The answer"}, finish_reason=reason)
    if stream:
        cut = events(STREAM[0], chunk(delta={}, finish_reason=reason), STREAM[-1])
    loopback.script(cut)
    generation = await ask(open_model(loopback.url, stream=stream))
    assert (generation.truncated, generation.finish_reason) == (True, "length")
    assert to_solution(generation).truncated


async def test_an_unknown_reason_is_a_stop_and_is_named_once(
    loopback: Loopback, open_model: Open, caplog: pytest.LogCaptureFixture
) -> None:
    loopback.script(choice(message={"content": TEXT}, finish_reason="because"))
    model = open_model(loopback.url)
    with caplog.at_level(logging.WARNING):
        found = [await ask(model) for _ in range(3)]
    assert {(one.text, one.finish_reason, one.truncated) for one in found} == {
        (TEXT, "because", False)
    }
    assert [record.getMessage() for record in caplog.records] == [
        "unknown finish reason 'because': counted as a normal stop, not as cut off"
    ]


@pytest.mark.parametrize("protocol", ["chat_completions", "completions"])
async def test_an_answer_filtered_to_nothing_is_the_models(
    loopback: Loopback, open_model: Open, protocol: str
) -> None:
    loopback.script(choice(finish_reason="content_filter"))
    model = open_model(loopback.url, protocol=protocol)
    solution = to_solution(await ask(model))
    assert (solution.response, solution.usage.completion_tokens) == ("", 4)
    assert solution.filtered_out
    assert len(loopback.calls) == 1


async def test_reasoning_before_a_filter_is_not_the_answer(
    loopback: Loopback, open_model: Open
) -> None:
    message = {"content": None, "reasoning_content": "I could say 42"}
    loopback.script(choice(message=message, finish_reason="content_filter"))
    solution = to_solution(await ask(open_model(loopback.url)))
    assert (solution.response, solution.filtered_out) == ("", True)


async def test_what_a_filter_left_of_an_answer_is_scored(
    loopback: Loopback, open_model: Open
) -> None:
    loopback.script(choice(message={"content": "The answer"}, finish_reason="SAFETY"))
    solution = to_solution(await ask(open_model(loopback.url)))
    assert (solution.response, solution.filtered_out) == ("The answer", False)
    assert solution.finish_reason == "content_filter"


# -- where the text is ----------------------------------------------------------------------------


UNKNOWN: dict[str, dict[str, Any]] = {
    "object": {"message": {"content": {"text": TEXT}}},
    "number": {"message": {"content": 42}},
    "boolean": {"message": {"content": True}},
    "list of numbers": {"message": {"content": [42]}},
    "part without text": {"message": {"content": [{"type": "text", "value": TEXT}]}},
    "object in a part": {"message": {"content": [{"type": "text", "text": {"value": TEXT}}]}},
    "text in the message": {"message": {"role": "assistant", "text": TEXT}},
    "text beside null": {"message": {"content": None, "output_text": TEXT}},
    "text of completions": {"text": TEXT},
    "message is a text": {"message": TEXT},
    "a delta": {"delta": {"content": TEXT}},
}


@pytest.mark.parametrize("fields", UNKNOWN.values(), ids=UNKNOWN)
async def test_a_content_of_unknown_form_is_no_answer(
    loopback: Loopback, open_model: Open, fields: dict[str, Any]
) -> None:
    loopback.script(choice(**fields, finish_reason="stop"))
    with pytest.raises(InfraError) as caught:
        await ask(open_model(loopback.url, proxy={"max_retries": 1}))
    assert caught.value.info.kind is Failure.INVALID_RESPONSE
    assert len(loopback.calls) == 2


@pytest.mark.parametrize(
    "piece",
    [
        {"message": {"content": TEXT}},
        {"text": TEXT},
        {"delta": TEXT},
        {"delta": {"content": 42}},
        {"delta": {"content": {"text": TEXT}}},
        {"delta": {"text": TEXT}},
    ],
)
async def test_a_stream_of_unknown_form_is_no_answer(
    loopback: Loopback, open_model: Open, piece: dict[str, Any]
) -> None:
    loopback.script(events(chunk(**piece), chunk(delta={}, finish_reason="stop"), STREAM[-1]))
    with pytest.raises(InfraError) as caught:
        await ask(open_model(loopback.url, stream=True, proxy={"max_retries": 1}))
    assert caught.value.info.kind is Failure.INVALID_RESPONSE


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"text": 42}]},
        {"choices": [{"text": {"a": 1}}]},
        {"choices": [{"message": {"content": TEXT}}]},
    ],
)
async def test_a_completion_of_unknown_form_is_no_answer(
    loopback: Loopback, open_model: Open, body: dict[str, Any]
) -> None:
    loopback.script(lambda call: json_reply(body))
    with pytest.raises(InfraError):
        await ask(open_model(loopback.url, protocol="completions", proxy={"max_retries": 0}))


@pytest.mark.parametrize("content", ["text", [{"type": "output_text", "text": 42}], [7]])
async def test_a_response_of_unknown_form_is_no_answer(
    loopback: Loopback, open_model: Open, content: Any
) -> None:
    item = {"type": "message", "content": content}
    loopback.script(lambda call: json_reply({"status": "completed", "output": [item]}))
    with pytest.raises(InfraError):
        await ask(open_model(loopback.url, protocol="responses", proxy={"max_retries": 0}))


@pytest.mark.parametrize("stream", [False, True])
async def test_reasoning_among_the_parts_is_reasoning(
    loopback: Loopback, open_model: Open, stream: bool
) -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Well. "}]},
        {"type": "text", "text": TEXT},
    ]
    said = choice(message={"content": parts}, finish_reason="stop")
    if stream:
        said = events(chunk(delta={"content": parts}), *STREAM[2:])
    loopback.script(said)
    generation = await ask(open_model(loopback.url, stream=stream))
    assert (generation.text, generation.reasoning) == (TEXT, "Well. ")


async def test_a_refusal_among_the_parts_is_the_answer(
    loopback: Loopback, open_model: Open
) -> None:
    parts = [{"type": "refusal", "refusal": "I will not"}]
    loopback.script(choice(message={"content": parts}, finish_reason="stop"))
    assert (await ask(open_model(loopback.url))).text == "I will not"


async def test_a_stream_that_closes_with_the_whole_message_is_read_once(
    loopback: Loopback, open_model: Open
) -> None:
    whole = chunk(message={"content": TEXT}, finish_reason="stop")
    loopback.script(events(*STREAM[:2], whole, STREAM[-1]))
    assert (await ask(open_model(loopback.url, stream=True))).text == TEXT
    loopback.script(events(STREAM[0], whole, STREAM[-1]), answer)
    assert (await ask(open_model(loopback.url, stream=True))).tries == 2


# -- how it comes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text/plain", "Text/Event-Stream; charset=utf-8", "", "x/y"])
async def test_a_stream_of_any_content_type_is_read(
    loopback: Loopback, open_model: Open, kind: str
) -> None:
    loopback.script(events(*STREAM, kind=kind))
    generation = await ask(open_model(loopback.url, stream=True))
    assert (generation.text, generation.tries) == (TEXT, 1)
    assert generation.ttft_ms is not None


@pytest.mark.parametrize("lead", [MARK, b"\r\n\r\n", b": ping\n\n", MARK + b"\n"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_a_stream_of_any_line_ends_is_read(
    loopback: Loopback, open_model: Open, lead: bytes, end: bytes
) -> None:
    data = (lead + b"".join(STREAM)).replace(b"\r\n", b"\n").replace(b"\n", end)
    loopback.script(
        events(*(data[at : at + 7] for at in range(0, len(data), 7)), kind="text/plain")
    )
    generation = await ask(open_model(loopback.url, stream=True))
    assert (generation.text, generation.tries) == (TEXT, 1)


@pytest.mark.parametrize("kind", ["text/event-stream", "text/plain", "application/json"])
async def test_an_unrequested_stream_is_read(
    loopback: Loopback, open_model: Open, kind: str
) -> None:
    loopback.script(events(*STREAM, kind=kind))
    generation = await ask(open_model(loopback.url))
    assert (generation.text, generation.tries) == (TEXT, 1)
    loopback.script(events(*STREAM[:2], kind=kind), answer)
    assert (await ask(open_model(loopback.url))).tries == 2


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json", "text/html"])
@pytest.mark.parametrize("lead", [b"", MARK, b"\n\n"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_whole_answer_is_read_whatever_was_asked_for(
    loopback: Loopback, open_model: Open, stream: bool, lead: bytes, kind: str
) -> None:
    data = lead + msgspec.json.encode(chat_body(TEXT))
    loopback.script(lambda call: Reply(data, content_type=kind))
    generation = await ask(open_model(loopback.url, stream=stream))
    assert (generation.text, generation.tries) == (TEXT, 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_in_the_old_form_of_vllm_is_the_models(
    loopback: Loopback, open_model: Open, stream: bool
) -> None:
    told = {"object": "error", "message": "maximum context length is 10", "code": 400}
    loopback.script(events(sse(told), STREAM[-1]) if stream else lambda call: json_reply(told))
    with pytest.raises(ModelError) as caught:
        await ask(open_model(loopback.url, stream=stream))
    assert caught.value.info.kind is Failure.CONTEXT_WINDOW
    assert len(loopback.calls) == 1


async def test_an_answer_is_not_lost_to_what_happens_after_its_end(
    loopback: Loopback, open_model: Open
) -> None:
    """A reset, or a silence, after every choice has ended."""
    data = b"".join(STREAM[:3])
    half = data + b":" + b" " * len(data)  # the loopback server sends half of it
    loopback.script(lambda call: Reply(half, manner=Manner.RESET, content_type="text/event-stream"))
    generation = await ask(open_model(loopback.url, stream=True))
    assert (generation.text, generation.tries) == (TEXT, 1)


async def test_a_connection_left_open_after_the_end_mark_delays_no_caller(
    open_model: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "GRACE_SECONDS", 0.05)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"".join(STREAM))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        model = open_model(f"http://127.0.0.1:{port}/v1", stream=True)
        async with asyncio.timeout(2):
            assert (await ask(model)).text == TEXT
        await model.close()


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"<html><h1>400 Bad Request</h1></html>"),
        (400, b""),
        (400, b"{}"),
        (422, b'{"error": {"mess'),
        (413, b"<html>Request Entity Too Large</html>"),
        *((status, b'{"error": {"message": "no"}}') for status in (407, 411, 421, 431)),
        (204, b""),
        (200, b""),
        (200, b'{"error": {"message": "The engine is dead"}}'),
    ],
)
async def test_responses_that_are_not_the_models_are_asked_again(
    loopback: Loopback, open_model: Open, status: int, data: bytes
) -> None:
    loopback.script(lambda call: Reply(data, status), answer)
    assert (await ask(open_model(loopback.url))).tries == 2
    loopback.script(lambda call: Reply(data, status))
    with pytest.raises(InfraError):
        await ask(open_model(loopback.url, proxy={"max_retries": 0}))


@pytest.mark.parametrize("status", [400, 413, 422, 451])
async def test_a_refusal_of_the_api_is_the_models(
    loopback: Loopback, open_model: Open, status: int
) -> None:
    loopback.script(lambda call: json_reply({"error": {"message": "no"}}, status))
    with pytest.raises(ModelError):
        await ask(open_model(loopback.url))
    assert len(loopback.calls) == 1


async def test_a_live_stream_fails_where_the_server_gives_up(
    loopback: Loopback, open_model: Open
) -> None:
    loopback.script(events(STREAM[0], chunk(delta={}, finish_reason="abort"), STREAM[-1]))
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
    model = open_model(loopback.url)
    request = ModelRequest("chat_completions", body, stream=True, live=True)
    response = await model.pipeline(request)
    assert response.chunks is not None
    with pytest.raises(InfraError, match="finish_reason 'abort'"):
        async for _ in response.chunks:
            pass
