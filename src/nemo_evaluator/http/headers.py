"""Header fields of requests and responses. Nothing with a line break in it is sent."""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from string import punctuation
from urllib.parse import quote

Raw = Sequence[tuple[bytes, bytes]]
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = frozenset(("content-length", "transfer-encoding"))
_KEPT = "".join(set(punctuation) - set('"#<>\\^`{|}'))


class Headers(Mapping[str, str]):
    """Header fields by name, whatever its case. Parsed when first looked at.

    Repeated fields are one, joined by commas (RFC 9110 section 5.3); of ``Set-Cookie`` the last.
    """

    __slots__ = ("_fields", "_raw")

    def __init__(self, raw: Raw = ()) -> None:
        self._raw = raw
        self._fields: dict[str, tuple[str, str]] | None = None

    @classmethod
    def of(cls, *groups: Mapping[str, str]) -> Headers:
        """The fields of all groups; a later one replaces an earlier one of the same name."""
        headers = cls()
        pairs = (pair for group in groups for pair in group.items())
        headers._fields = {name.lower(): (name, value) for name, value in pairs}
        return headers

    def __getitem__(self, name: str) -> str:
        return self._parsed()[name.lower()][1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._parsed()

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._parsed().values()])

    def __len__(self) -> int:
        return len(self._parsed())

    def items(self) -> ItemsView[str, str]:
        """All fields. (The default of Mapping looks each of them up again.)"""
        return dict(self._parsed().values()).items()

    def every(self, name: str) -> list[str]:
        """The values of a field that came several times, each by itself, as ``Set-Cookie`` does."""
        wanted = name.lower().encode("latin-1")
        return [text.decode("utf-8", "replace") for key, text in self._raw if key.lower() == wanted]

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"  # values may be secret

    def _parsed(self) -> dict[str, tuple[str, str]]:
        if self._fields is None:
            self._fields = _joined(self._raw)
        return self._fields


def fields_by_name(raw: Raw) -> dict[str, str]:
    """Values by lower-case name; what is not UTF-8 is kept so that it can be sent on unchanged."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = _name(raw_name), str(raw_value, "utf-8", "surrogateescape")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


@lru_cache(maxsize=1024)
def _name(raw: bytes) -> str:
    """A name in lower case; there are few, and clients send them with every request."""
    return raw.decode("latin-1").lower()


def encoded_fields(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Header fields as an ASGI application sends them."""
    return [
        (_raw_name(name), value.encode("utf-8", "surrogateescape"))
        for name, value in headers.items()
    ]


@lru_cache(maxsize=1024)
def _raw_name(name: str) -> bytes:
    return name.lower().encode("latin-1")


def field_lines(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The lines of a head. Raises ValueError for a line break, which would begin another field."""
    lines = [b"%b: %b\r\n" % field for field in fields]
    text = b"".join(lines)
    if text.count(b"\n") != len(lines) or text.count(b"\r") != len(lines):
        raise ValueError("a header has a line break in it")
    return text


def _joined(raw: Raw) -> dict[str, tuple[str, str]]:
    fields: dict[str, tuple[str, str]] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("utf-8", "replace")
        key = name.lower()
        if key in fields and key != "set-cookie":
            value = f"{fields[key][1]}, {value}"
        fields[key] = (name, value)
    return fields


@lru_cache(maxsize=1024)
def problem(name: str, value: str) -> str | None:
    """Why a header cannot be sent; None if it can."""
    if _UNSENDABLE.search(name) or _UNSENDABLE.search(value):
        return "has a line break or control character in it"
    if not _NAME.fullmatch(name):
        return "has no name that HTTP allows"
    if name.lower() in _OURS:
        return "is set by the length of the request, not by hand"
    return None


def request_target(path_and_query: str) -> str:
    """A path and query as they may stand in a request line; what is quoted stays as it is."""
    return quote(path_and_query, safe=_KEPT)


class RequestHead:
    """Request line and headers of one target, made once; a request adds what is its own.

    The headers must have passed ``problem``.
    """

    __slots__ = ("_fields", "_line", "_names", "_sized", "_whole")

    def __init__(self, method: str, target: str, headers: Mapping[str, str]) -> None:
        self._line = f"{method} {target} HTTP/1.1\r\n".encode()
        self._sized = method not in ("GET", "HEAD")
        self._fields = [(name.lower(), _line(name, value)) for name, value in headers.items()]
        self._names = frozenset(name for name, _ in self._fields)
        self._whole = self._line + b"".join(line for _, line in self._fields)

    def __call__(self, length: int, more: Mapping[str, str] | None = None) -> bytes:
        """The head of a request with a body of this many bytes; ``more`` replaces headers of the
        same name. Raises ValueError for what cannot be sent."""
        whole = self._with_fields(more) if more else self._whole
        if length or self._sized:
            return b"%bContent-Length: %d\r\n\r\n" % (whole, length)
        return whole + b"\r\n"

    def _with_fields(self, more: Mapping[str, str]) -> bytes:
        lines = [_sendable(name, value) for name, value in more.items()]
        names = {name.lower() for name in more}
        if self._names.isdisjoint(names):
            return b"".join((self._whole, *lines))
        kept = [line for name, line in self._fields if name not in names]
        return b"".join((self._line, *kept, *lines))


@lru_cache(maxsize=1024)
def _sendable(name: str, value: str) -> bytes:
    """The line of a header; clients send most of theirs with every request. Raises ValueError."""
    if why := problem(name, value):
        raise ValueError(f"the header {name!r} {why}")
    return _line(name, value)


def _line(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")
