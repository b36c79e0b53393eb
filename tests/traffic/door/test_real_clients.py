"""Other people's clients through the proxy: whole and streamed, with tools and with images.

The upstream is the simulated model behind HTTP, which speaks chat completions, completions and
responses, and calls a tool wherever one is offered.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nemo_evaluator.config.services import ApiService, SimulatedService
from nemo_evaluator.services.simulated.model import SimulatedModel
from nemo_evaluator.services.simulated.server import serving
from nemo_evaluator.traffic.door.server import ProxyServer
from nemo_evaluator.traffic.open import open_http_model

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8A"
    "AQUBAScY42YAAAAASUVORK5CYII="
)
QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]
SEEN = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is in this image?"},
            {"type": "image_url", "image_url": {"url": PIXEL}},
        ],
    }
]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "strict": True,
        "parameters": SCHEMA,
    },
}
FORCED = {"type": "function", "function": {"name": "weather"}}
EVERYTHING = [
    {"name": "turn_counter", "config": {"max_turns": 1000}},
    {"name": "drop_params", "config": {"params": ["seed"]}},
    {"name": "system_message", "config": {"system_message": "Be brief."}},
    {"name": "consolidate_system"},
    {"name": "reasoning"},
    {"name": "reasoning_replay"},
    {"name": "response_stats"},
    {"name": "log_tokens"},
]


@pytest.fixture(params=["empty", "everything"])
async def proxy(request: pytest.FixtureRequest) -> AsyncIterator[ProxyServer]:
    steps = EVERYTHING if request.param == "everything" else []
    upstream = SimulatedService(reasoning=True, tool_call_rate=1.0)
    async with serving(SimulatedModel(upstream)) as url:
        service = ApiService.model_validate(
            {
                "url": url,
                "protocol": "chat_completions",
                "model": "simulated",
                "proxy": {"interceptors": steps},
            }
        )
        model = open_http_model("m", service, max_concurrent=8)
        server = ProxyServer(model)
        await server.start()
        yield server
        await server.stop()
        await model.close()


@pytest.fixture
async def openai(proxy: ProxyServer) -> AsyncIterator[Any]:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=f"{proxy.url}/s/t-1/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
async def anthropic(proxy: ProxyServer) -> AsyncIterator[Any]:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(base_url=f"{proxy.url}/s/t-2", api_key="k", max_retries=0) as client:
        yield client


async def test_openai_chat(openai: Any) -> None:
    whole = await openai.chat.completions.create(model="simulated", messages=QUESTION)
    text = whole.choices[0].message.content
    assert text and whole.usage.completion_tokens > 0
    stream = await openai.chat.completions.create(model="simulated", messages=QUESTION, stream=True)
    pieces = [chunk async for chunk in stream]
    streamed = "".join(c.choices[0].delta.content or "" for c in pieces if c.choices)
    assert streamed == text
    assert len(pieces) > 5 and pieces[-1].usage.completion_tokens > 0


async def test_openai_tools_and_images(openai: Any) -> None:
    whole = await openai.chat.completions.create(
        model="simulated", messages=SEEN, tools=[TOOL], tool_choice=FORCED
    )
    [call] = whole.choices[0].message.tool_calls
    assert call.function.name == "weather" and json.loads(call.function.arguments)
    async with openai.chat.completions.stream(
        model="simulated", messages=SEEN, tools=[TOOL], tool_choice=FORCED
    ) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.arguments == call.function.arguments
    follow_up = [
        *SEEN,
        whole.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    answer = await openai.chat.completions.create(model="simulated", messages=follow_up)
    assert answer.choices[0].message.content


async def test_openai_responses(openai: Any) -> None:
    whole = await openai.responses.create(model="simulated", input="What is 2 + 2?")
    assert whole.output_text and whole.usage.output_tokens > 0
    async with openai.responses.stream(model="simulated", input="What is 2 + 2?") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert "response.completed" in kinds and final.output_text == whole.output_text


async def test_openai_completions_models_and_errors(openai: Any) -> None:
    from openai import BadRequestError, NotFoundError

    whole = await openai.completions.create(model="simulated", prompt="What is 2 + 2?")
    assert whole.choices[0].text
    assert [model.id async for model in openai.models.list()] == ["simulated"]
    with pytest.raises(NotFoundError):
        await openai.models.retrieve("other")
    with pytest.raises(BadRequestError, match="gives one answer per request"):
        await openai.chat.completions.create(model="simulated", messages=QUESTION, n=2)


@pytest.mark.parametrize("path", ["", "/s/t-3"])
async def test_azure_clients(proxy: ProxyServer, path: str) -> None:
    from openai import AsyncAzureOpenAI

    before = proxy._model.ledger.total.calls
    async with AsyncAzureOpenAI(
        azure_endpoint=proxy.url + path, api_key="k", api_version="2025-01-01", max_retries=0
    ) as client:
        whole = await client.chat.completions.create(model="simulated", messages=QUESTION)
        text = whole.choices[0].message.content
        stream = await client.chat.completions.create(
            model="simulated", messages=QUESTION, stream=True
        )
        pieces = [chunk async for chunk in stream]
    assert text
    assert "".join(c.choices[0].delta.content or "" for c in pieces if c.choices) == text
    assert proxy._model.ledger.total.calls == before + 2


async def test_anthropic_messages(anthropic: Any) -> None:
    asked: dict[str, Any] = {"model": "simulated", "max_tokens": 4000, "messages": QUESTION}
    whole = await anthropic.messages.create(**asked)
    text = "".join(block.text for block in whole.content if block.type == "text")
    assert text and whole.stop_reason == "end_turn" and whole.usage.output_tokens > 0
    assert any(block.type == "thinking" for block in whole.content)
    async with anthropic.messages.stream(**asked) as stream:
        assert "".join([piece async for piece in stream.text_stream]) == text
        final = await stream.get_final_message()
    assert final.usage.output_tokens == whole.usage.output_tokens
    counted = await anthropic.messages.count_tokens(model="simulated", messages=QUESTION)
    assert counted.input_tokens > 0


async def test_anthropic_tools_and_images(anthropic: Any) -> None:
    image = {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}
    messages: list[Any] = [
        {
            "role": "user",
            "content": [{"type": "image", "source": image}, {"type": "text", "text": "Weather?"}],
        }
    ]
    tool = {"name": "weather", "description": "The weather.", "input_schema": SCHEMA}
    asked: dict[str, Any] = {
        "model": "simulated",
        "max_tokens": 4000,
        "tools": [tool],
        "tool_choice": {"type": "tool", "name": "weather"},
    }
    whole = await anthropic.messages.create(messages=messages, **asked)
    [call] = [block for block in whole.content if block.type == "tool_use"]
    assert whole.stop_reason == "tool_use" and call.name == "weather" and call.input
    async with anthropic.messages.stream(messages=messages, **asked) as stream:
        final = await stream.get_final_message()
    assert [block.input for block in final.content if block.type == "tool_use"] == [call.input]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    messages += [
        {"role": "assistant", "content": [block.model_dump() for block in whole.content]},
        {"role": "user", "content": [result]},
    ]
    answer = await anthropic.messages.create(model="simulated", max_tokens=4000, messages=messages)
    assert answer.stop_reason == "end_turn"


async def test_anthropic_errors(anthropic: Any) -> None:
    from anthropic import BadRequestError

    with pytest.raises(BadRequestError, match="messages") as caught:
        await anthropic.messages.create(model="simulated", max_tokens=5, messages=[])
    assert caught.value.body["error"]["type"] == "invalid_request_error"


async def test_litellm_speaks_to_the_door(
    proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litellm

        litellm.suppress_debug_info = True
        to: dict[str, Any] = {
            "model": "openai/simulated",
            "api_base": f"{proxy.url}/v1",
            "api_key": "k",
            "max_retries": 0,
        }
        whole = await litellm.acompletion(messages=QUESTION, **to)
        text = whole.choices[0].message.content
        assert text and whole.usage.completion_tokens > 0
        stream = await litellm.acompletion(messages=QUESTION, stream=True, **to)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(pieces) == text
        called = await litellm.acompletion(messages=SEEN, tools=[TOOL], tool_choice=FORCED, **to)
        assert called.choices[0].message.tool_calls[0].function.name == "weather"
        through_anthropic = await litellm.acompletion(
            model="anthropic/simulated",
            api_base=proxy.url,
            api_key="k",
            max_tokens=4000,
            messages=QUESTION,
        )
        assert through_anthropic.choices[0].message.content == text
        await litellm.close_litellm_async_clients()


async def test_langchain_speaks_to_the_door(proxy: ProxyServer) -> None:
    from langchain_core.messages import HumanMessage
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="simulated", base_url=f"{proxy.url}/v1", api_key="k", max_retries=0)
    question = [HumanMessage("What is 2 + 2?")]
    whole = await model.ainvoke(question)
    pieces = [chunk async for chunk in model.astream(question)]
    assert whole.content and "".join(str(piece.content) for piece in pieces) == whole.content
    seen = [HumanMessage(content=SEEN[0]["content"])]
    bound = model.bind_tools([TOOL], tool_choice="weather")
    called = await bound.ainvoke(seen)
    assert called.tool_calls[0]["name"] == "weather"


async def test_curl_speaks_to_the_door(proxy: ProxyServer) -> None:
    async def curl(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "-N", *arguments, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode()

    body = {"messages": QUESTION}
    whole = await curl(f"{proxy.url}/v1/chat/completions", "--json", json.dumps(body))
    assert json.loads(whole)["choices"][0]["message"]["content"]
    body["stream"] = True  # type: ignore[assignment]
    streamed = await curl(f"{proxy.url}/v1/chat/completions", "--json", json.dumps(body))
    assert streamed.startswith("data: {") and streamed.endswith("data: [DONE]\n\n")
    assert json.loads(await curl(f"{proxy.url}/healthz")) == {"status": "ok"}
