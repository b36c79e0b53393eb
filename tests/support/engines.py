"""Sandbox engines that a test needs: absent, the test is skipped; in CI it fails.

NEL_REQUIRE (a comma list of ``local`` and ``docker``) says which engines must be there, in CI and
elsewhere; without it CI needs both.
"""

from __future__ import annotations

import shutil
import socket

import pytest
from parts import needed

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes.docker_api import find_socket


def require(engine: str) -> None:
    """Skip or fail the test where the engine is absent."""
    if not _present(engine):
        (pytest.fail if needed(engine) else pytest.skip)(f"the {engine} sandbox engine is absent")


def _present(engine: str) -> bool:
    if engine == "local":
        return shutil.which("bwrap") is not None
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(find_socket())
    except (OSError, ConfigError):
        return False
    return True
