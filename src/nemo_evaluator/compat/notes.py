"""Says once, in the log, where something behaves differently from NVIDIA NeMo Evaluator."""

from __future__ import annotations

import logging

_LOG = logging.getLogger("nemo_evaluator.compat")
_SAID: set[str] = set()


def say_once(text: str) -> None:
    """A warning in the log, the first time in this process."""
    if text not in _SAID:
        _SAID.add(text)
        _LOG.warning(text)
