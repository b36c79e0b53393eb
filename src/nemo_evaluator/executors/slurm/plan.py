"""What a submission to Slurm is, as plain data: its jobs, their nodes, and the programs on them.

A plan is made without looking at anything but its arguments, and holds no shell text: `render`
makes the scripts. Secrets are in ``secrets`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from ...types import Record

EVALUATION, MERGE = "evaluation", "merge"
"""Names of the jobs of a plan."""
DOCUMENT, SECRETS = "job.yaml", ".secrets.env"
LOGS = "logs"
CHAIN, FOLLOW_UP, ENDS = ".nel_job_chain", ".nel_follow_up", ".nel_job_ends"
"""Files of a run (of each shard): the jobs that worked at it, one id a line; the follow-up job that
waits; and ``ID CODE REASON`` of each job that ended by itself, where there was more to say."""
START_FAILED = ".nel_start_failed"
"""The last job could not start an image or a server; the next one that cannot is the last."""


class When(StrEnum):
    """When a job that depends on another one starts."""

    OK = "afterok"
    ANY = "afterany"


class After(Record, frozen=True):
    """What a job waits for."""

    job: str
    """Name of another job of the plan."""
    when: When


class Job(Record, frozen=True, kw_only=True):
    """One script to submit."""

    name: str
    """What the plan calls it."""
    script: str
    """File below the directory."""
    array: int | None = None
    """Tasks of an array, from 0 on; the script has the directive. None: no array."""
    after: tuple[After, ...] = ()


class Directive(NamedTuple):
    """``#SBATCH --name=value``; without a value where it is None."""

    name: str
    value: str | None = None


class Group(Record, frozen=True, kw_only=True):
    """The nodes of one pool: a component of the job."""

    pool: str
    nodes: int
    directives: tuple[Directive, ...]


class Chain(Record, frozen=True, kw_only=True):
    """How a run goes on after the time limit of a job."""

    follow_ups: int
    """Most jobs after the first one; 0: none."""
    seconds: int
    """Time limit of a job."""
    limit: int | None = None
    """Seconds that all jobs may take together."""
    grace: int = 120
    """Seconds before the time limit at which the evaluation is told to end."""


class Runtime(StrEnum):
    """What runs an image."""

    PYXIS = "pyxis"
    APPTAINER = "apptainer"


class Container(Record, frozen=True, kw_only=True):
    """A program runs in an image."""

    runtime: Runtime
    image: str
    """As the runtime names it."""
    mounts: tuple[str, ...] = ()
    """``host:container`` and perhaps ``:ro``."""
    home: bool = False
    """The home directory is mounted."""
    gpus: bool = False
    """It sees the GPUs of the node (pyxis: always)."""
    workdir: str | None = None


class Step(Record, frozen=True, kw_only=True):
    """A program of a server, on one node or on several."""

    number: int
    """Counted over the plan."""
    role: str
    words: tuple[str, ...]
    """Program and arguments; placeholders as in a `Launch`, but for ``{model}``."""
    group: int
    node: int
    """The first of its nodes, in the component ``group``."""
    head: tuple[int, int]
    """Component and node of the server's first node."""
    nodes: int = 1
    tasks_per_node: int = 1
    mpi: bool = False
    host: str
    """The address it listens at."""
    container: Container | None = None
    own_entrypoint: bool = False
    """The words are arguments of what the image starts by itself."""
    variables: Mapping[str, str] = {}
    """What the engine is told by variables. Those of the user are among the secrets."""
    environment: tuple[str, ...] = ()
    """Names of all its variables."""
    filled: tuple[str, ...] = ()
    """Those among the secrets whose values may hold placeholders."""
    folder: str
    listens_on: int | None = None
    after: tuple[int, ...] = ()
    """Numbers of steps whose ``listens_on`` must be up before."""


class Server(Record, frozen=True, kw_only=True):
    """A server of a service that the job starts."""

    service: str
    number: int
    """Counted over the plan."""
    label: str
    """As messages name it."""
    log: str
    """Its log is ``logs/<log>-<job>.log``."""
    port: int | None
    """Where it listens; None: the job chooses."""
    width: int = 1
    """How many ports, one after the other, it takes."""
    group: int
    node: int
    steps: tuple[Step, ...]
    health_path: str | None = None
    workers: Mapping[str, int] = {}
    startup_timeout: int = 600
    stop_timeout: int = 15
    restarts: int = 0
    backoff: int = 5
    after: tuple[str, ...] = ()
    """Services that must be up before."""


class Sandboxes(Record, frozen=True, kw_only=True):
    """Where the sandboxes of an evaluation are."""

    group: int
    first: int
    """The first of their nodes, in the component ``group``."""


class Submitter(Record, frozen=True, kw_only=True):
    """Who submits: what a job needs to know of this process."""

    python: str | None
    """Interpreter that jobs run; None: the jobs are on machines that have not this one."""
    environ: Mapping[str, str]


class JobPlan(Record, frozen=True, kw_only=True):
    """A submission."""

    name: str
    """Name of the job, as Slurm shows it."""
    directory: str
    """Where everything goes."""
    folder: str
    """The folder that relative paths in the configuration are relative to."""
    document: str
    """The configuration the job reads."""
    jobs: tuple[Job, ...]
    """In the order of submission."""
    merge_directives: tuple[Directive, ...] = ()
    """Of the job that merges shards."""
    first: tuple[Directive, ...] = ()
    """Of the first submission of the evaluation: when it begins."""
    groups: tuple[Group, ...]
    """Several: a heterogeneous job. The first has also what is said of the job as a whole."""
    shards: int | None = None
    chain: Chain
    command: tuple[str, ...]
    """The words that run ``nel``."""
    conda_env: str | None = None
    container: Container | None = None
    """Of the evaluation; None: it runs on the host."""
    servers: tuple[Server, ...] = ()
    """In the order in which they are started."""
    sandboxes: Sandboxes | None = None
    variables: Mapping[str, str] = {}
    """What every program gets; no secrets."""
    secrets: Mapping[str, Mapping[str, str]] = {}
    """Variables by who gets them: ``evaluation``, and ``step_0``, ``step_1``, … for each `Step`."""

    def __repr__(self) -> str:
        return f"JobPlan({self.name!r}, {self.directory!r})"  # secrets are not shown
