"""What every exporter promises; see `exporters.contract`.

```python
class TestMine(ExporterContract):
    @pytest.fixture
    def exporter(self, tmp_path):
        return MyExporter(folder=tmp_path / "out")
```
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ..exporters.contract import Exporter
from ..results.view import RunView


class ExporterContract:
    """Subclass it with a fixture ``exporter`` that writes to a place of the test's own."""

    @pytest.fixture(scope="class")
    @classmethod
    def run(cls, tmp_path_factory: pytest.TempPathFactory) -> RunView:
        """A small run that has ended, with rollouts that have no verdict."""
        from .. import evaluate

        folder = tmp_path_factory.mktemp("exported") / "run"
        faults = {"server_error": 0.2, "retry_after_s": 0.001}
        service = {"type": "simulated", "faults": faults, "proxy": {"max_retries": 0}}
        entry = {"name": "sample", "max_problems": 8, "repeats": 2, "max_system_retries": 1}
        output = {"dir": str(folder), "report": []}
        evaluate({"services": {"model": service}, "benchmarks": [entry], "output": output})
        return RunView.open(folder)

    async def test_it_says_where_the_run_is_now(self, exporter: Exporter, run: RunView) -> None:
        """At least one place, as text."""
        assert isinstance(exporter, Exporter)
        places = await exporter.export(run)
        assert places and all(isinstance(place, str) and place for place in places)

    async def test_the_same_run_again_changes_nothing(
        self, exporter: Exporter, run: RunView
    ) -> None:
        """A run that is exported again replaces what was exported of it."""
        first = await exporter.export(run)
        before = {place: _content(place) for place in first}
        again = await exporter.export(run)
        assert list(again) == list(first) and {p: _content(p) for p in again} == before

    async def test_the_run_stays_as_it_is(self, exporter: Exporter, run: RunView) -> None:
        """Nothing in the run's directory is changed."""
        before = _digests(run.directory)
        await exporter.export(run)
        assert _digests(run.directory) == before


def _content(place: str) -> bytes | None:
    path = Path(place)
    return path.read_bytes() if path.is_file() else None


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
