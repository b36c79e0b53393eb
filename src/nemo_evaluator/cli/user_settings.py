"""The user's settings in the place of flags that were not given."""

from __future__ import annotations

from typing import Any

import click

OF_THE_MODEL = ("model_id", "api_key_env")


def with_settings(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags of a run without a configuration file, filled up from the settings; what is from
    there is said on stderr. Raises ConfigError."""
    from ..config.settings import effective

    defaults: dict[str, Any] = {}
    for name, (value, where) in effective().items():
        if name not in flags or flags[name] is not None:
            continue
        if name in OF_THE_MODEL and (flags["model_url"] or _has_key(flags)):
            continue  # the key and the name are those of the endpoint in the settings
        if name.startswith("judge_") and name != "judge_url" and not _has_judge(flags, defaults):
            continue
        defaults[name] = value
        click.echo(f"setting: {name} = {value} ({where})", err=True)
    return {**flags, **defaults}


def _has_key(flags: dict[str, Any]) -> bool:
    return bool(flags.get("api_key") or flags.get("api_key_command"))


def _has_judge(flags: dict[str, Any], told: dict[str, Any]) -> bool:
    return bool(flags.get("judge_url") or told.get("judge_url"))
