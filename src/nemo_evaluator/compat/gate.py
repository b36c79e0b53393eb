"""Gates under the names of NVIDIA NeMo Evaluator: ``load_gate_policy`` and ``gate_runs``."""

from __future__ import annotations

from ..config.gate_policy import GateEntry, GatePolicy, GateRules
from ..decisions.documents import GateDocument
from ..decisions.policy import load_policy
from ..tasks.decide import gate_runs

__all__ = ["GateDocument", "GateEntry", "GatePolicy", "GateRules", "gate_runs", "load_gate_policy"]

load_gate_policy = load_policy
"""The policy of a YAML file. Raises ConfigError, which is a ValueError."""
