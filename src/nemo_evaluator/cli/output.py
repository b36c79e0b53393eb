"""Standard streams that cannot fail a command: closed, full, unread, or not UTF-8.

Invariants: descriptors 0 to 2 are open, so that nothing else takes their numbers; a write that the
other side refuses is dropped and noted, never raised; a character that the stream's encoding does
not have is written in another way. What servers, models and datasets said reaches a terminal as
text only: control characters are shown, not obeyed, and known secrets are masked.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO, cast

from ..config.scrubber import KNOWN
from ..reports.escape import visible

if TYPE_CHECKING:
    from rich.console import Console

ERRORS = "nel-readable"
"""Name of the error handler for characters an encoding does not have."""
PLAIN = {
    "—": "-",
    "–": "-",
    "…": "...",
    "×": "x",
    "→": "->",
    "±": "+-",
    "·": ".",
    "≥": ">=",
    "≤": "<=",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}
"""What our own texts use besides ASCII."""


class Stream(io.RawIOBase):
    """A file descriptor that takes everything; what it could not write is in ``failure``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.failure: OSError | None = None
        """Why the first write that failed did; nothing is written after it."""

    def writable(self) -> bool:
        """The stream can always be written to."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return os.isatty(self._fd)

    def write(self, data: object, /) -> int:
        """Write the whole text, or drop it."""
        view = memoryview(data)  # type: ignore[arg-type]
        size = view.nbytes
        while self.failure is None and view.nbytes:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                _wait_writable(self._fd)
            except OSError as error:
                self.failure = error
        return size


def open_descriptors() -> None:
    """Open what is closed of 0, 1 and 2 on /dev/null, for reading and writing."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            if opened != fd:
                os.dup2(opened, fd)
                os.close(opened)


@contextlib.contextmanager
def guarded_streams() -> Iterator[Stream]:
    """Replace stdout and stderr, unless they are replaced already, by streams that survive a slow
    or closed reader; gives that of stdout."""
    codecs.register_error(ERRORS, _readable)
    out, before = Stream(1), (sys.stdout, sys.stderr)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(out, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(Stream(2), sys.stderr)
    try:
        yield out
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError):  # closed by a command
                stream.flush()
        sys.stdout, sys.stderr = before


def told(stream: Stream) -> str | None:
    """Why output was lost; None if the reader only closed the pipe."""
    error = stream.failure
    if error is None or error.errno in (errno.EPIPE, errno.ECONNRESET):
        return None
    return error.strerror or str(error)


def printable(text: str) -> str:
    """A text as a terminal may show it."""
    return visible(KNOWN(text))


class Printed(io.TextIOWrapper):
    """A text stream on which everything is ``printable``."""

    def write(self, text: str, /) -> int:
        """Write a text as it may be shown."""
        super().write(printable(text))
        return len(text)


class Terminal:
    """A ``Printed`` stream for who draws on a terminal, and cleans the texts in it himself."""

    def __init__(self, stream: Printed) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        """Write a text as it is."""
        return io.TextIOWrapper.write(self._stream, text)

    def flush(self) -> None:
        """Send what was written."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor."""
        return self._stream.fileno()


def drawing(stream: TextIO) -> TextIO:
    """The stream to draw on; the same stream unless it is wrapped in ``Printed``."""
    return cast(TextIO, Terminal(stream)) if isinstance(stream, Printed) else stream


def console() -> Console | None:
    """A way to print in colours where stdout is a terminal."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console

    return Console(file=drawing(sys.stdout), highlight=False, soft_wrap=True)


def _text(stream: Stream, old: object) -> Printed:
    encoding = getattr(old, "encoding", None) or "utf-8"
    return Printed(io.BufferedWriter(stream), encoding=encoding, errors=ERRORS, line_buffering=True)


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(char) or _escaped(char) for char in text), error.end


def _escaped(char: str) -> str:
    r"""A character as a JSON escape: ``\\u00e9``; two escapes beyond the first plane."""
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def _wait_writable(fd: int) -> None:
    import select

    select.select([], [fd], [])
