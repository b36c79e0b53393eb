"""The servers that a job starts beside its evaluation, from the `Launch` of each service.

A server that is told the address of the run's own endpoint is left to the evaluation, which has it.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ...config.agents import ServerFields
from ...config.cluster import SlurmCluster
from ...config.load import Loaded
from ...config.mistakes import Mistake
from ...config.server_life import ServerLife
from ...errors import ConfigError
from ...results.layout import ascii_slug
from ...services.launch import (
    HOST,
    SCRIPT_NAME,
    Launch,
    Process,
    command_of,
    filled,
    filled_process,
)
from ...services.ports import ports_of
from ..servers_beside import CREDENTIALS, EVERYWHERE, launches
from .containers import container_of
from .plan import Server, Step
from .pools import Seat, Seats

WITH_SECRETS = """\
words=()
for word; do
  case $word in @NEL_WORD_*@) name=${word//@/} word=${!name} ;; esac
  words+=("$word")
done
exec "${words[@]}"
"""
"""Runs a command of which some words are in variables."""
_NEL = (sys.executable, "-m", "nemo_evaluator.cli")
"""How a `Launch` of this process calls ``nel``."""


@dataclass(frozen=True, slots=True)
class Started:
    """The servers of a plan, and the variables of their programs."""

    servers: tuple[Server, ...] = ()
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def server_problems(loaded: Loaded) -> Iterator[Mistake]:
    """Services that a job cannot start as they are written."""
    for name, service in loaded.config.services.items():
        path = ("services", name)
        if isinstance(service, ServerFields) and service.url is None and service.model is not None:
            for field_name in ("image", "node_pool"):
                if getattr(service, field_name) is not None:
                    what = "has no effect on a server that the evaluation starts (it has a model)"
                    yield Mistake((*path, field_name), what, "remove it, or model")
        if "idle_timeout" in getattr(service, "changed", set)() and isinstance(service, ServerLife):
            what = "has no effect on Slurm: the job keeps its nodes until it ends"
            yield Mistake((*path, "idle_timeout"), what, "remove it")


def servers_of(
    loaded: Loaded, seats: Seats, folder: str, command: Sequence[str], given: Mapping[str, str]
) -> Started:
    """The servers of a job. ``command``: the words that run ``nel``; ``given``: variables that all
    of them get. Takes their nodes from ``seats``."""
    made = _Making(loaded, seats, folder, tuple(command), given)
    taken = {name: list(seats.seats(launch)) for name, launch in launches(loaded).items()}
    made.shared = Counter(
        (seat.group, seat.node)
        for instances in taken.values()
        for places in instances
        for seat in places.values()
        if seat.devices
    )
    for name, launch in launches(loaded).items():
        for index, places in enumerate(taken[name]):
            made.add(name, launch, index, places)
    return Started(tuple(made.servers), made.secrets)


class _Making:
    def __init__(
        self,
        loaded: Loaded,
        seats: Seats,
        folder: str,
        command: tuple[str, ...],
        given: Mapping[str, str],
    ) -> None:
        assert isinstance(loaded.config.cluster, SlurmCluster)
        self.servers: list[Server] = []
        self.secrets: dict[str, dict[str, str]] = {}
        self.shared: Counter[tuple[int, int]] = Counter()
        """How many servers have GPUs on each node."""
        self._loaded, self._cluster = loaded, loaded.config.cluster
        self._seats, self._folder, self._command = seats, folder, command
        self._given = given
        self._numbers = itertools.count()

    def add(self, name: str, launch: Launch, index: int, places: Mapping[str, Seat]) -> None:
        """One instance of a service."""
        service = self._loaded.config.services[name]
        first = places[self._seats.pool(launch, launch.programs[0])]
        apart = (first.group, first.node) != (0, 0) or len(places) > 1
        wide = any(process.nodes > 1 or process.first_node for process in launch.programs)
        host = EVERYWHERE if apart or wide else HOST
        steps: dict[str, Step] = {}
        for process in launch.programs:
            if process.nodes:
                seat = places[self._seats.pool(launch, process)]
                after = tuple(steps[role].number for role in process.after)
                steps[process.role] = self._step(name, launch, process, seat, first, host, after)
        single = launch.instances == 1
        log = f"server-{ascii_slug(name)}" + ("" if single else f"-{index + 1}")
        taken = {server.log for server in self.servers}
        restart = service.restart if isinstance(service, ServerLife) else None
        self.servers.append(
            Server(
                service=name,
                number=len(self.servers),
                label=f"service {name}" + ("" if single else f", server {index + 1}"),
                log=log if log not in taken else f"{log}-{len(self.servers)}",
                port=launch.port + index if launch.port and launch.port_is_fixed else None,
                width=ports_of(msgspec.structs.replace(launch, instances=1)),
                group=first.group,
                node=first.node,
                steps=tuple(steps.values()),
                health_path=launch.health_path,
                workers=launch.workers,
                startup_timeout=math.ceil(launch.startup_timeout),
                stop_timeout=math.ceil(launch.stop_timeout),
                restarts=restart.max if restart is not None else 0,
                backoff=math.ceil(restart.backoff) if restart is not None else 0,
                after=launch.depends_on,
            )
        )

    def _step(
        self,
        name: str,
        launch: Launch,
        process: Process,
        seat: Seat,
        first: Seat,
        host: str,
        after: tuple[int, ...],
    ) -> Step:
        number = next(self._numbers)
        model = self._loaded.config.model_id(name) if self._is_model(name) else name
        variables = (
            {"PORT": "{port}", "HOST": "{host}", "MODEL": model} if launch.image is None else {}
        )
        engine = {key: filled(text, {"model": model}) for key, text in launch.env.items()}
        words, hidden = self._words(name, launch, process, seat, model)
        values = {**variables, **engine, **process.env, **hidden}
        passed = {key: self._loaded.env[key] for key in self._passed(launch)}
        written = {*self._written(name), *hidden}
        users = {key: value for key, value in values.items() if key in written}
        if secrets := {**passed, **self._given, **users}:
            self.secrets[f"step_{number}"] = secrets
        return Step(
            number=number,
            role=process.role,
            words=words,
            group=seat.group,
            node=seat.node + process.first_node,
            head=(first.group, first.node),
            nodes=process.nodes,
            tasks_per_node=process.tasks_per_node,
            mpi=process.mpi,
            host=host,
            container=container_of(self._cluster, launch),
            own_entrypoint=launch.own_entrypoint and not process.setup,
            variables={key: value for key, value in values.items() if key not in written},
            environment=tuple({**passed, **self._given, **values}),
            filled=tuple(users),
            folder=launch.folder or self._folder,
            listens_on=process.listens_on,
            after=after,
        )

    def _words(
        self, name: str, launch: Launch, process: Process, seat: Seat, model: str
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """Program and arguments; those that hold a secret are variables, which come beside them:
        Slurm's accounting keeps the words of ``srun``. Raises ConfigError."""
        setup = (*self._devices(launch, seat), *process.setup)
        process = msgspec.structs.replace(process, setup=setup)
        words = command_of(filled_process(process, {"model": model}))
        if words[: len(_NEL)] == _NEL:
            nel = ("nel",) if launch.image is not None else self._command
            words = (*nel, *words[len(_NEL) :])
        secrets = self._loaded.secrets
        hidden = {
            f"NEL_WORD_{place}": text
            for place, text in enumerate(words)
            if any(secret in text for secret in secrets)
        }
        if not hidden:
            return words, hidden
        if launch.own_entrypoint:
            what = "an argument holds a secret, which the accounting of Slurm would keep"
            raise ConfigError(what, where=f"services.{name}", hint="use extra_env")
        names = {text: f"@{name}@" for name, text in hidden.items()}
        named = (names.get(text, text) for text in words)
        return ("bash", "-c", WITH_SECRETS, SCRIPT_NAME, *named), hidden

    def _written(self, name: str) -> set[str]:
        """Names of the variables that the user wrote for a service: any may be a secret."""
        service = self._loaded.config.services[name]
        roles = (getattr(service, role, None) for role in ("prefill", "decode"))
        records = (service, *(role for role in roles if role is not None))
        return {key for record in records for key in getattr(record, "extra_env", {})}

    def _is_model(self, name: str) -> bool:
        return not isinstance(self._loaded.config.services[name], ServerFields)

    def _passed(self, launch: Launch) -> list[str]:
        names = dict.fromkeys((*CREDENTIALS, *launch.pass_env))
        return [name for name in names if self._loaded.env.get(name)]

    def _devices(self, launch: Launch, seat: Seat) -> tuple[str, ...]:
        """A line that gives a program its GPUs of those that Slurm gave the job, where it does not
        have all of them."""
        if not launch.devices and self.shared[seat.group, seat.node] < 2:
            return ()
        if not seat.devices:
            return ()
        own = ",".join(f"${{nel_gpus[{i}]:-{i}}}" for i in seat.devices)
        return (
            'IFS=, read -r -a nel_gpus <<<"${CUDA_VISIBLE_DEVICES:-}"',
            f"export CUDA_VISIBLE_DEVICES={own}",
        )
