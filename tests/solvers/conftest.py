"""Makes the scripted loopback server of ``tests/support`` importable, and its fixture known."""

from __future__ import annotations

import sys
from pathlib import Path

SUPPORT = str(Path(__file__).resolve().parents[1] / "support")
if SUPPORT not in sys.path:
    sys.path.insert(0, SUPPORT)

from loopback import loopback  # noqa: E402

__all__ = ["loopback"]
