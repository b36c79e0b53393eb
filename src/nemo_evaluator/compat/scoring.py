"""Scorers under the names of NVIDIA NeMo Evaluator."""

from __future__ import annotations

from ..environments.code_check import code_sandbox
from ..scoring.primitives import PRIMITIVES

__all__ = ["code_sandbox", "code_sandbox_async", "mcq_extract"]

mcq_extract = PRIMITIVES["mcq_extract"]

code_sandbox_async = code_sandbox
"""Ours is asynchronous under both names; a synchronous scorer may return what it gives."""
