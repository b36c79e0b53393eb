"""Sandboxes: isolated places where untrusted code or an agent runs."""

from .contract import (
    Backend,
    ExecResult,
    Limits,
    Sandbox,
    SandboxLost,
    SandboxSpec,
)
from .docker import DockerBackend
from .local import LocalBackend
from .pool import SandboxPool

__all__ = [
    "Backend",
    "DockerBackend",
    "ExecResult",
    "Limits",
    "LocalBackend",
    "Sandbox",
    "SandboxLost",
    "SandboxPool",
    "SandboxSpec",
]
