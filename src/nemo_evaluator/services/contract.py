"""What a service is: how it is started, if it has to be, and what an open one offers.

A kind of service is a class without arguments. ``launch`` is pure: it says what would be started,
so that a plan, a supervisor of this machine and a template of a cluster read the same. ``open``
gives what solvers and judges use. A service that has to be started is started by ``ready``, which
is called before the first request; so nothing is started for a run that has nothing left to ask.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from ..config.endpoints import ModelFields
from ..traffic.client import ModelClient
from ..types import Json
from .launch import Launch, Process

if TYPE_CHECKING:
    from .json_server import JsonServer

__all__ = [
    "AnyService",
    "Health",
    "Launch",
    "OpenServer",
    "OpenService",
    "Place",
    "Process",
    "Rests",
    "ServiceKind",
]


class Health(NamedTuple):
    """Whether a service can be asked, as far as is known without asking."""

    up: bool
    why: str = ""
    """Why not, with the end of its log."""


class AnyService(Protocol):
    """A service that can be used, whatever it offers."""

    @property
    def endpoints(self) -> Sequence[str]:
        """The service's addresses, without credentials; none for one inside this process."""

    @property
    def identity(self) -> Mapping[str, Json]:
        """What changes its answers. Addresses, limits and timeouts do not."""

    async def ready(self) -> str | None:
        """Start what has to be started, and wait until a real request is answered: a warning or
        None. Raises ConfigError, with the end of the server's log where there is one."""

    def health(self) -> Health:
        """Whether the service can be asked."""

    def logs(self) -> AsyncIterator[str]:
        """What the server said so far, where it was started here."""


@runtime_checkable
class Rests(Protocol):
    """A service that can be ended before it is closed."""

    async def rest(self) -> None:
        """No request is to come for now: end what was started. A later request starts it again."""


class OpenService(AnyService, Protocol):
    """A model that can be used."""

    @property
    def client(self) -> ModelClient:
        """What solvers and judges ask."""

    @property
    def protocol(self) -> str:
        """The API that is configured."""

    @property
    def simulated(self) -> bool:
        """Whether the answers say nothing about a model."""


class OpenServer(AnyService, Protocol):
    """A server that can be used and is no model: a gym, an agent."""

    @property
    def calls(self) -> JsonServer:
        """What solvers and environments ask."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where, and for whom, a service is opened."""

    fields: ModelFields
    """What the configuration says of the model: generation, proxy, limits. Of a server that is no
    model: nothing."""
    max_concurrent: int = 64
    """Most requests in flight that anybody will have."""
    folder: Path | None = None
    """Where its log goes: the directory of the run."""
    needs: Mapping[str, AnyService] = field(default_factory=dict)
    """The open services it depends on."""
    say: Callable[[str], None] = field(default=lambda _: None)
    """Told what a user waits for."""
    devices: tuple[int, ...] = ()
    """Numbers of the GPUs of this machine that its servers are given; none: nothing is decided."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables of every server of the run, beside those of this process."""
    needed_by_others: bool = False
    """Another service depends on it: it is not ended because no request goes to it here."""


class ServiceKind(Protocol):
    """One type of service. A nested ``Options`` record says what a configuration may set."""

    def launch(self, options: object) -> Launch | None:
        """What has to be started; None: nothing. ``options``: the record of the configuration, or
        the plug-in's ``Options``."""

    def open(
        self, name: str, options: object, place: Place
    ) -> AbstractAsyncContextManager[AnyService]:
        """Open it: an `OpenService`, or an `OpenServer` where it is no model. Closed, and ended
        where it was started, when the block ends. Raises ConfigError."""
