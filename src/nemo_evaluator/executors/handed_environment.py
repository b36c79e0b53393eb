"""Variables that an executor hands to the ``nel`` it starts, over standard input.

So they stand in no file, no command line and no description of a container. A variable of the
process says that they come; then comes one object of JSON and the end of the input. Only the
standard library is imported: every command asks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

ANNOUNCED = "NEL_ENVIRONMENT_ON_STDIN"
"""``1``: variables come over standard input."""
USER_ERROR = 2


def packed(variables: Mapping[str, str]) -> bytes:
    """What is written to the process."""
    import json

    return json.dumps(dict(variables)).encode()


def take_environment() -> None:
    """Take the variables over, if some are to come. The process ends where they do not come."""
    if os.environ.pop(ANNOUNCED, None) != "1":
        return
    import json

    try:
        os.environ.update(json.loads(sys.stdin.buffer.read()))
    except (ValueError, TypeError):
        sys.stderr.write("error: who started this run ended before it handed the secrets over\n")
        sys.exit(USER_ERROR)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
