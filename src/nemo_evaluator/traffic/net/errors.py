"""What can go wrong between a request and its whole response.

::

    NetError
    ├── CannotConnect   no connection: name, socket, certificate or proxy
    ├── Late            a limit of time is over
    ├── BrokenOff       the connection was lost before the response was whole
    ├── NotHttp         what came is not an HTTP response we can read
    └── Unsent          a kept connection was gone before the request left (never leaves the pool)

The texts hold neither path, query, headers nor credentials.
"""

from __future__ import annotations

import enum
import os


class NetError(Exception):
    """Base of all of them."""


class CannotConnect(NetError):
    """There is no connection."""


class BrokenOff(NetError):
    """The connection was lost before the response was whole."""


class NotHttp(NetError):
    """What came is not an HTTP response we can read."""


class Unsent(NetError):
    """The request did not leave: it may be sent again whatever it asks for."""


class Limit(enum.Enum):
    """What may take only so long."""

    CONNECT = enum.auto()
    FIRST_BYTE = enum.auto()
    TOTAL = enum.auto()


class Late(NetError):
    """A limit of time is over."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(f"timeout ({limit.name.lower()})")
        self.limit = limit


def cause(error: BaseException) -> str:
    """What the operating system or the TLS library says, in one line, without addresses."""
    if reason := getattr(error, "verify_message", ""):
        return f"certificate verify failed: {reason}"
    if reason := getattr(error, "reason", ""):  # of an ssl.SSLError, like WRONG_VERSION_NUMBER
        return f"TLS failed: {str(reason).replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    return " ".join(str(error).split()) or type(error).__name__
