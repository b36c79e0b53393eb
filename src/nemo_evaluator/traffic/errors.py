"""What a transport raises: a try that got no usable response.

::

    TransportError           no usable response: connection, time, or a body that is none
    └── CannotPassThrough    the transport has no HTTP endpoint to pass a request on to
"""

from __future__ import annotations

from ..types import Failure

NOT_JSON = "not_json"
"""Type of the error that stands for the body of an error response that is not a JSON object."""


class TransportError(Exception):
    """A request that got no usable response. The text holds no path, query or credentials."""

    def __init__(self, kind: Failure, message: str, *, unreachable: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.unreachable = unreachable
        """No connection was made, so the error says nothing about the request."""


class CannotPassThrough(TransportError):
    """A request cannot be passed on uninterpreted: nothing behind the transport speaks HTTP."""

    def __init__(self) -> None:
        super().__init__(Failure.NOT_FOUND, "this service has no HTTP endpoint", unreachable=True)
