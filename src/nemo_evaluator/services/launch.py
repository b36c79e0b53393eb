"""What has to be started for a service, as plain data: a supervisor of this machine runs it, a
template of a cluster prints it.

Nothing here is quoted for a shell: whoever prints a `Launch` quotes each word. In every text
``{port}``, ``{host}`` and ``{model}`` stand for what they name, and of a service on several nodes
``{head}``, ``{leader}`` and ``{rank}`` too; ``${port}`` stays what it is to a shell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import msgspec

from ..types import Json, Record

HOST = "127.0.0.1"
SCRIPT_NAME = "nel-server"
"""What a server that is started through a shell is called there (``$0``)."""
DECODING = ("decode", "backend", "tensorrt_llm")
"""What workers that write answers are called in the answer of a Dynamo frontend."""
PLACEHOLDER = re.compile(r"(?<!\$)\{(?:port\+(\d+)|(port|host|model|head|leader|rank))\}")


class Process(Record, frozen=True, kw_only=True):
    """One program of a service, on one node or on several."""

    role: str = "server"
    """What it is: ``server``, ``head``, ``worker``, ``frontend``, ``prefill-0``, …; of a service
    each has another."""
    argv: tuple[str, ...] = ()
    """Program and arguments; none: what the image starts by itself."""
    setup: tuple[str, ...] = ()
    """Lines of shell (bash) run before it, in the same shell; one that fails ends the start."""
    env: Mapping[str, str] = {}
    """Variables beside those of the `Launch`."""
    node_pool: str | None = None
    """Where its nodes are, if not in the pool of the `Launch`."""
    first_node: int = 0
    """The first of its nodes, counted among those of the service in that pool. On several nodes it
    is started on each: ``{rank}`` counts them from 0, ``{leader}`` is the address of the first.
    ``{head}`` is the address of the service's first node."""
    nodes: int = 1
    """How many nodes; 0: none, the service has too few."""
    tasks_per_node: int = 1
    """Copies on each node that MPI starts together (``mpi``)."""
    mpi: bool = False
    """Its copies are the ranks of one MPI program: ``srun --mpi=pmix``."""
    gpus: int = 0
    """GPUs on each node; 0: it needs none, or takes what is there."""
    listens_on: int | None = None
    """A port, beside the service's, that takes connections once it is up."""
    after: tuple[str, ...] = ()
    """Roles that must be up before."""


class Launch(Record, frozen=True, kw_only=True):
    """A server that has to be started. Plain data."""

    argv: tuple[str, ...] = ()
    """Program and arguments; none: what the image starts by itself. ``processes`` replace it."""
    setup: tuple[str, ...] = ()
    """Lines of shell (bash) run before it, in the same shell; one that fails ends the start."""
    image: str | None = None
    """Container image the program runs in; None: it runs on the host."""
    own_entrypoint: bool = False
    """``argv`` are arguments of what the image starts by itself, else they replace that."""
    host_network: bool = False
    """The container shares the network of its host; else only its port is reached from there."""
    mounts: tuple[str, ...] = ()
    """Mounts of the container, ``host:container`` and perhaps ``:ro``."""
    shm_size: str | None = None
    """Shared memory of the container."""
    pass_env: tuple[str, ...] = ()
    """Variables of the starting process that a container is to have, where they are set."""
    env: Mapping[str, str] = {}
    """Variables beside those of the starting process."""
    folder: str | None = None
    """The folder it runs in."""
    port: int | None = None
    """Where it listens; None: a free port is chosen."""
    container_port: int | None = None
    """Where it listens inside its container, if that is another port."""
    port_is_fixed: bool = True
    """Whether somebody said the port; if not, the next free one may be taken."""
    instances: int = 1
    """Servers of the same model that are started, on one port after the other."""
    nodes: int = 1
    """Nodes of one server, in the service's pool."""
    node_pool: str | None = None
    gpus: int = 0
    """GPUs of each node, for one instance; 0: unknown, or none."""
    devices: tuple[int, ...] = ()
    """The numbers of the GPUs of each node, for all instances; none: not said."""
    health_path: str | None = None
    """Answers 200 once the server is up; None: a connection is enough."""
    workers: Mapping[str, int] = {}
    """How many workers of each role the answer of ``health_path`` must list: `missing_workers`."""
    startup_timeout: float = 600.0
    stop_timeout: float = 15.0
    """Seconds it gets to end by itself."""
    depends_on: tuple[str, ...] = ()
    """Services that must be ready before."""
    processes: tuple[Process, ...] = ()
    """Of a service that is more than one program on one node: all its programs, each after those
    it needs."""

    @property
    def programs(self) -> tuple[Process, ...]:
        """All programs of the service, whether it is one or several."""
        own = Process(argv=self.argv, setup=self.setup, nodes=self.nodes, gpus=self.gpus)
        return self.processes or (own,)


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with what its placeholders stand for. ``{port+1}`` is the port after ``{port}``. Other
    braces stay: they may be JSON, or a variable of a shell."""

    def value(match: re.Match[str]) -> str:
        if match[1] is not None and "port" in values:
            return str(int(values["port"]) + int(match[1]))
        return values.get(match[2] or "", match[0])

    return PLACEHOLDER.sub(value, text)


def filled_process(process: Process, values: Mapping[str, str]) -> Process:
    """A program with what its placeholders stand for."""
    return msgspec.structs.replace(
        process,
        argv=tuple(filled(word, values) for word in process.argv),
        setup=tuple(filled(line, values) for line in process.setup),
        env={name: filled(value, values) for name, value in process.env.items()},
    )


def command_of(process: Process) -> tuple[str, ...]:
    """Program and arguments with the lines that are run before: the words that start it."""
    if not process.setup:
        return process.argv
    script = "\n".join(("set -e", *process.setup, *(('exec "$@"',) if process.argv else ())))
    return ("bash", "-c", script, SCRIPT_NAME, *process.argv)


def missing_workers(answer: Json, wanted: Mapping[str, int]) -> str | None:
    """Which workers a Dynamo frontend does not know yet, by the answer of its ``/health``; None
    where there are enough. Workers that do both are called by their engine: they count as
    ``decode``."""
    instances = answer.get("instances") if isinstance(answer, dict) else None
    there: Counter[str] = Counter()
    for instance in instances if isinstance(instances, list) else []:
        if isinstance(instance, dict) and instance.get("endpoint") == "generate":
            component = str(instance.get("component"))
            there["decode" if component in DECODING else component] += 1
    lacking = [
        f"{there[role]} of {n} {role} workers" for role, n in wanted.items() if there[role] < n
    ]
    return " and ".join(lacking) + " are there" if lacking else None
