"""What a transport raises: a try that got no usable response."""

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
