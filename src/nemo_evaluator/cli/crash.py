"""The message about an unexpected error: one line, and the file with the traceback."""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import traceback

from ..errors import ConfigError
from ..version import __version__

TO_FIX = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EFBIG,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}
"""Errors of the system that tell of a disk, a right or a limit, not of a bug."""


def as_user_error(error: BaseException) -> ConfigError | None:
    """The message where the system says what is wrong; None where it may be a bug."""
    if isinstance(error, MemoryError):
        return ConfigError("out of memory", hint="lower --max-concurrent, or raise the limit")
    if not isinstance(error, OSError) or error.errno not in TO_FIX:
        return None
    where = str(error.filename) if error.filename is not None else None
    hint = None
    if error.errno in (errno.EMFILE, errno.ENFILE):
        hint = "raise the limit, e.g. ulimit -n 4096, or lower --max-concurrent"
    return ConfigError(error.strerror or str(error), where=where, hint=hint)


def report(error: BaseException) -> str:
    """Write the traceback into a file; the line for the user."""
    detail = f": {error}" if str(error) else ""
    what = " ".join(f"{type(error).__name__}{detail}".split())[:300]
    message = f"error: {_clean(what)}: this is a bug in nel, please report it"
    try:
        fd, name = tempfile.mkstemp(prefix="nel-bug-", suffix=".log")
        with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_clean(_details(error)))
    except OSError as refused:
        return f"{message} (its traceback could not be written: {refused.strerror})"
    return f"{message}, with the details in {name}"


def _details(error: BaseException) -> str:
    from ..config.snapshot import safe_command

    lines = [
        f"nemo-evaluator {__version__}, Python {platform.python_version()}, {platform.platform()}",
        safe_command(["nel", *sys.argv[1:]]),
        "",
        "".join(traceback.format_exception(error)),
    ]
    return "\n".join(lines)


def _clean(text: str) -> str:
    """Without known secrets and the values of environment variables that are named like some."""
    from ..config.scrubber import KNOWN
    from ..config.secrecy import MIN_LENGTH, redact, secret_variable

    secrets = [
        value
        for name, value in os.environ.items()
        if secret_variable(name) and len(value) >= MIN_LENGTH
    ]
    return KNOWN(redact(text, secrets))
