"""Tells a verifier that could not start from one that found the work wanting, by its output.

The rule, in full: if the tests gave a perfect reward, or a test runner reported what it ran, they
did start. Otherwise:

* a program of theirs that cannot be run at all (exit code 126 or 127 and no reward), or a network
  that an installer did not reach, means that they did not start;
* a test runner or installer that is not there (``uvx: command not found``, ``No module named
  pytest``), or that fails within itself (an ``ImportError`` of pytest's own), means so too if that
  is so in the untouched environment as well: an agent that removed Python has spoiled its own work.
"""

from __future__ import annotations

import re
from enum import StrEnum

NOT_FOUND, NOT_RUNNABLE = 127, 126
TOOLS = r"(?:uvx?|pip3?|pipx|pytest|py\.test|python3?(?:\.\d+)?|/usr/bin/python3?)"

_RAN = re.compile(
    r"^=+ .*\b\d+ (?:passed|failed|error|errors|skipped|deselected|xfailed|xpassed)\b.*=+\s*$"
    r"|^collected \d+ items?\b"
    r"|^\d+ (?:passed|failed|error|errors)\b.* in [\d.]+s"
    r"|^Ran \d+ tests? in "
    r"|^test result: (?:ok|FAILED)\."
    r"|^(?:ok|not ok) \d+\b"
    r"|^(?:Tests|Test Suites): +\d+ (?:passed|failed)",
    re.MULTILINE,
)
"""Reports of pytest, unittest, cargo, TAP and jest."""
_UNREACHED = re.compile(
    r"Could not resolve host\b|Temporary failure in name resolution|Temporary failure resolving"
    r"|Name or service not known|Network is unreachable|No route to host"
    r"|Failed to establish a new connection|curl: \((?:6|7|28|35|60)\)"
    r"|dns error|error sending request for url|Failed to fetch|Unable to fetch some archives"
    r"|wget: unable to resolve|CERTIFICATE_VERIFY_FAILED|getaddrinfo (?:EAI_AGAIN|ENOTFOUND)"
    r"|ERROR: No matching distribution found|error: Failed to download",
    re.IGNORECASE,
)
_LOOPBACK = re.compile(r"localhost|127\.0\.0\.1|\[?::1\]?|0\.0\.0\.0")
"""What an agent should have started, perhaps: no network is missing there."""
_ABSENT = re.compile(
    rf"\b{TOOLS}: (?:command )?not found|\bline \d+: {TOOLS}: No such file or directory"
    rf"|env: [‘'\"]?{TOOLS}[’'\"]?: No such file or directory"
    r"|No module named '?(?:pytest|pip|uv)\b"
    r"|bad interpreter: No such file or directory|bad interpreter: Permission denied"
    r"|/(?:_?pytest|pluggy|pip|uv)/[^\"\n]*\", line \d+(?:.*\n)+?(?:ModuleNotFound|Import)Error: .*"
    r"|^INTERNALERROR> ",
    re.MULTILINE,
)


class Start(StrEnum):
    """Whether the tests of a task started."""

    STARTED = "started"
    FAILED = "failed"
    """They did not: nothing is known about the work."""
    ABSENT = "absent"
    """A tool of theirs is not there: it depends on whether it ever was."""


def judged(output: str, exit_code: int, reward: float | None) -> tuple[Start, str]:
    """Whether the tests started, and the line that says why not."""
    if reward == 1 or _RAN.search(output):
        return Start.STARTED, ""
    if line := _line(_UNREACHED, output):
        return Start.FAILED, line
    if line := _line(_ABSENT, output):
        return Start.ABSENT, line
    if reward is None and exit_code in (NOT_RUNNABLE, NOT_FOUND):
        last = output.strip().splitlines()[-1:] or [f"exit code {exit_code}"]
        return Start.ABSENT, last[0][:200]
    return Start.STARTED, ""


def _line(pattern: re.Pattern[str], output: str) -> str:
    """The first line that a pattern is found in, unless it is about this machine itself."""
    for match in pattern.finditer(output):
        start = output.rfind("\n", 0, match.end()) + 1
        end = output.find("\n", match.end())
        line = output[start : end if end >= 0 else None]
        if not _LOOPBACK.search(line):
            return line.strip()[:200]
    return ""
