"""What every kind of service promises; see `services.contract`.

```python
class TestMine(ServiceContract):
    @pytest.fixture
    def kind(self):
        return MyService()

    @pytest.fixture
    def options(self):
        return MyService.Options(model="m")
```
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import pytest

from ..config.endpoints import ModelFields
from ..services.contract import (
    AnyService,
    Launch,
    OpenServer,
    OpenService,
    Place,
    ServiceKind,
)
from ..traffic.types import CallContext

PATIENCE = 20.0


class AnyServiceContract:
    """What a model and any other server promise."""

    @pytest.fixture
    def place(self, tmp_path: Path, options: Any) -> Place:
        """Where it is opened: what the options say of the model, and a folder for its log."""
        fields = options if isinstance(options, ModelFields) else ModelFields()
        return Place(fields=fields, max_concurrent=4, folder=tmp_path)

    def test_a_launch_is_plain_and_steady(self, kind: ServiceKind, options: Any) -> None:
        """What would be started is data, the same each time; asking for it starts nothing."""
        launch = kind.launch(options)
        assert kind.launch(options) == launch
        if launch is not None:
            assert isinstance(launch, Launch) and (launch.argv or launch.image)
            assert msgspec.json.decode(msgspec.json.encode(launch), type=Launch) == launch

    async def test_getting_ready_twice_starts_one(
        self, kind: ServiceKind, options: Any, place: Place
    ) -> None:
        """A service that is ready stays as it is."""
        async with kind.open("model", options, place) as service:
            await service.ready()
            endpoints = list(service.endpoints)
            await service.ready()
            assert list(service.endpoints) == endpoints

    async def test_what_it_started_ends_with_it(
        self, kind: ServiceKind, options: Any, place: Place
    ) -> None:
        """Nothing listens any more where a server was started."""
        async with kind.open("model", options, place) as service:
            await service.ready()
            endpoints = list(service.endpoints)
            log = [line async for line in service.logs()]
        assert all(isinstance(line, str) for line in log)
        if kind.launch(options) is not None:
            assert endpoints and not any(map(_listens, endpoints))

    async def test_an_unused_one_closes(
        self, kind: ServiceKind, options: Any, place: Place
    ) -> None:
        """Opening and closing without a request is fine."""
        async with kind.open("model", options, place):
            pass


class ServiceContract(AnyServiceContract):
    """Subclass it with fixtures ``kind`` and ``options``. The service answers chat requests."""

    async def test_an_open_service_answers(
        self, kind: ServiceKind, options: Any, place: Place
    ) -> None:
        """Once it is ready it answers; it says what it is, without credentials."""
        async with kind.open("model", options, place) as opened:
            service = cast(OpenService, opened)
            await service.ready()
            assert service.health().up, service.health().why
            context = CallContext(session="contract/0/0")
            said = await service.client.generate(prompt="What is 1 + 1?", context=context)
            assert isinstance(said.text, str)
            assert service.protocol and isinstance(service.simulated, bool)
            _check_words(service)


class ServerContract(AnyServiceContract):
    """The same for a server that is no model."""

    async def test_an_open_server_answers(
        self, kind: ServiceKind, options: Any, place: Place
    ) -> None:
        """Once it is ready it can be called; it says what it is, without credentials."""
        async with kind.open("server", options, place) as opened:
            server = cast(OpenServer, opened)
            await server.ready()
            assert server.health().up, server.health().why
            reply = await server.calls.session().asked("GET", "/", None, seconds=PATIENCE)
            assert reply.status < 500
            _check_words(server)


def _check_words(service: AnyService) -> None:
    assert msgspec.json.encode(dict(service.identity))
    for endpoint in service.endpoints:
        parts = urlsplit(endpoint)
        assert parts.username is None and parts.password is None and not parts.query


def _listens(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1):
            return True
    except OSError:
        return False
