"""A real request to a model that was just started: one token, by the protocol that the run uses.

A server answers its health path long before, or although, it cannot answer this one.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from ..config.endpoints import ApiProtocol
from ..errors import ConfigError
from ..http.client.errors import NetError
from ..http.client.single import request
from ..traffic.http import HttpTransport
from ..traffic.retry import error_message
from ..traffic.urls import endpoint_url
from .supervisor import Question

SECONDS = 60.0
"""How long one request may take; until ``startup_timeout`` another one follows."""
PAUSE_SECONDS = 1.0
TEXT = "Answer with the number 1."
BODIES: dict[str, dict[str, Any]] = {
    "chat_completions": {"messages": [{"role": "user", "content": TEXT}], "max_tokens": 1},
    "completions": {"prompt": TEXT, "max_tokens": 1},
    "responses": {"input": TEXT, "max_output_tokens": 16},
}
FINAL = frozenset((401, 403, 404, 405))
"""Statuses that waiting does not change: the key, the path or the model's name is wrong."""
LATER = frozenset((408, 425, 429))


def asks(url: str, protocol: ApiProtocol, model: str, key: object = None) -> Question | None:
    """The question to a server; None for a protocol that asks no model for tokens."""
    if protocol not in BODIES:
        return None
    secret = getattr(key, "get_secret_value", lambda: key)()
    headers = {"Content-Type": "application/json"}
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    target = endpoint_url(url, protocol)
    body = msgspec.json.encode({"model": model, **BODIES[protocol]})

    async def question(seconds: float) -> str | None:
        limit = min(SECONDS, seconds)
        try:
            status, answer = await request("POST", target, body, headers, seconds=limit)
        except NetError as error:
            return f"POST {target}: {error}"
        if 200 <= status < 300 or (400 <= status < 500 and status not in (*FINAL, *LATER)):
            return None  # whoever refuses what was asked has read it
        refusal = f"POST {target} was answered with {status}: {_message(answer)}"
        if status in FINAL:
            raise ConfigError(refusal)
        return refusal

    return question


def _message(answer: bytes) -> str:
    try:
        return error_message(msgspec.json.decode(answer))[:300]
    except msgspec.DecodeError:
        return answer[:300].decode(errors="replace")


class AskedTransport(HttpTransport):
    """The transport of a server that was started elsewhere: it is ready once it has answered a real
    request, for which it has ``patience`` seconds."""

    def __init__(
        self, url: str, protocol: str, *, question: Question, patience: float, **options: Any
    ) -> None:
        super().__init__(url, protocol, **options)
        self._question, self._patience = question, patience

    async def check(self, model: str) -> str | None:
        """See ``Transport``."""
        end = time.monotonic() + self._patience
        while (why := await self._question(max(1.0, end - time.monotonic()))) is not None:
            if time.monotonic() > end:
                raise ConfigError(
                    f"no real request was answered for {self._patience:g} s: {why}",
                    where=self.peer,
                    hint="see the log of the server",
                )
            await asyncio.sleep(PAUSE_SECONDS)
        return await super().check(model)
