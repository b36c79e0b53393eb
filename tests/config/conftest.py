"""Writing configuration files and reading the errors they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from nemo_evaluator.config.load import Loaded, load
from nemo_evaluator.errors import ConfigError

Load = Callable[..., Loaded]
Fails = Callable[..., str]


def document(**changes: Any) -> dict[str, Any]:
    """The smallest document that can be run, with top-level keys replaced."""
    return {
        "services": {"m": {"type": "simulated"}},
        "benchmarks": [{"name": "sample"}],
        **changes,
    }


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty directory, with an empty home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a text, or a document as YAML, under a name."""

    def write_file(content: str | Mapping[str, Any], name: str = "c.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (
            content if isinstance(content, str) else yaml.safe_dump(dict(content), sort_keys=False)
        )
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def loads(write: Callable[..., Path]) -> Load:
    """Load a text as a file."""

    def load_text(content: Any, *overrides: str, env: Mapping[str, str] | None = None) -> Loaded:
        return load(write(content), overrides, env=env or {})

    return load_text


@pytest.fixture
def fails(loads: Load, tmp_path: Path) -> Fails:
    """The whole error a text gives, with the folder left out."""

    def error_of(content: Any, *overrides: str, env: Mapping[str, str] | None = None) -> str:
        with pytest.raises(ConfigError) as caught:
            loads(content, *overrides, env=env)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return error_of
