"""What OpenClaw is told about its model and its tools: the configuration of one rollout.

Invariant: the only model it knows is the one of its session. What a file of the user's says
besides is kept, below that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ...config.agent_solvers import OpenClawSolverConfig
from ...errors import ConfigError
from ...traffic.door.sessions import Endpoint
from ...types import Json

PROVIDER = "nel"
THINKS_NOT = ("", "off")


def model_of(endpoint: Endpoint) -> str:
    """The model, as OpenClaw names it."""
    return f"{PROVIDER}/{endpoint.model}"


def settings(
    config: OpenClawSolverConfig,
    endpoint: Endpoint,
    cwd: str,
    *,
    log: str,
    max_tokens: int | None,
    base: Mapping[str, Json],
) -> dict[str, Any]:
    """The whole configuration. ``log``: where it logs; ``base``: what a file of the user's says."""
    model: dict[str, Json] = {
        "id": endpoint.model,
        "name": endpoint.model,
        "input": ["text"],
        "reasoning": config.thinking not in THINKS_NOT,
    }
    if config.context_window is not None:
        model["contextWindow"] = config.context_window
    if max_tokens is not None:
        model["maxTokens"] = max_tokens
    provider = {
        "baseUrl": endpoint.openai_url,
        "apiKey": endpoint.token,
        "api": "openai-completions",
        "timeoutSeconds": config.idle_timeout_seconds,
        "models": [model],
    }
    own: dict[str, Any] = {
        "models": {"mode": "replace", "providers": {PROVIDER: provider}},
        "agents": {
            "defaults": {
                "model": {"primary": model_of(endpoint)},
                "workspace": cwd,
                "skipBootstrap": True,
                "compaction": {"mode": "safeguard"},
                "maxConcurrent": config.max_concurrent,
                "sandbox": {"mode": "off"},
            }
        },
        "logging": {"file": log},
        "tools": {
            "profile": "coding",
            "fs": {"workspaceOnly": False},
            "exec": {"security": "full", "ask": "off"},
        },
    }
    if config.web_search_provider is not None:
        name = config.web_search_provider
        own["tools"]["web"] = {"search": {"provider": name}}
        own["plugins"] = {"entries": {name: {"enabled": True}}}
    return _merged_settings(dict(base), own)


def user_settings(path: str | None) -> dict[str, Json]:
    """What a file of the user's says. Raises ConfigError."""
    if path is None:
        return {}
    try:
        found = msgspec.json.decode(Path(path).expanduser().read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path) from None
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"is not JSON: {error}", where=path, hint="without comments and trailing commas"
        ) from None
    if not isinstance(found, dict):
        raise ConfigError("holds no object", where=path)
    return found


def _merged_settings(base: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """``own`` over ``base``, folder by folder."""
    for name, value in own.items():
        below = base.get(name)
        both = isinstance(value, dict) and isinstance(below, dict)
        base[name] = _merged_settings(dict(below or {}), value) if both else value
    return base
