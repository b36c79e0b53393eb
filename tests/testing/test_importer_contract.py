"""Our own importers keep the contract that is stated for any."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from published import write_results

from nemo_evaluator.importers.inspect_log.importer import InspectLogs
from nemo_evaluator.importers.lm_eval.importer import LmEval
from nemo_evaluator.importers.published import PublishedResults
from nemo_evaluator.importers.table import TableFile
from nemo_evaluator.testing.importers import ImporterContract


class TestInspect(ImporterContract):
    @pytest.fixture
    def importer(self) -> InspectLogs:
        return InspectLogs()

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        spec = {"task": "t", "model": "m", "dataset": {"sample_ids": ["a", "b", "c"]}}
        output = {"choices": [{"stop_reason": "stop"}], "completion": "a"}
        one = {"id": "a", "epoch": 1, "output": output, "scores": {"x": {"value": "C"}}}
        other = {"id": "b", "epoch": 1, "error": {"message": "gone"}}
        path = tmp_path / "log.eval"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("header.json", json.dumps({"version": 2, "eval": spec}))
            for sample in (one, other):
                name = f"samples/{sample['id']}_epoch_1.json"
                archive.writestr(name, json.dumps(sample))
        return path


class TestLmEval(ImporterContract):
    @pytest.fixture
    def importer(self) -> LmEval:
        return LmEval()

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        folder = tmp_path / "out"
        folder.mkdir()
        line = {"resps": [["a"]], "filter": "none", "metrics": ["acc"], "acc": 1.0}
        text = "".join(json.dumps({"doc_id": place, **line}) + "\n" for place in (0, 1, 5))
        (folder / "samples_t_2026-01-02T03-04-05.jsonl").write_text(text)
        return folder


class TestPublished(ImporterContract):
    @pytest.fixture
    def importer(self) -> PublishedResults:
        return PublishedResults()

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return write_results(tmp_path / "theirs/x", {0: [1.0, None], 2: [0.5, 0.0]})


class TestTable(ImporterContract):
    @pytest.fixture
    def importer(self) -> TableFile:
        return TableFile(TableFile.Options())

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        path = tmp_path / "t.csv"
        path.write_text("id,reward,repeat\nb,1,1\na,,1\nb,0.5,2\n")
        return path
