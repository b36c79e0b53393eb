"""The slurm backend against an srun with the options of pyxis (`tests/support/pyxis`)."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes import Backend, SandboxLost, SandboxSpec
from nemo_evaluator.sandboxes.slurm import SlurmBackend
from nemo_evaluator.sandboxes.slurm_nodes import HET_GROUP, NODES, Nodes, nodes_of_job
from nemo_evaluator.testing.sandboxes import SandboxContract

SHIM = Path(__file__).parent.parent / "support" / "pyxis"
SPEC = SandboxSpec(network="bridge")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local_engine: None) -> Path:
    monkeypatch.setenv("PYXIS_STATE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{SHIM}:{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
async def backend(cluster: Path) -> AsyncIterator[Backend]:
    made = SlurmBackend(image="base", nodes=Nodes(["n1", "n2"], 2))
    yield made
    await made.close()


def calls(cluster: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (cluster / "calls").read_text().splitlines()]


@pytest.mark.slow
class TestSlurm(SandboxContract):
    spec = msgspec.structs.replace(SandboxContract.spec, network="bridge")


async def test_a_value_is_on_no_command_line(backend: Backend, cluster: Path) -> None:
    box = await backend.create(msgspec.structs.replace(SPEC, env={"TOKEN": "s3cret"}))
    got = await box.exec("echo $TOKEN $MORE", env={"MORE": "m0re"})
    await box.close()
    assert got.stdout == "s3cret m0re\n"
    noted = (cluster / "calls").read_text()
    assert "s3cret" not in noted and "m0re" not in noted


async def test_what_srun_is_told(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NODES, "n7")
    monkeypatch.setenv(HET_GROUP, "1")
    made = SlurmBackend(image="ghcr.io/org/task:1")
    box = await made.create(msgspec.structs.replace(SPEC, folders=(str(SHIM),)))
    await box.close()
    holder = calls(cluster)[0]["options"]
    assert holder["--nodelist"] == "n7" and holder["--het-group"] == "1"
    assert holder["--container-image"] == "ghcr.io#org/task:1"
    assert holder["--container-mounts"] == f"{SHIM}:{SHIM}:ro"
    assert holder["--ntasks"] == "1" and "--overlap" in holder


async def test_sandboxes_are_spread_and_wait_for_a_slot(backend: Backend, cluster: Path) -> None:
    boxes = [await backend.create(SPEC) for _ in range(4)]
    nodes = [c["options"]["--nodelist"] for c in calls(cluster)]
    assert sorted(nodes) == ["n1", "n1", "n2", "n2"]
    fifth = asyncio.create_task(backend.create(SPEC))
    await asyncio.sleep(0.2)
    assert not fifth.done()
    await boxes[0].close()
    boxes.append(await fifth)
    await asyncio.gather(*(box.close() for box in boxes))


async def test_a_step_that_does_not_start_frees_its_slot(cluster: Path) -> None:
    made = SlurmBackend(image="missing", nodes=Nodes(["n1"], 1))
    for _ in range(2):
        with pytest.raises(SandboxLost, match=r"node n1: .* did not start: .*failed to import"):
            await made.create(SPEC)
    with pytest.raises(ConfigError, match="node n1 cannot start image missing"):
        await made.pull(None)


async def test_a_network_of_its_own_is_refused(backend: Backend) -> None:
    with pytest.raises(ConfigError, match="shares the network of its node"):
        backend.check(SandboxSpec())


def test_without_nodes_it_says_how_to_name_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NODES, raising=False)
    with pytest.raises(ConfigError, match="scontrol show hostnames"):
        nodes_of_job(4)


async def test_an_srun_without_pyxis_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "srun"
    program.write_text("#!/bin/sh\necho usage\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ConfigError, match="has no --container-image"):
        await SlurmBackend(image="x", nodes=Nodes(["n1"], 1)).preflight()
