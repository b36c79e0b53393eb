"""How processes in a container are ended: scripts for a shell inside, run as the user they are of.

The engine has no call that ends an exec. Untrusted programs have no capabilities, so that they are
all of the users whose commands were run, and a user may kill their own. What shall run on has a
variable in its environment, and so have its children; a program that hides from ``MARKED`` by
dropping the variable is ended with everything else.
"""

from __future__ import annotations

from pathlib import Path

MARK = "NEL_BACKGROUND"
SECONDS = 10.0
END_SECONDS = 15.0

ALL = "kill -9 -1 2>/dev/null"
"""Ends every process of the user; the shell itself and init (pid 1) are exempt by POSIX."""

_EACH = """\
for d in /proc/[0-9]*; do
  p=${d#/proc/}
  if [ -O "$d" ] && [ "$p" != $$ ] && [ "$p" != 1 ]; then %s; fi
done 2>/dev/null"""

_IS_MARKED = """tr '\\0' '\\n' < "$d/environ" | grep -q "^NEL_BACKGROUND=%s\""""

UNMARKED = "\n".join(
    ["for n in 1 2 3; do", _EACH % f'{_IS_MARKED % ""} || kill -9 "$p"', "done 2>/dev/null"]
)
"""Ends those of the user that shall not run on. Three rounds: a program may start others
meanwhile."""

MARKED = "\n".join(
    [
        "for s in STOP KILL KILL; do",
        _EACH % f'if {_IS_MARKED % "$1$"}; then kill -$s "$p"; fi',
        "done 2>/dev/null; exit 0",
    ]
)
"""Ends those that carry the mark ``$1``. Stopped first, none can start others, nor tell the end of
a child before its own."""

END = "\n".join(
    [
        "n=0",
        "while [ $n -lt 100 ]; do",
        f"{ALL}; left=",
        _EACH % """grep -q '^State:.Z' "$d/status" || left=$p""",
        '[ -z "$left" ] && exit 0',
        "n=$((n + 1)); sleep 0.1",
        "done; exit 1",
    ]
)
"""Ends every process of the user, and sees that none is left: the exit code is 1 if one is."""


def is_of_container(pid: int, container: str) -> bool:
    """Whether a process of this machine is in the container of that id."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False
