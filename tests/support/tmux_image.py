"""An image with tmux, which terminus-2 works in: built once per machine."""

from __future__ import annotations

import os
import subprocess
from functools import cache

import pytest
from parts import needed

BASE = os.environ.get("NEL_TEST_IMAGE", "sandbox-base:latest")
TAG = "nel-test-tmux:1"
DOCKERFILE = f"""\
FROM {BASE}
RUN command -v tmux || (apt-get update && apt-get install -y --no-install-recommends tmux)
"""


@cache
def tmux_image() -> str:
    """Its tag. Skips the test (in CI fails it) where it cannot be built."""
    if subprocess.run(["docker", "image", "inspect", TAG], capture_output=True).returncode == 0:
        return TAG
    command = ["docker", "build", "-q", "-t", TAG, "-"]
    built = subprocess.run(command, input=DOCKERFILE, capture_output=True, text=True, timeout=300)
    if built.returncode != 0:
        (pytest.fail if needed("docker") else pytest.skip)(
            f"no image with tmux: {built.stderr[-300:]}"
        )
    return TAG
