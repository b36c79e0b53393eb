"""A short soak of the proxy; benchmarks/proxy_soak.py does the long one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from runs import ROOT


@pytest.mark.slow
def test_nothing_leaks_and_every_request_is_accounted_once() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/proxy_soak.py"), "--requests", "20000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
