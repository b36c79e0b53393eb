"""Plug-ins in a configuration: their type and options are checked where they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.config.cluster import PluginCluster
from nemo_evaluator.config.load import parse
from nemo_evaluator.config.plugins import PluginFields, given
from nemo_evaluator.config.runnable import check_runnable
from nemo_evaluator.config.sandboxes import PluginSandbox
from nemo_evaluator.config.schema import json_schema
from nemo_evaluator.config.services import PluginService
from nemo_evaluator.config.solvers import PluginSolver
from nemo_evaluator.engine.workspaces import workspace_identity
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandbox_spec import SolverNeeds

from .conftest import Fails, Load, document

PACKAGE = """
from nemo_evaluator.config.base import ConfigRecord
from pydantic import BaseModel, SecretStr

class Patient:
    class Options(ConfigRecord):
        service: str
        rounds: int = 1
        api_key: SecretStr | None = None
    def __init__(self, options): self.options = options

class Plain:
    def __init__(self, **words): self.words = words

class Lenient:
    class Options(BaseModel):
        size: int = 1
    def __init__(self, options): self.options = options

class Strange:
    class Options:
        size = 1

class Cloud:
    class Options(ConfigRecord):
        region: str
"""
ENTRIES = """
[nemo_evaluator.solvers]
patient = patience:Patient
plain = patience:Plain
broken = patience:Missing
lenient = patience:Lenient
strange = patience:Strange
[nemo_evaluator.sandboxes]
hut = patience:Plain
[nemo_evaluator.executors]
cloud = patience:Cloud
"""


@pytest.fixture
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with solvers and an executor."""
    folder = tmp_path / "site"
    info = folder / "patience-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "patience.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: patience\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(folder))


def solver(**fields: Any) -> Any:
    return parse(document(solver=fields), env={}).config.solver


@pytest.mark.usefixtures("_package")
def test_options_are_validated_and_shared_fields_are_both() -> None:
    found = solver(type="patient", service="m", rounds=3, api_key="k-123456789")
    assert isinstance(found, PluginSolver) and found.service == "m"
    options: Any = given(found)
    assert (options.service, options.rounds) == ("m", 3)
    assert "k-123456789" not in repr(found) + str(found.model_dump())


@pytest.mark.usefixtures("_package")
def test_a_plug_in_may_have_models_in_several_roles(fails: Fails) -> None:
    found = solver(type="patient", service="m", services={"user": "m"})
    assert found.services == {"user": "m"} and "services" not in found.options.model_dump()
    text = "services:\n  m: {type: simulated}\nbenchmarks:\n  - name: sample\n    solver:\n"
    told = fails(text + "      type: patient\n      service: m\n      services: {user: mm}\n")
    assert told == (
        "c.yaml:8: benchmarks[0].solver.services.user: there is no service 'mm' — did you mean 'm'?"
    )


@pytest.mark.usefixtures("_package")
def test_without_options_the_fields_are_arguments() -> None:
    """What the package brings without options takes any."""
    found = solver(type="plain", service="m", colour="red")
    assert given(found) == {"colour": "red"}
    check_runnable(parse(document(solver={"type": "plain", "service": "m"}), env={}))


@pytest.mark.usefixtures("_package")
def test_mistakes_have_a_line_and_a_hint(fails: Fails) -> None:
    text = fails(
        "services:\n  m: {type: simulated}\n"
        "solver:\n  type: patient\n  service: m\n  round: 2\n"
        "benchmarks:\n"
        "  - name: a\n    solver:\n      type: patiens\n"
        "  - name: b\n    solver:\n      type: broken\n"
        "  - name: c\n    solver:\n      type: patient\n      rounds: two\n"
        "cluster:\n  type: cloud\n"
    )
    assert text == (
        "6 problems in the configuration:\n"
        "  c.yaml:6: solver.round: unknown field — did you mean 'rounds'?\n"
        "  c.yaml:9: benchmarks[0].solver: there is no type 'patiens' — did you mean 'patient'?\n"
        "  c.yaml:13: benchmarks[1].solver.type: cannot be loaded: AttributeError: "
        "module 'patience' has no attribute 'Missing'\n"
        "  c.yaml:15: benchmarks[2].solver.service: is required\n"
        "  c.yaml:17: benchmarks[2].solver.rounds: must be a whole number (got 'two')\n"
        "  c.yaml:18: cluster.region: is required"
    )


@pytest.mark.usefixtures("_package")
def test_any_pydantic_model_will_do_and_nothing_is_passed_over(fails: Fails) -> None:
    assert solver(type="lenient", size=3).options.size == 3
    text = "services: {m: {type: simulated}}\nbenchmarks: [{name: sample}]\nsolver:\n"
    assert fails(text + "  type: lenient\n  sise: 3\n") == (
        "c.yaml:5: solver.sise: unknown field — did you mean 'size'?"
    )
    assert fails(text + "  type: strange\n  size: 3\n") == (
        "c.yaml:4: solver.type: its Options are no pydantic model"
        " — class Options(nemo_evaluator.config.base.ConfigRecord)"
    )


@pytest.mark.usefixtures("_package")
def test_a_wrong_value_that_is_a_secret_is_not_repeated(loads: Load) -> None:
    text = "services: {m: {type: simulated}}\nbenchmarks: [{name: sample}]\n"
    env = {"SERVER_TOKEN": "s3cret-9f8e7d6c5b"}
    with pytest.raises(ConfigError) as caught:
        solver = "solver: {type: patient, service: m, rounds: '${SERVER_TOKEN}'}\n"
        loads(text + solver, env=env)
    assert "rounds: must be a whole number" in str(caught.value)
    export = "output: {export: [csv], export_config: {csv: {file: ['${SERVER_TOKEN}']}}}\n"
    with pytest.raises(ConfigError) as told:
        check_runnable(loads(text + export, env=env))
    assert "output.export_config.csv.file: must be text" in str(told.value)
    assert "s3cret" not in str(caught.value) + str(told.value)


@pytest.mark.usefixtures("_package")
def test_the_schema_has_what_is_installed() -> None:
    schema: dict[str, Any] = json_schema()
    [field] = [part for part in schema["properties"]["solver"]["anyOf"] if "oneOf" in part]
    [patient] = [
        part
        for part in field["oneOf"]
        if part.get("properties", {}).get("type", {}).get("const") == "patient"
    ]
    own, shared = {"type", "service", "rounds", "api_key"}, {"services"}
    assert set(patient["properties"]) == own | shared
    assert patient["additionalProperties"] is False and "type" in patient["required"]


@pytest.mark.parametrize("record", [PluginSolver, PluginSandbox, PluginService, PluginCluster])
def test_records_of_plug_ins_take_further_fields(record: type[PluginFields]) -> None:
    assert record.model_config["extra"] == "allow" and record.model_config["frozen"]


def problems_of(schema: dict[str, Any], **output_and_more: Any) -> list[str]:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(schema)
    found = validator.iter_errors(document(**output_and_more))
    return sorted("/".join(map(str, error.absolute_path)) for error in found)


def test_the_schema_knows_plug_ins_by_name_and_their_options() -> None:
    schema: dict[str, Any] = json_schema()

    def piped(name: str, **config: Any) -> dict[str, Any]:
        step = {"name": name, "config": config}
        return {"m": {"type": "simulated", "proxy": {"interceptors": [step]}}}

    good = {"export": ["csv"], "export_config": {"csv": {"file": "x"}}, "report": ["html"]}
    assert problems_of(schema, output=good) == []
    assert problems_of(schema, output={"export": ["cvs"]}) == ["output/export/0"]
    assert problems_of(schema, output={"export_config": {"csv": {"fil": "x"}}}) == [
        "output/export_config/csv"
    ]
    assert problems_of(schema, output={"report": ["pdf", "my.formats:Pdf"]}) == ["output/report/0"]
    assert problems_of(schema, services=piped("budget", run={"tokens": 5})) == []
    for services in (piped("bugdet"), piped("budget", run={"token": 5})):
        assert problems_of(schema, services=services)
    for solver, fine in (
        ({"type": "simple", "service": "m"}, True),
        ({"type": "simpel", "service": "m"}, False),
        ({"type": "mine.py:Solver", "colour": "red"}, True),
        ({"type": "mine.py:Solver", "services": "red"}, False),
    ):
        assert (problems_of(schema, solver=solver) == []) is fine


def test_ones_own_class_by_path(
    loads: Load, write: Callable[..., Path], fails: Fails, tmp_path: Path
) -> None:
    write(PACKAGE, "mine.py")
    path = tmp_path / "mine.py"
    text = (
        "services:\n  m: {type: simulated}\nbenchmarks:\n  - name: sample\n    solver:\n"
        f"      type: {path}:Patient\n      service: m\n"
    )
    loaded = loads(text)
    check_runnable(loaded)
    options: Any = given(loaded.config.benchmarks[0].solver)  # type: ignore[arg-type]
    assert options.rounds == 1
    assert "mine.py:Patient" in loaded.snapshot()
    assert "c.yaml:8: benchmarks[0].solver.rounds: must be a whole" in fails(
        f"{text}      rounds: x"
    )


def test_a_type_that_needs_quotes_is_told() -> None:
    with pytest.raises(ConfigError, match="there is no type '7'"):
        solver(type=7)


@pytest.mark.usefixtures("_package")
def test_options_of_ones_own_sandbox_identify_its_workspace() -> None:
    class Works:
        needs = SolverNeeds(sandbox=True)

    def identity(**fields: Any) -> Any:
        benchmark = {"name": "sample", "sandbox": {"type": "hut", **fields}}
        config = parse(document(benchmarks=[benchmark]), env={}).config
        return workspace_identity(config.benchmarks[0], Works())  # type: ignore[arg-type]

    assert identity(motto="slow", concurrency=2) == identity(motto="slow", concurrency=3)
    assert identity(motto="slow") != identity(motto="fast")
    told = identity(motto="slow", api_key="k-1234567890")["workspace"]["options"]
    assert told["motto"] == "slow" and "k-1234567890" not in str(told)
