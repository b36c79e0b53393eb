"""What every importer promises; see `importers.contract`.

```python
class TestMine(ImporterContract):
    @pytest.fixture
    def importer(self):
        return MyImporter()

    @pytest.fixture
    def source(self, tmp_path):
        return write_results_of_my_tool(tmp_path)
```
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..importers.contract import Importer
from ..importers.writing import write_run
from ..results.view import RunView


class ImporterContract:
    """Subclass it with a fixture ``importer``, and one ``source``: a path with results."""

    def test_it_knows_its_files(self, importer: Importer, source: Path, tmp_path: Path) -> None:
        """A path of its own is taken, an empty folder is not, and nothing is written."""
        assert isinstance(importer, Importer)
        other = tmp_path / "nothing"
        other.mkdir()
        before = _digests(source)
        assert importer.takes(source) and not importer.takes(other)
        assert importer.read(source) and _digests(source) == before

    def test_rollouts_are_read_anew(self, importer: Importer, source: Path) -> None:
        """Each call gives the same rollouts, each once, within the dataset."""
        for benchmark in importer.read(source):
            first = [rollout.key for rollout in benchmark.rollouts()]
            assert first and [rollout.key for rollout in benchmark.rollouts()] == first
            assert len(set(first)) == len(first)
            assert all(0 <= key.problem_idx < benchmark.size for key in first)
            assert all(0 <= key.repeat < benchmark.repeats for key in first)

    def test_the_run_holds_what_was_read(
        self, importer: Importer, source: Path, tmp_path: Path
    ) -> None:
        """Every rollout has a row; one without a score has no reward there."""
        read = importer.read(source)
        write_run(tmp_path / "run", read)
        views = RunView.open(tmp_path / "run").benchmarks()
        for benchmark, view in zip(read, views, strict=True):
            scored = {rollout.key: rollout.score for rollout in benchmark.rollouts()}
            rows = {row.key: row for row in view.rows()}
            assert set(rows) == set(scored)
            for key, score in scored.items():
                expected = score.reward if score is not None and score.rated else None
                assert rows[key].reward == expected
                assert rows[key].judged is (score is not None)


def _digests(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
