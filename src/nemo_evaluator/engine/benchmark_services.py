"""Which services the benchmarks of a run ask, and what of them stands in a plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..config.benchmark import BenchmarkConfig
from ..config.needed_services import asked_by
from ..config.root import EvalConfig
from ..config.secrecy import redact
from ..environments.contract import Environment
from ..environments.harness import Meeting
from ..errors import ConfigError
from ..results.layout import HARNESS
from ..services.contract import OpenServer, OpenService
from ..services.open import Opened
from ..solvers.contract import MODEL
from ..traffic.types import CallContext
from ..traffic.urls import base_url
from ..types import Json

VERIFIER = "verifier"
"""The role of the gym that verifies in the place of the benchmark."""


def wanted_services(config: EvalConfig) -> dict[str, int]:
    """The services that solve or judge, and the most requests each will have in flight."""
    wanted: dict[str, int] = {}
    for benchmark in config.benchmarks:
        for name in asked_by(benchmark):
            wanted[name] = max(wanted.get(name, 1), benchmark.max_concurrent)
    return wanted


def solving_services(benchmark: BenchmarkConfig) -> dict[str, str]:
    """The models that the solver asks, by role."""
    service = getattr(benchmark.solver, "service", None)
    others = getattr(benchmark.solver, "services", None) or {}
    if service is None or service in servers_of(benchmark).values():
        return dict(others)
    return {**others, MODEL: service}


def servers_of(benchmark: BenchmarkConfig) -> dict[str, str]:
    """The servers that are asked and are no models, by role."""
    servers = dict(benchmark.solver.servers) if benchmark.solver is not None else {}
    return servers if benchmark.verifier is None else {**servers, VERIFIER: benchmark.verifier}


@dataclass(frozen=True, slots=True)
class BenchmarkServices:
    """The services that a benchmark's solver asks."""

    name: str | None
    """Name of the solver's own service."""
    by_role: Mapping[str, OpenService]
    servers: Mapping[str, OpenServer]
    """Those that are no models, by role."""

    @classmethod
    def of(cls, benchmark: BenchmarkConfig, opened: Opened) -> BenchmarkServices:
        """The services of a benchmark, among all that are open."""
        roles, servers = solving_services(benchmark), servers_of(benchmark)
        return cls(
            getattr(benchmark.solver, "service", None),
            {role: opened.models[name] for role, name in roles.items()},
            {role: opened.servers[name] for role, name in servers.items()},
        )

    @property
    def own(self) -> OpenService | None:
        """The solver's own service."""
        return self.by_role.get(MODEL)

    def meeting(self, folder: Path, most: int | None, *, ask: bool) -> Meeting:
        """The solver's own model, for what asks other questions of other endpoints. ``folder``: the
        benchmark's; ``most``: problems that will be asked."""
        slug, own_files = folder.name, folder / HARNESS
        if self.own is None:
            return Meeting(max_problems=most, folder=own_files)
        settings = self.own.client.settings
        context = CallContext(session=f"{slug}/probe", benchmark=slug) if ask else None
        upstream, tokenizer = settings.upstream, settings.tokenizer
        return Meeting(self.own.client, context, tokenizer, upstream, most, own_files)

    def check_protocol(self, environment: Environment) -> None:
        """Raise ConfigError if the benchmark is made for another API."""
        wanted = environment.needs.protocol
        if wanted is not None and self.own is not None and self.own.protocol != wanted:
            raise ConfigError(
                f"the benchmark is made for an endpoint with protocol {wanted}",
                where=environment.name,
                hint=f"use a service with protocol: {wanted}, not {self.own.protocol}",
            )

    def base_url(self, secrets: Collection[str]) -> str | None:
        """The endpoint's address as it may be written down: without credentials and query."""
        if self.own is None or not self.own.endpoints:
            return None
        return redact(base_url(self.own.endpoints[0]), secrets)

    def roles_identity(self) -> dict[str, Json]:
        """What changes the answers of the models beside the solver's own."""
        found: dict[str, Json] = {
            role: {"model": service.client.name, **service.identity}
            for role, service in self.by_role.items()
            if role != MODEL
        }
        servers: dict[str, Json] = {role: dict(s.identity) for role, s in self.servers.items()}
        return {
            **({"roles": found} if found else {}),
            **({"servers": servers} if servers else {}),
        }
