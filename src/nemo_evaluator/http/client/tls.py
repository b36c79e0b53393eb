"""What a service's TLS needs: whom to trust, and who we are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ConfigError

if TYPE_CHECKING:
    from ssl import SSLContext


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM format."""

    ca_file: str | None = None
    """Certificates that are trusted beside those of the system."""
    client_cert: str | None = None
    """Certificate (and what it is signed by) that we show; it may hold its key too."""
    client_key: str | None = None

    def context(self) -> SSLContext:
        """The system's certificates, or those of SSL_CERT_FILE and SSL_CERT_DIR, and our own.

        Raises ConfigError for a file that cannot be used.
        """
        import ssl  # 10 ms, and no business of plain HTTP

        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        if self.ca_file is not None:
            path = _existing(self.ca_file, "ca_file")
            try:
                context.load_verify_locations(path)
            except (ssl.SSLError, OSError) as error:
                raise _unusable(path, "ca_file", "no certificates in PEM format", error) from None
        if self.client_cert is not None:
            cert = _existing(self.client_cert, "client_cert")
            key = None if self.client_key is None else _existing(self.client_key, "client_key")
            try:
                context.load_cert_chain(cert, key, password=_no_password)
            except (ssl.SSLError, OSError) as error:
                what = "no certificate with its key in PEM format"
                raise _unusable(cert, "client_cert", what, error) from None
        return context


def _existing(path: str, name: str) -> Path:
    found = Path(path).expanduser()
    if not found.is_file():
        raise ConfigError("there is no such file", where=f"{name} {found}")
    return found


def _no_password() -> str:
    """An encrypted key would ask for its password on the terminal."""
    raise OSError("the key is encrypted")


def _unusable(path: Path, name: str, what: str, error: Exception) -> ConfigError:
    reason = getattr(error, "reason", None) or " ".join(str(error).split())
    hint = "an encrypted key must be decrypted first: openssl pkey -in KEY -out PLAIN_KEY"
    text = str(reason).replace("_", " ").lower()
    return ConfigError(
        f"{what} ({text})", where=f"{name} {path}", hint=hint if "encrypted" in text else None
    )
