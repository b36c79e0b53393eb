"""ATIF documents checked by harbor's own model, in the interpreter that has it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from typing import Any

from parts import part

CHECK = """
import json, sys
from harbor.models.trajectories import Trajectory
errors = []
for line in sys.stdin:
    try:
        Trajectory.model_validate_json(line)
    except ValueError as error:
        errors.append(f"{error}: {line[:400]}")
json.dump(errors, sys.stdout)
"""


def refused(documents: Iterable[dict[str, Any]]) -> list[str]:
    """What harbor says about those that it refuses. Skips where harbor is absent."""
    python = part("harbor") / "bin" / "python"
    lines = "".join(json.dumps(document) + "\n" for document in documents)
    done = subprocess.run(
        [python, "-c", CHECK],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: list[str] = json.loads(done.stdout)
    return found
