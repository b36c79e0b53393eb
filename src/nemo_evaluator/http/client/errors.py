"""What can go wrong between a request and its whole response.

::

    NetError
    ├── CannotConnect   no connection: name, socket, certificate or proxy
    ├── Late            a limit of time is over
    ├── BrokenOff       the connection was lost before the response was whole
    │   └── Stale       a kept connection that had been closed meanwhile (seldom leaves the pool)
    └── NotHttp         what came is not an HTTP response we can read

The texts hold neither path, query, headers nor credentials.
"""

from __future__ import annotations

import enum
import os

UNKNOWN_CA = frozenset((2, 18, 19, 20, 21))
"""OpenSSL's codes for a chain that ends in an authority that is not trusted."""
CLIENT_ALERTS = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "ALERT_UNKNOWN_CA")
"""What a server says to a client without the right certificate."""
CLIENT_CERTIFICATE = (
    "the server requires a client certificate; name its file as the service's client_cert, and"
    " the file of its key as client_key"
)


class NetError(Exception):
    """Base of all of them."""


class CannotConnect(NetError):
    """No connection could be made."""


class BrokenOff(NetError):
    """The connection was lost before the response was whole."""


class NotHttp(NetError):
    """What came is not an HTTP response we can read."""


class Stale(BrokenOff):
    """A kept connection was closed before or just after the request was written, and not one byte
    came back: the server had closed it before it could read the request."""


class Limit(enum.Enum):
    """The limits of time of a request."""

    CONNECT = enum.auto()
    FIRST_BYTE = enum.auto()
    IDLE = enum.auto()
    TOTAL = enum.auto()


class Late(NetError):
    """A limit of time is over."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(f"timeout ({limit.name.lower()})")
        self.limit = limit


def advice(error: BaseException) -> str:
    """What to do about an error of TLS, as the rest of a message; nothing where we do not know."""
    if getattr(error, "verify_message", ""):
        code = getattr(error, "verify_code", 0)
        if code in UNKNOWN_CA:
            return (
                ": the certificate is signed by an authority that is not known here; name a file"
                " with its certificate as the service's ca_file, or as SSL_CERT_FILE"
            )
        return ""
    if wants_certificate(error):
        return f": {CLIENT_CERTIFICATE}"
    if "WRONG_VERSION_NUMBER" in str(getattr(error, "reason", "")):
        return ": the server does not speak TLS there; perhaps the url should begin with http://"
    if "HANDSHAKE_FAILURE" in str(getattr(error, "reason", "")):
        return f": perhaps {CLIENT_CERTIFICATE}"
    return ""


def wants_certificate(error: BaseException | None) -> bool:
    """Whether a server closed the connection because it wants another certificate of ours."""
    reason = str(getattr(error, "reason", ""))
    return any(alert in reason for alert in CLIENT_ALERTS)


def cause(error: BaseException) -> str:
    """What the operating system or the TLS library says, in one line, without addresses."""
    if reason := getattr(error, "verify_message", ""):
        return f"certificate verify failed: {reason}"
    if reason := getattr(error, "reason", ""):  # of an ssl.SSLError, like WRONG_VERSION_NUMBER
        return f"TLS failed: {str(reason).replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    return " ".join(str(error).split()) or type(error).__name__
