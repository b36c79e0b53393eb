"""The token of a session: who has it is in the session, and who has none stays outside."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from asyncio import to_thread
from collections.abc import AsyncIterator

import pytest
from loopback import Loopback

from nemo_evaluator.config.scrubber import KNOWN
from nemo_evaluator.config.services import ApiService
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.http.listener import Listener
from nemo_evaluator.services.open import open_model
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.door.server import ProxyServer
from nemo_evaluator.traffic.door.sessions import Endpoint
from nemo_evaluator.traffic.types import CallContext

ONE, OTHER = CallContext(session="bench/0/0"), CallContext(session="bench/1/0")


@pytest.fixture
async def model(loopback: Loopback) -> AsyncIterator[ModelClient]:
    settings = {"url": loopback.url, "protocol": "chat_completions", "model": "m"}
    settings["api_key"] = "sk-real-key-of-the-endpoint"
    opened = open_model("m", ApiService.model_validate(settings), max_concurrent=4)
    yield opened
    await opened.close()


@pytest.fixture
async def door(model: ModelClient) -> AsyncIterator[ProxyServer]:
    server = ProxyServer(model, host="0.0.0.0", sessions_only=True)
    await server.start()
    server.url = server.url.replace("0.0.0.0", "127.0.0.1")
    yield server
    await server.stop()


def _ask(url: str, key: str | None) -> int:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(f"{url}/chat/completions", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


async def ask(url: str, key: str | None) -> int:
    return await to_thread(_ask, url, key)


async def test_beyond_loopback_a_door_needs_a_token(model: ModelClient) -> None:
    with pytest.raises(ConfigError, match="needs a token"):
        ProxyServer(model, host="0.0.0.0")


async def test_only_sessions_are_served(door: ProxyServer, loopback: Loopback) -> None:
    endpoint = door.endpoint(ONE)
    root = f"{door.url}/v1"
    for url in (root, endpoint.openai_url):
        for key in (None, "none", endpoint.token[:-1], "sk-real-key-of-the-endpoint"):
            assert await ask(url, key) == 401
    assert not loopback.calls
    assert await ask(endpoint.openai_url, endpoint.token) == 200
    # The upstream gets its own key, not the session's token.
    sent = loopback.calls[-1].headers
    assert sent["authorization"] == "Bearer sk-real-key-of-the-endpoint"
    assert endpoint.token not in str(sent)


async def test_the_token_says_which_session_it_is(
    door: ProxyServer, model: ModelClient, loopback: Loopback
) -> None:
    one, other = door.endpoint(ONE), door.endpoint(OTHER)
    assert one.token != other.token and door.endpoint(ONE).token == one.token
    # With the token of one in the path of the other: it is the one's all the same.
    for url in (one.openai_url, other.openai_url, f"{door.url}/v1"):
        assert await ask(url, one.token) == 200
    assert model.ledger.session(ONE).answers == 3
    assert model.ledger.session(OTHER).answers == 0


async def test_a_closed_session_is_over(door: ProxyServer, loopback: Loopback) -> None:
    one, other = door.endpoint(ONE), door.endpoint(OTHER)
    door.close_session(ONE)
    assert await ask(one.openai_url, one.token) == 401
    assert await ask(one.openai_url, other.token) == 200  # it is the other's
    assert len(loopback.calls) == 1


async def test_a_listener_of_a_sandbox(model: ModelClient, loopback: Loopback) -> None:
    made = socket.create_server(("127.0.0.1", 0))
    endpoint = await model.door(ONE, listener=Listener(made, *made.getsockname()))
    assert endpoint.openai_url == f"http://127.0.0.1:{made.getsockname()[1]}/v1"
    assert await ask(endpoint.openai_url, None) == 401
    # Naming the session is not enough there.
    assert await ask(f"{endpoint.anthropic_url}/s/bench%2F0%2F0%2F1/v1", "none") == 401
    assert await ask(endpoint.openai_url, endpoint.token) == 200
    assert model.ledger.session(ONE).answers == 1
    model.end_session(ONE)
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        await ask(endpoint.openai_url, endpoint.token)


async def test_tokens_stay_out_of_texts(door: ProxyServer) -> None:
    endpoint = door.endpoint(ONE)
    secret = endpoint.token.rsplit("-", 1)[0]
    assert secret not in KNOWN(f"the key is {endpoint.token}, it says")
    assert endpoint.token not in repr(endpoint)


def test_what_an_agent_finds_in_its_environment() -> None:
    endpoint = Endpoint(
        openai_url="http://h/v1", anthropic_url="http://h", token="nel-t", model="m"
    )
    env = endpoint.env()
    assert env["OPENAI_BASE_URL"] == env["OPENAI_API_BASE"] == "http://h/v1"
    assert env["OPENAI_API_KEY"] == env["ANTHROPIC_API_KEY"] == "nel-t"
    assert env["ANTHROPIC_BASE_URL"] == "http://h"
    assert env["OPENAI_MODEL"] == env["ANTHROPIC_MODEL"] == "m"
