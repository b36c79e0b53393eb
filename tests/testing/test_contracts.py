"""Our own plug-ins keep the contracts that `nemo_evaluator.testing` states for any."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from runs import ROOT

from nemo_evaluator import EvalEnvironment, SeedResult, VerifyResult, register
from nemo_evaluator.config.agents import GymResourceService
from nemo_evaluator.config.services import CustomService, SimulatedService
from nemo_evaluator.config.solvers import SimpleSolver as SimpleConfig
from nemo_evaluator.environments.contract import Environment
from nemo_evaluator.environments.registry import resolve
from nemo_evaluator.executors.local_executor import LocalExecutor
from nemo_evaluator.exporters.hf import HuggingFace
from nemo_evaluator.exporters.inspect_log.exporter import InspectLog
from nemo_evaluator.exporters.jsonl import Jsonl
from nemo_evaluator.exporters.junit import Junit
from nemo_evaluator.exporters.parquet import Parquet
from nemo_evaluator.exporters.table import Table
from nemo_evaluator.services.custom import Custom
from nemo_evaluator.services.gym import Gym
from nemo_evaluator.services.simulated.kind import Simulated
from nemo_evaluator.solvers.simple import SimpleSolver
from nemo_evaluator.testing.environments import EnvironmentContract
from nemo_evaluator.testing.executors import ExecutorContract
from nemo_evaluator.testing.exporters import ExporterContract
from nemo_evaluator.testing.services import ServerContract, ServiceContract
from nemo_evaluator.testing.solvers import SolverContract
from nemo_evaluator.types import Problem

SERVER = str(ROOT / "tests/support/model_server.py")


async def opened(name: str) -> AsyncIterator[Environment]:
    [made] = resolve(name, params={})
    await made.prepare()
    yield made
    await made.close()


class TestDecorated(EnvironmentContract):
    @pytest.fixture
    async def environment(self) -> AsyncIterator[Environment]:
        async for made in opened("sample"):
            yield made

    def right(self, problem: Problem) -> str:
        return f"Answer: {problem.target}"


@register("contract-sums")
class Sums(EvalEnvironment):
    def __init__(self) -> None:
        super().__init__()
        self._dataset = [{"question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(9)]

    async def seed(self, idx: int) -> SeedResult:
        row = self._dataset[idx]
        return SeedResult(prompt=row["question"], expected_answer=row["answer"])

    async def verify(self, response: str, expected: str, **metadata: Any) -> VerifyResult:
        return VerifyResult(reward=float(response.strip() == expected))


class TestSubclassed(EnvironmentContract):
    @pytest.fixture
    async def environment(self) -> AsyncIterator[Environment]:
        async for made in opened("contract-sums"):
            yield made

    def right(self, problem: Problem) -> str:
        return str(problem.target)


class TestSimpleSolver(SolverContract):
    @pytest.fixture
    def solver(self) -> SimpleSolver:
        return SimpleSolver(SimpleConfig(type="simple", service="model"))


class TestSimulated(ServiceContract):
    @pytest.fixture
    def kind(self) -> Simulated:
        return Simulated()

    @pytest.fixture
    def options(self) -> SimulatedService:
        return SimulatedService(type="simulated")


class TestStarted(ServiceContract):
    @pytest.fixture
    def kind(self) -> Custom:
        return Custom()

    @pytest.fixture
    def options(self) -> CustomService:
        command = [sys.executable, SERVER, "--port", "{port}"]
        return CustomService(
            type="custom", command=command, health_path="/health", startup_timeout=20
        )


class TestGym(ServerContract):
    @pytest.fixture
    def kind(self) -> Gym:
        return Gym()

    @pytest.fixture
    def options(self) -> GymResourceService:
        command = f"exec {sys.executable} {SERVER} --port $PORT"
        return GymResourceService(type="gym", server_cmd=command, startup_timeout=20)


class TestTable(ExporterContract):
    @pytest.fixture
    def exporter(self, tmp_path: Path) -> Table:
        return Table(Table.Options(output_dir=str(tmp_path / "out")))


class TestJsonl(ExporterContract):
    @pytest.fixture
    def exporter(self, tmp_path: Path) -> Jsonl:
        return Jsonl(Jsonl.Options(output_dir=str(tmp_path / "out")))


class TestParquet(ExporterContract):
    @pytest.fixture
    def exporter(self, tmp_path: Path) -> Parquet:
        return Parquet(Parquet.Options(output_dir=str(tmp_path / "out")))


class TestJunit(ExporterContract):
    @pytest.fixture
    def exporter(self, tmp_path: Path) -> Junit:
        return Junit(Junit.Options(output_dir=str(tmp_path / "out")))


class TestInspectLog(ExporterContract):
    @pytest.fixture
    def exporter(self, tmp_path: Path) -> InspectLog:
        return InspectLog(InspectLog.Options(output_dir=str(tmp_path / "out")))


class TestHuggingFace(ExporterContract):
    @pytest.fixture
    def exporter(self, tmp_path: Path) -> HuggingFace:
        return HuggingFace(HuggingFace.Options(output_dir=str(tmp_path / "out")))


@pytest.mark.process
class TestLocal(ExecutorContract):
    @pytest.fixture
    def executor(self) -> LocalExecutor:
        return LocalExecutor()
