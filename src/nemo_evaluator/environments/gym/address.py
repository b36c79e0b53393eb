"""What a ``gym://…`` address means: which server, started or not, and how it is spoken to."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import parse_qsl

from pydantic import SecretStr, ValidationError

from ...config.agents import GymResourceService
from ...config.environment import environment
from ...config.secrecy import hidden_urls
from ...errors import ConfigError, suggest

TOKEN = "NEL_GYM_TOKEN"
_RUNNING = re.compile(r"https?://.+|[^/?#]+:\d+")
PARAMS = ("protocol", "data", "token_env", "startup_timeout")


class Protocol(StrEnum):
    """How a gym is spoken to."""

    AUTO = "auto"
    """As its OpenAPI document and its ``/health`` say."""
    EVALUATOR = "evaluator"
    """That of ``nel serve``: problems come from the server."""
    NATIVE = "native"
    """That of NeMo Gym: problems come from a file, answers are Responses objects."""


@dataclass(frozen=True, slots=True)
class Address:
    """One gym."""

    uri: str
    """As it was written, without parameters."""
    name: str
    """Of the benchmark, in reports and folders, where the server does not tell it."""
    service: GymResourceService
    protocol: Protocol = Protocol.AUTO
    data: Path | None = None
    """Problems, as lines of JSON."""

    @property
    def is_started(self) -> bool:
        """Whether the server is started here."""
        return self.service.url is None


def read_address(uri: str, params: Mapping[str, Any]) -> Address:
    """``gym://HOST:PORT``, ``gym://BENCHMARK``, ``gym://cmd:COMMAND``, ``gym://module:MODULE``;
    each with ``?protocol=…&data=FILE``, which may also stand in ``params``. Raises ConfigError."""
    rest = uri.partition("://")[2]
    rest, _, query = rest.partition("?")
    given = {**dict(parse_qsl(query, keep_blank_values=True)), **params}
    for name in given:
        if name not in PARAMS:
            raise ConfigError(f"unknown parameter {name!r}", where=uri, hint=suggest(name, PARAMS))
    protocol = str(given.get("protocol", Protocol.AUTO))
    protocol = Protocol.NATIVE if protocol == "gym" else protocol
    if protocol not in list(Protocol):
        raise ConfigError(
            f"unknown protocol {protocol!r}", where=uri, hint=suggest(protocol, list(Protocol))
        )
    data = given.get("data")
    if data is not None and protocol == Protocol.EVALUATOR:
        raise ConfigError(
            "data has no effect with protocol evaluator: the server has the problems", where=uri
        )
    name, fields = _server(rest, uri)
    fields |= _more(given, running="url" in fields)
    try:
        service = GymResourceService.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"], where=uri) from None
    shown = hidden_urls(uri.partition("?")[0])
    path = None if data is None else Path(data)
    return Address(shown, name, service, Protocol(protocol), path)


def _server(rest: str, uri: str) -> tuple[str, dict[str, Any]]:
    """The name of a benchmark, and what its server is: a URL, or what is started."""
    if not rest:
        raise ConfigError("names no gym", where=uri, hint="gym://HOST:PORT or gym://BENCHMARK")
    if _RUNNING.fullmatch(rest):
        url = rest if rest.startswith("http") else f"http://{rest}"
        return f"gym-{rest.rpartition('@')[2].partition('://')[2] or rest}", {"url": url}
    kind, colon, what = rest.partition(":")
    if colon and kind in ("cmd", "module"):
        if not what.strip():
            raise ConfigError(f"names no {kind}", where=uri)
        if kind == "module":
            return what, {"server_cmd": f"{quote(sys.executable)} -m {quote(what)}  # on $PORT"}
        program = Path(what.split()[0]).name
        return program, {"server_cmd": what}
    return rest, {"benchmark": rest}


def _more(given: Mapping[str, Any], *, running: bool) -> dict[str, Any]:
    named = given.get("token_env")
    env = environment([Path.cwd()])
    token = env.get(str(named or TOKEN))
    if named is not None and not token:
        raise ConfigError(f"the variable {named} is not set", where="token_env")
    fields: dict[str, Any] = {}
    if token and running:
        fields["token"] = SecretStr(token)
    if "startup_timeout" in given:
        fields["startup_timeout"] = given["startup_timeout"]
    return fields
