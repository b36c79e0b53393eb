"""Large programs that some tests drive (`.ci/parts` installs them): harbor, nemo-gym, OpenClaw.

Absent, the test is skipped; in CI it fails. NEL_REQUIRE (a comma list) says which must be there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("NEL_PARTS") or "/var/tmp/nel-parts")


def part(name: str) -> Path:
    """The folder of a part: a virtual environment (``harbor``, ``gym``), or ``openclaw`` with
    ``node_modules/.bin/openclaw`` and, in ``node``, the node that runs it."""
    folder = ROOT / name
    if not (folder / ".installed").exists():
        (pytest.fail if needed(name) else pytest.skip)(f"{name} is absent: .ci/parts {name}")
    return folder


def optional_part(name: str) -> Path:
    """The folder of a part that is too large for every CI run: absent, the test is skipped."""
    folder = ROOT / name
    if not (folder / ".installed").exists():
        pytest.skip(f"{name} is absent: .ci/parts {name}")
    return folder


def needed(name: str) -> bool:
    """Whether an absent component is a failure."""
    asked = os.environ.get("NEL_REQUIRE")
    return name in asked.split(",") if asked is not None else bool(os.environ.get("CI"))
