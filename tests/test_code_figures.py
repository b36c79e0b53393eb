"""The shape of the code keeps its limits (`benchmarks/code_figures.py` prints all figures)."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> dict[str, object]:
    return runpy.run_path(str(ROOT / "benchmarks/code_figures.py"))


def test_types_are_named_and_functions_and_files_are_short(script: dict[str, object]) -> None:
    found = script["figures"](script["SOURCE"])  # type: ignore[operator]
    at = script["at"]
    assert found.any_rate < 8, "name the type, use Json or object: see CONTRIBUTING.md"
    assert at(0.99, found.functions) <= 40 and found.long_share < 0.005  # type: ignore[operator]
    assert at(0.9, found.files) <= 280 and max(found.files) <= 500  # type: ignore[operator]
