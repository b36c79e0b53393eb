"""`playbook:` puts a file of defaults under an entry of `benchmarks`."""

from __future__ import annotations

from pathlib import Path

import pytest

from nemo_evaluator.config.load import load, parse
from nemo_evaluator.config.playbooks import OURS
from nemo_evaluator.config.runnable import check_runnable
from nemo_evaluator.errors import ConfigError

SERVICES = "services:\n  m: {type: simulated}\n"


def written(folder: Path, entries: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(f"{SERVICES}benchmarks:\n{entries}")
    return path


@pytest.mark.parametrize("reference", ["maths", "maths.yaml", "./maths.yaml"])
def test_the_entry_wins_over_its_playbook(tmp_path: Path, reference: str) -> None:
    (tmp_path / "maths.yaml").write_text(
        "name: gsm8k\nrepeats: 4\nmax_problems: 9\n"
        "solver: {type: simple, service: m, generation: {temperature: 0.5, seed: 1}}\n"
    )
    entries = (
        f"  - playbook: {reference}\n    repeats: 2\n"
        "    solver: {generation: {temperature: 0.9}}\n  - name: sample\n"
    )
    loaded = load(written(tmp_path, entries), env={})
    first, second = loaded.config.benchmarks
    assert (first.name, first.repeats, first.max_problems) == ("gsm8k", 2, 9)
    assert first.solver is not None and second.name == "sample"
    assert first.solver.generation.params() == {"temperature": 0.9, "seed": 1}  # type: ignore[union-attr]
    assert str(tmp_path / "maths.yaml") in loaded.sources
    assert "playbook" not in loaded.snapshot()


def test_overrides_and_the_environment_reach_it(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text("name: ${BENCH}\nrepeats: 4\n")
    path = written(tmp_path, "  - playbook: p\n")
    loaded = load(path, overrides=["benchmarks.0.repeats=3"], env={"BENCH": "sample"})
    assert (loaded.config.benchmarks[0].name, loaded.config.benchmarks[0].repeats) == ("sample", 3)


def test_a_fault_in_it_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("name: sample\nrepeats: 0\n")
    with pytest.raises(ConfigError, match=r"p\.yaml:2: benchmarks\[0\]\.repeats"):
        load(written(tmp_path, "  - playbook: p\n"), env={})


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nosuch", "run.yaml:4: there is no playbook 'nosuch' — looked in"),
        ("swebench_pro", "of a benchmark that this version does not have"),
        ("[a]", "must be the name of a file"),
    ],
)
def test_a_playbook_that_cannot_be_used(tmp_path: Path, reference: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(written(tmp_path, f"  - playbook: {reference}\n"), env={})


def test_a_playbook_is_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("- name: sample\n")
    with pytest.raises(ConfigError, match="mapping"):
        load(written(tmp_path, "  - playbook: p\n"), env={})


def test_a_document_given_as_a_mapping_may_have_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text("name: sample\n")
    document = {"services": {"m": {"type": "simulated"}}, "benchmarks": [{"playbook": "p"}]}
    assert parse(document, env={}).config.benchmarks[0].name == "sample"


@pytest.mark.parametrize("name", [path.stem for path in sorted(OURS.glob("*.yaml"))])
def test_the_playbooks_of_this_package(tmp_path: Path, name: str) -> None:
    """They can be run as they are, and what the entry says wins."""
    services = {"model": {"type": "simulated"}, "judge": {"type": "simulated"}}
    document = {"services": services, "benchmarks": [{"playbook": name, "timeout": 5}]}
    loaded = parse(document, env={})
    check_runnable(loaded)
    [benchmark] = loaded.config.benchmarks
    assert loaded.warnings == () and benchmark.timeout == 5
    assert benchmark.solver is not None and benchmark.solver.needs.sandbox
