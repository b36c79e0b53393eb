"""The example benchmarks run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from runs import NEL, ROOT

EXAMPLES = sorted((ROOT / "examples" / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_validates_from_any_folder(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [*NEL, "validate", "-b", str(path), "--samples", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 verified" in done.stdout


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2
