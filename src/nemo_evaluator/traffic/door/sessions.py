"""The sessions that are open at a door, each with its token, and what an agent needs to use one.

A token is the key to one session and to nothing else: whoever sends it is in that session, whatever
the path says, until the session is closed. The door's own part of its tokens is known as a secret,
so that no log and no journal keeps one.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import quote

from ...config.scrubber import KNOWN
from ...types import Json, Record
from ..types import CallContext

SESSION_FIELD = "nel_session"
"""In the ``metadata`` of a request: the token of its session, for a client whose address and key
are the same for all. It is taken out before the request goes on."""


class Endpoint(Record, frozen=True, kw_only=True):
    """What an agent needs to reach its model, whatever its SDK is."""

    openai_url: str
    """Base URL for OpenAI clients, ``/v1`` included."""
    anthropic_url: str
    """Base URL for Anthropic clients."""
    token: str
    """The session's API key; no other key is ever given to an agent."""
    model: str
    """Id of the model."""

    def env(self) -> dict[str, str]:
        """All of it as the environment variables that agents and SDKs read."""
        return {
            "OPENAI_BASE_URL": self.openai_url,
            "OPENAI_API_BASE": self.openai_url,
            "OPENAI_API_KEY": self.token,
            "OPENAI_MODEL": self.model,
            "ANTHROPIC_BASE_URL": self.anthropic_url,
            "ANTHROPIC_API_KEY": self.token,
            "ANTHROPIC_MODEL": self.model,
            "MODEL_BASE_URL": self.openai_url,
            "MODEL_NAME": self.model,
        }

    def __repr__(self) -> str:
        return f"Endpoint(openai_url={self.openai_url!r}, model={self.model!r})"


class Sessions:
    """The open sessions of one door."""

    def __init__(self) -> None:
        self._secret = f"nel-{secrets.token_hex(16)}"
        KNOWN.learn(self._secret)
        self._contexts: dict[str, CallContext] = {}
        self._tokens: dict[str, str] = {}
        """Token by name."""
        self._names: dict[str, str] = {}
        """Name by token."""
        self._closed: set[str] = set()

    def open(self, context: CallContext) -> str:
        """The token of a session and attempt; the same one as long as it is open."""
        name = name_of(context)
        self._contexts[name] = context
        if name not in self._tokens:
            token = self._tokens[name] = f"{self._secret}-{secrets.token_hex(16)}"
            self._names[token] = name
        return self._tokens[name]

    def close(self, context: CallContext) -> None:
        """Refuse what comes later."""
        name = name_of(context)
        if self._contexts.pop(name, None) is not None:
            self._names.pop(self._tokens.pop(name), None)
            self._closed.add(name)

    def is_closed(self, name: str) -> bool:
        """Whether there was such a session, and it is over."""
        return name in self._closed

    def context(self, name: str) -> CallContext:
        """The caller of a request that names a session, which need not be open."""
        return self._contexts.get(name) or CallContext(session=name)

    def in_body(self, body: dict[str, Json]) -> CallContext | None:
        """The session that a request names in its metadata, which are taken out; None where it
        names none. Raises LookupError for one that is not open."""
        metadata = body.get("metadata")
        if not isinstance(metadata, dict) or SESSION_FIELD not in metadata:
            return None
        kept = {name: value for name, value in metadata.items() if name != SESSION_FIELD}
        body["metadata"] = kept
        if not kept:
            del body["metadata"]
        return self._contexts[self._names[str(metadata[SESSION_FIELD])]]

    def by_token(self, headers: Mapping[str, str]) -> CallContext | None:
        """The session whose token a request carries."""
        if not self._names:
            return None
        for given in keys_in(headers):
            if given.startswith(self._secret) and (name := self._names.get(given)) is not None:
                return self._contexts[name]
        return None


def name_of(context: CallContext) -> str:
    """The name of a session and attempt."""
    return f"{context.session}/{context.attempt}"


def path_of(context: CallContext) -> str:
    """Where clients of a session find the API, below the door's address."""
    return f"/s/{quote(name_of(context), safe='')}"


def keys_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What a request has where clients put their API key."""
    return (
        headers.get("authorization", "").removeprefix("Bearer ").strip(),
        headers.get("x-api-key", ""),
        headers.get("api-key", ""),
        headers.get("x-nel-token", ""),
    )
