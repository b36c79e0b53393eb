"""The sandboxes of a benchmark's solver and verification, as configuration and needs say.

The engines are imported where one is opened: most benchmarks need none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec

from ..config.benchmark import BenchmarkConfig
from ..config.sandboxes import (
    ContainerFields,
    EcsFargateSandbox,
    MadeSandbox,
    NoSandbox,
    OnlyBridge,
)
from ..environments.contract import Environment
from ..errors import ConfigError
from ..sandboxes.contract import Backend, Sandbox, SandboxSpec
from ..sandboxes.pool import SandboxPool
from .places import Places

UNCONFIGURED = 4
"""Sandboxes of a benchmark whose configuration says nothing."""
UNITS = {"": 2**-20, "b": 2**-20, "k": 2**-10, "m": 1, "g": 2**10, "t": 2**20}


@dataclass(frozen=True, slots=True)
class Turn:
    """What a benchmark may have of the sandboxes that are alive at the same time in a run: those
    of several benchmarks together are not more than the one that wants most would have alone."""

    places: Places
    rank: int


def alive_at_once(benchmarks: Iterable[BenchmarkConfig]) -> int:
    """How many sandboxes of a run may be alive at the same time."""
    configs = [benchmark.sandbox for benchmark in benchmarks]
    asked = [config.concurrency for config in configs if isinstance(config, MadeSandbox)]
    unset = len(asked) < len(configs)
    return max([*asked, *([UNCONFIGURED] if unset else [])], default=UNCONFIGURED)


async def open_sandboxes(
    benchmark: BenchmarkConfig,
    environment: Environment,
    stack: AsyncExitStack,
    turn: Turn,
    *,
    for_solver: bool = False,
) -> Lender | None:
    """Check the engine and have images at hand, before anything is paid for. None where no
    sandbox is needed. Raises ConfigError, with the way to fix it.

    Where the benchmark needs a sandbox, or its solver (``for_solver``), and the configuration names
    none, it is ``local`` if that works here, else ``docker``; never this machine itself.
    """
    needed = environment.needs.sandbox or (SandboxSpec() if for_solver else None)
    config = benchmark.sandbox
    if needed is None or isinstance(config, str):
        return None
    from ..sandboxes.local import LocalBackend
    from ..sandboxes.opening import open_backend

    if isinstance(config, NoSandbox):
        pool = await _open_any(needed, environment.name, stack)
        return Lender(pool, turn, {}, {}, names_image=isinstance(pool.backend, LocalBackend))
    if not isinstance(config, MadeSandbox):
        raise ConfigError(f"{config.type!r} cannot be run by this version", where=environment.name)
    pool = await _open_pool(open_backend(config), config.concurrency, stack)
    named = not isinstance(config, ContainerFields) or config.image is not None
    lender = Lender(pool, turn, *_settings(config), names_image=named)
    spec = lender.spec(needed)
    if spec.plain and not lender.has_image(spec):
        pool.backend.check(spec)
    elif lender.has_image(spec) or not for_solver:
        await pool.prepull([spec])
    return lender


def _settings(config: MadeSandbox) -> tuple[dict[str, object], dict[str, object]]:
    """Fields of the spec, and of its limits, that the user has set."""
    changed = config.changed()
    limits: dict[str, object] = {}
    if not isinstance(config, EcsFargateSandbox):  # whose tasks have one size
        if "memory" in changed and config.memory is not None:
            limits["memory_mb"] = megabytes(config.memory)
        if "cpus" in changed:
            limits["cpus"] = config.cpus
    if "timeout" in changed:
        limits["lifetime"] = config.timeout
    fields: dict[str, object] = {}
    if config.container_env:
        fields["env"] = dict(config.container_env)
    is_set = "network" in config.model_fields_set or isinstance(config, OnlyBridge)
    if is_set and config.network is not None:
        fields["network"] = config.network
    return fields, limits


def megabytes(text: str) -> int:
    """``512m`` or ``4g`` as Docker reads it. Raises ConfigError.

    >>> megabytes("4g")
    4096
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", text.strip().lower())
    if match is None or (size := int(float(match[1]) * UNITS[match[2]])) < 1:
        raise ConfigError(
            f"{text!r} is not an amount of memory", where="sandbox.memory", hint="e.g. 4g"
        )
    return size


async def _open_any(needed: SandboxSpec, name: str, stack: AsyncExitStack) -> SandboxPool:
    from ..sandboxes import DockerBackend, LocalBackend

    problems = []
    for backend in (LocalBackend(), DockerBackend()):
        try:
            pool = await _open_pool(backend, UNCONFIGURED, stack)
            if needed.plain:
                backend.check(needed)
            else:
                await pool.prepull([needed])
        except ConfigError as error:
            problems.append(f"{backend.name}: {error}")
        else:
            return pool
    raise ConfigError(
        "runs untrusted code and needs a sandbox", where=name, hint="; ".join(problems)
    )


async def _open_pool(backend: Backend, limit: int, stack: AsyncExitStack) -> SandboxPool:
    pool = SandboxPool(backend, limit=limit)
    stack.push_async_callback(pool.close)
    await pool.open()
    return pool


class Lender:
    """A pool whose specs follow the configuration, and which takes its turn among benchmarks."""

    def __init__(
        self,
        pool: SandboxPool,
        turn: Turn,
        fields: dict[str, object],
        limits: dict[str, object],
        *,
        names_image: bool = True,
    ) -> None:
        """``names_image``: the configuration has an image for specs that have none."""
        self._names_image = names_image
        self._pool, self._fields, self._limits = pool, fields, limits
        env = fields.get("env")
        self._env = env if isinstance(env, dict) else {}
        self._turn = turn
        self._own = asyncio.Semaphore(pool.limit)

    @property
    def limit(self) -> int:
        """Sandboxes that can be alive at the same time."""
        return self._pool.limit

    def spec(self, needed: SandboxSpec) -> SandboxSpec:
        """What is needed, with what the user has set."""
        limits = msgspec.structs.replace(needed.limits, **self._limits)
        env = {**needed.env, **self._env}
        return msgspec.structs.replace(needed, **{**self._fields, "limits": limits, "env": env})

    def has_image(self, spec: SandboxSpec) -> bool:
        """Whether it is known what a sandbox of the spec is made of."""
        own = spec.image is not None or spec.build is not None
        return own or (self._names_image and not spec.plain)

    async def have_image(self, spec: SandboxSpec) -> None:
        """Have the image of a spec at hand. Raises ConfigError, or BuildFailed."""
        await self._pool.have(spec)

    def sets(self, name: str) -> bool:
        """Whether the user has set a field of the spec, or of its limits."""
        return name in self._fields or name in self._limits

    def acquire(self, spec: SandboxSpec) -> AbstractAsyncContextManager[Sandbox]:
        """See ``Sandboxes.acquire``."""
        return self.as_given(self.spec(spec))

    @asynccontextmanager
    async def as_given(self, spec: SandboxSpec) -> AsyncIterator[Sandbox]:
        """A sandbox of a spec that already follows the configuration."""
        turn = self._turn
        await self._pool.have(spec)
        # One's own limit first: whoever waits for that must not take a turn from others.
        async with (
            self._own,
            turn.places.place(turn.rank),
            self._pool.acquire(spec) as sandbox,
        ):
            yield sandbox

    def beyond(self, spec: SandboxSpec) -> AbstractAsyncContextManager[Sandbox]:
        """A sandbox that is not counted, for who holds one already and would wait for itself."""
        return self._pool.acquire(self.spec(spec), beyond=True)


class Beyond:
    """Sandboxes for a verifier that holds a workspace."""

    def __init__(self, lender: Lender) -> None:
        self._lender = lender

    def acquire(self, spec: SandboxSpec) -> AbstractAsyncContextManager[Sandbox]:
        """See ``Sandboxes.acquire``."""
        return self._lender.beyond(spec)
