"""A package of its own adds a plug-in of each kind: it is built, installed, listed, and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from engines import require
from runs import NEL, rows

from nemo_evaluator.kinds import KINDS

pytestmark = pytest.mark.process

PACKAGE = Path(__file__).parents[1] / "plugin_package"
ADDED = {
    "benchmarks": "fruit",
    "schemes": "orchard",
    "solvers": "patient",
    "services": "gardener",
    "sandboxes": "shed",
    "executors": "greenhouse",
    "exporters": "ledger",
    "importers": "almanac",
    "reports": "haiku",
    "interceptors": "counter",
    "scorers": "names_a_fruit",
    "instructions": "fruit:mentioned",
}
CONFIG = """\
services:
  model:
    type: gardener
    fruit: pear
    proxy:
      interceptors:
        - name: counter
          config: {path: requests.txt}
solver: {type: patient, service: model, rounds: 3}
scoring:
  metrics:
    - {type: scorer, name: names_a_fruit}
benchmarks:
  - name: orchard://pear
    params: {size: 4}
    scoring:
      metrics:
        - {type: scorer, name: ifeval}
  - name: fruit
    sandbox: {type: shed, motto: "grow slowly", concurrency: 2}
cluster: {type: greenhouse, niceness: 3}
output:
  dir: run
  report: [haiku]
  export: [ledger]
  export_config:
    ledger: {path: ledger.json}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder the package is installed into, from a wheel that is built of it."""
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("site")
    words = ("-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation")
    command = [sys.executable, *words, "--disable-pip-version-check", "--target", folder, PACKAGE]
    subprocess.run(list(map(str, command)), check=True, timeout=100, capture_output=True)
    return folder


def nel(site: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.run(
        [*NEL, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=100
    )


def test_each_kind_has_one() -> None:
    assert set(ADDED) == set(KINDS)


def test_all_are_listed(site: Path, tmp_path: Path) -> None:
    listed = nel(site, tmp_path, "list").stdout
    assert "  gardener " in nel(site, tmp_path, "list", "services").stdout
    for kind, name in ADDED.items():
        assert re.search(rf"^{kind}:$(\n  .*)*\n  {name} +from orchard\.", listed, re.MULTILINE)


def test_all_are_run_by_one_configuration(site: Path, tmp_path: Path) -> None:
    require("local")
    (tmp_path / "c.yaml").write_text(CONFIG)
    done = nel(site, tmp_path, "eval", "run", "c.yaml")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    assert json.loads((run / "greenhouse.json").read_text()) == {"niceness": 3}
    assert (run / "report.haiku").read_text().splitlines()[1] == "orchard-pear, fruit"
    [ledger] = json.loads((tmp_path / "ledger.json").read_text()).values()
    assert ledger == {"orchard-pear": 1.0, "fruit": 1.0}
    assert (tmp_path / "requests.txt").read_text() == "|" * 8
    identity = json.loads((run / "plan.lock").read_text())["benchmarks"][0]["identity"]
    assert "pear" in str(identity) and "patient" in str(identity)
    for row in rows(run / "orchard-pear"):
        assert row["scoring_details"]["scorer:ifeval"]["correct"]
    for row in rows(run / "fruit"):
        assert row["scoring_details"]["motto"] == "grow slowly"
        assert row["scoring_details"]["scorer:names_a_fruit"]["correct"]


def test_an_importer_reads_what_its_tool_wrote(site: Path, tmp_path: Path) -> None:
    (tmp_path / "harvest.almanac").write_text("Sweet?|pear|pear\nSour?|lemon|lime\n")
    done = nel(site, tmp_path, "import", "harvest.almanac", "-o", "imported")
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "imported" / "harvest")
    assert [(row["reward"], row["model_response"]) for row in found] == [
        (1.0, "pear"),
        (0.0, "lime"),
    ]
