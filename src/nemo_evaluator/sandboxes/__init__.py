"""Sandboxes: isolated places where untrusted code or an agent runs.

The engines are imported when they are first named: code that only declares needs imports none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .contract import (
    Backend,
    BuildFailed,
    BuildSpec,
    ExecResult,
    Limits,
    Sandbox,
    SandboxLost,
    SandboxSpec,
)

if TYPE_CHECKING:
    from .docker import DockerBackend
    from .local import LocalBackend
    from .pool import SandboxPool

__all__ = [
    "Backend",
    "BuildFailed",
    "BuildSpec",
    "DockerBackend",
    "ExecResult",
    "Limits",
    "LocalBackend",
    "Sandbox",
    "SandboxLost",
    "SandboxPool",
    "SandboxSpec",
]

_LAZY = {"DockerBackend": "docker", "LocalBackend": "local", "SandboxPool": "pool"}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
