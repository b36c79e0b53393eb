"""Configurations as documents: ``parse_eval_config`` and ``load_eval_config``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.load import load, parse
from ..config.root import EvalConfig

__all__ = ["EvalConfig", "load_eval_config", "parse_eval_config"]


def parse_eval_config(raw: Mapping[str, Any]) -> EvalConfig:
    """A checked configuration from a mapping. Raises ConfigError, which is a ValueError."""
    return parse(raw).config


def load_eval_config(path: str | Path, overrides: Sequence[str] = ()) -> EvalConfig:
    """A checked configuration from a file. Raises ConfigError, which is a ValueError."""
    return load(path, overrides=overrides).config
