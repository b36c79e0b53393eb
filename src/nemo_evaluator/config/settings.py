"""What a user sets once: defaults of flags, in a file of their own, by named profiles.

Settings stand for flags that were not given to a run without a configuration file, and nothing
else: a file says everything about its run, and no setting changes what it says. A secret is not a
setting; the name of the variable that holds it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from ..errors import ConfigError, suggest
from ..files.reading import first_line, read_document
from ..files.writing import make_folder, replace_file
from .base import NO_VARIABLE, VARIABLE, ConfigRecord

FILE = "NEL_CONFIG"
"""Variable with the path of the file; by default ``~/.config/nemo-evaluator/config.yaml``."""
PROFILE = "NEL_PROFILE"
"""Variable with the name of the profile; by default the one that `nel config use` chose."""
KEYS = {"api_key": "api_key_env", "judge_key": "judge_key_env", "token": "api_key_env"}
"""What somebody may try to set, and what stands in its place."""


class Settings(ConfigRecord):
    """Defaults of flags of `nel eval run` without a configuration file."""

    model_url: str | None = None
    """Endpoint, or ``simulated``."""
    model_id: str | None = None
    """Model name sent to the endpoint."""
    api_key_env: str | None = Field(None, pattern=VARIABLE)
    """Environment variable that holds the key of the endpoint."""
    judge_url: str | None = None
    """Endpoint of the judge model."""
    judge_id: str | None = None
    """Model name of the judge."""
    judge_key_env: str | None = Field(None, pattern=VARIABLE)
    """Environment variable that holds the key of the judge."""
    output_dir: str | None = None
    """Folder of runs."""
    max_concurrent: int | None = Field(None, ge=1)
    """Most requests in flight."""
    max_tokens: int | None = Field(None, ge=1)
    """Limit on completion tokens."""
    temperature: float | None = Field(None, ge=0)
    """Sampling temperature."""
    timeout: float | None = Field(None, gt=0)
    """Seconds per rollout."""


class SettingsFile(ConfigRecord):
    """The file: settings, and profiles that lie over them."""

    profile: str | None = None
    """The profile that is used; null: none."""
    settings: Settings = Field(default_factory=Settings)
    """What holds whatever the profile."""
    profiles: dict[str, Settings] = Field(default_factory=dict)
    """Named sets of settings."""


def settings_path(env: Mapping[str, str] = os.environ) -> Path:
    """Where the file is, whether or not there is one."""
    if named := env.get(FILE):
        return Path(named)
    base = env.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "nemo-evaluator" / "config.yaml"


def read_settings(env: Mapping[str, str] = os.environ) -> SettingsFile:
    """The user's settings; empty where there is none. Raises ConfigError."""
    path = settings_path(env)
    try:
        found = yaml.safe_load(read_document(path)) or {}
    except FileNotFoundError:
        return SettingsFile()
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"cannot be read: {first_line(error)}", where=str(path)) from None
    return _validated(found, path)


def effective(env: Mapping[str, str] = os.environ) -> dict[str, tuple[Any, str]]:
    """What holds now: value, and where it is from. Raises ConfigError for a profile that is not
    there."""
    file = read_settings(env)
    path = settings_path(env)
    settings = {name: (value, str(path)) for name, value in _given_values(file.settings).items()}
    name = env.get(PROFILE) or file.profile
    if name:
        profile = _profile(file, name, path)
        settings |= {
            key: (value, f"profile {name}") for key, value in _given_values(profile).items()
        }
    return settings


def change(
    key: str, value: str | None, profile: str | None = None, env: Mapping[str, str] = os.environ
) -> Path:
    """Set a key, or take it back where there is no value. Returns the file. Raises ConfigError."""
    check_key(key)
    file, path = read_settings(env), settings_path(env)
    document = file.model_dump(exclude_none=True)
    part = document.setdefault("settings", {})
    if profile is not None:
        part = document.setdefault("profiles", {}).setdefault(profile, {})
    if value is None:
        part.pop(key, None)
    else:
        part[key] = yaml.safe_load(value) if key not in TEXTS else value
    return _write(_validated(document, path, f"{key}: "), path)


def use(profile: str | None, env: Mapping[str, str] = os.environ) -> Path:
    """Choose a profile, or none. Returns the file. Raises ConfigError for one that is not there."""
    file, path = read_settings(env), settings_path(env)
    if profile is not None:
        _profile(file, profile, path)
    return _write(file.model_copy(update={"profile": profile}), path)


def check_key(key: str) -> None:
    """Raise ConfigError for what is no setting."""
    if key in KEYS:
        what = "is a secret, which no file of settings holds"
        raise ConfigError(what, where=key, hint=f"nel config set {KEYS[key]} NAME_OF_A_VARIABLE")
    if key not in Settings.model_fields:
        hint = suggest(key, Settings.model_fields) or f"one of {', '.join(Settings.model_fields)}"
        raise ConfigError(f"there is no setting {key!r}", hint=hint)


TEXTS = frozenset(
    name for name, field in Settings.model_fields.items() if field.annotation == str | None
)
"""Settings that are texts: what YAML would make of a value does not count."""


def _profile(file: SettingsFile, name: str, path: Path) -> Settings:
    found = file.profiles.get(name)
    if found is None:
        hint = suggest(name, file.profiles) or "nel config set KEY VALUE --profile NAME makes one"
        raise ConfigError(f"there is no profile {name!r}", where=str(path), hint=hint)
    return found


def _given_values(settings: Settings) -> dict[str, Any]:
    return {key: value for key, value in settings.model_dump().items() if value is not None}


def _validated(document: object, path: Path, what: str = "") -> SettingsFile:
    if not isinstance(document, dict):
        raise ConfigError("is no mapping", where=str(path))
    try:
        return SettingsFile.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        what_is_wrong = NO_VARIABLE if first["type"] == "string_pattern_mismatch" else first["msg"]
        raise ConfigError(f"{what or at + ': '}{what_is_wrong}", where=str(path)) from None


def _write(file: SettingsFile, path: Path) -> Path:
    document = file.model_dump(exclude_none=True)
    document = {name: value for name, value in document.items() if value}
    try:
        make_folder(path.parent)
        replace_file(path, yaml.safe_dump(document, sort_keys=False).encode())
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from None
    return path
