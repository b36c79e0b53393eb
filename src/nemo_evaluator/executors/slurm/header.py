"""The directives of a job: what is asked of Slurm, and what the user's environment says instead.

Invariant: ``SBATCH_*`` of the user wins over the configuration, as sbatch itself has it; the values
are written into the script, so that the follow-up jobs, which have no such environment, ask for the
same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...config.cluster import NodePool, SlurmCluster
from ...config.tree import KeyPath
from .plan import LOGS, Directive, Group
from .quoting import unusable

Environ = Mapping[str, str]

_OF_THE_USER = {
    **dict.fromkeys(("ACCOUNT", "QOS", "RESERVATION", "PARTITION", "CONSTRAINT", "EXCLUSIVE")),
    **dict.fromkeys(("GPUS", "GPUS_PER_NODE", "GRES", "MEM_PER_CPU", "MEM_PER_GPU", "WCKEY")),
    **dict.fromkeys(("CPUS_PER_GPU", "CLUSTERS", "CORE_SPEC", "GPU_FREQ", "NETWORK", "HINT")),
    **dict.fromkeys(("POWER", "PROFILE", "THREADS_PER_CORE", "THREAD_SPEC", "DISTRIBUTION")),
    "TIMELIMIT": "time",
    "MEM_PER_NODE": "mem",
    "REQ_SWITCH": "switches",
}
"""Variables ``SBATCH_…`` that are respected, and the options they stand for where that is another
word. Those that would take the output, the array or the signals away from the run are not."""
_RESOURCES = {
    *("gres", "gpus", "gpus-per-node", "gpus-per-task", "gpu-bind", "gpu-freq", "cpus-per-gpu"),
    *("nodes", "ntasks", "ntasks-per-node", "cpus-per-task", "exclusive", "switches", "segment"),
    *(
        "mem",
        "mem-per-cpu",
        "mem-per-gpu",
        "constraint",
        "contiguous",
        "nodelist",
        "exclude",
        "time",
    ),
    *("core-spec", "thread-spec", "threads-per-core", "distribution", "tmp", "array", "signal"),
}
"""What the job that merges shards does not ask for."""
_OURS = {
    *("output", "error", "open-mode", "array", "no-requeue", "requeue", "export"),
    *("job-name", "parsable", "wrap", "test-only", "wait", "chdir", "input", "signal", "time"),
}
"""What further options cannot change: finding the run, and going on with it, rest on them."""
_FIRST = {"begin", "hold", "dependency"}
"""Of further options, those that say when a run begins: they are not for what follows its first
job, nor for a run that is resumed."""


def groups(
    cluster: SlurmCluster, nodes: Mapping[str, int], whole: Sequence[Directive], environ: Environ
) -> tuple[Group, ...]:
    """The components of a job: by the pools that are used, and how many nodes each gives. What is
    said of the job as a whole (``whole``) stands in the first; the limits in each."""
    made = []
    for index, (name, count) in enumerate(nodes.items()):
        pool = cluster.node_pools[name]
        directives = [
            *(whole if index == 0 else ()),
            Directive("time", cluster.walltime),
            *_of_the_cluster(cluster),
            *([Directive("exclusive")] if cluster.exclusive else []),
            Directive("partition", pool.partition),
            Directive("nodes", str(count)),
            Directive("ntasks-per-node", str(pool.ntasks_per_node)),
            *_directive_if_set("gres", pool.gres),
            *_directive_if_set("gpus-per-node", pool.gpus_per_node),
            *by_name(pool.sbatch_extra_flags),
        ]
        made.append(Group(pool=name, nodes=count, directives=_respecting(environ, directives)))
    return tuple(made)


def of_the_job(
    name: str, directory: str, *, shards: int | None, most: int | None, grace: int
) -> list[Directive]:
    """What is said of the job as a whole."""
    log = "slurm-%A_%a.log" if shards is not None else "slurm-%j.log"
    found = [*_job_directives(name, directory, log), Directive("signal", f"B:TERM@{grace}")]
    if shards is not None:
        limit = f"%{most}" if most is not None else ""
        found.append(Directive("array", f"0-{shards - 1}{limit}"))
    return found


def of_the_merge(
    cluster: SlurmCluster, name: str, directory: str, pool: NodePool, environ: Environ
) -> tuple[Directive, ...]:
    """What is said of the job that merges shards: one task."""
    found = [
        *_job_directives(name, directory, "slurm-merge-%j.log"),
        Directive("partition", pool.partition),
        Directive("nodes", "1"),
        Directive("ntasks", "1"),
        *_of_the_cluster(cluster),
    ]
    asked = _respecting(environ, found)
    kept = [given for given in asked if given.name not in _RESOURCES or given in found[:7]]
    return (*kept, Directive("time", "01:00:00"))


def of_the_first(cluster: SlurmCluster) -> tuple[Directive, ...]:
    """Further options that only the first job of a run gets."""
    return tuple(given for given in _further(cluster) if given.name in _FIRST)


def refused(cluster: SlurmCluster) -> Iterator[tuple[KeyPath, str]]:
    """Field below the cluster and name of each further option that would take a run away from this
    tool. Slurm takes the beginning of a name for the name."""
    given: list[tuple[KeyPath, Iterable[Directive]]] = [
        (("sbatch_extra_flags",), by_name(cluster.sbatch_extra_flags)),
        (("sbatch_extra",), map(_parsed, cluster.sbatch_extra)),
    ]
    for name, pool in cluster.node_pools.items():
        place = ("node_pools", name, "sbatch_extra_flags")
        given.append((place, by_name(pool.sbatch_extra_flags)))
    for field, options in given:
        for option in options:
            if any(ours.startswith(option.name) for ours in _OURS):
                yield field, option.name


def seconds_of(text: str) -> int | None:
    """Seconds of a time limit as Slurm reads it (``90``: minutes; ``1-12``: days and hours)."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        return None
    days, first, second, third = (None if part is None else int(part) for part in match.groups())
    if days is None and third is None:  # minutes[:seconds]
        return (first or 0) * 60 + (second or 0)
    return (((days or 0) * 24 + (first or 0)) * 60 + (second or 0)) * 60 + (third or 0)


def by_name(flags: Mapping[str, str | int | float | bool]) -> Iterator[Directive]:
    """Options that are given by their name."""
    for name, value in flags.items():
        option = name.replace("_", "-")
        if value is True:
            yield Directive(option)
        elif value is not False:
            yield Directive(option, str(value))


def _respecting(environ: Environ, directives: Iterable[Directive]) -> tuple[Directive, ...]:
    """Directives, with those of ``SBATCH_*`` in their place; the last one of a name counts."""
    by_name = {given.name: given for given in directives}
    for variable, option in _OF_THE_USER.items():
        value = environ.get(f"SBATCH_{variable}")
        name = option or variable.lower().replace("_", "-")
        if name == "exclusive" and value in ("", "yes", "1"):
            by_name[name] = Directive(name)
        elif value and not unusable(value):
            by_name[name] = Directive(name, value)
    return tuple(by_name.values())


def _of_the_cluster(cluster: SlurmCluster) -> Iterator[Directive]:
    yield from _directive_if_set("account", cluster.account)
    yield from _directive_if_set("qos", cluster.qos)
    yield from _directive_if_set("reservation", cluster.reservation)
    yield from _directive_if_set("comment", cluster.sbatch_comment)
    yield from (given for given in _further(cluster) if given.name not in _FIRST)


def _further(cluster: SlurmCluster) -> Iterator[Directive]:
    yield from by_name(cluster.sbatch_extra_flags)
    yield from map(_parsed, cluster.sbatch_extra)


def _job_directives(name: str, directory: str, log: str) -> Sequence[Directive]:
    folder = f"{directory}/{LOGS}".replace("%", "%%")
    return (
        Directive("job-name", name),
        Directive("output", f"{folder}/{log}"),
        Directive("open-mode", "append"),
        Directive("no-requeue"),
    )


def _directive_if_set(name: str, value: str | int | None) -> Iterator[Directive]:
    if value is not None:
        yield Directive(name, str(value))


def _parsed(option: str) -> Directive:
    name, equals, value = option.removeprefix("--").partition("=")
    return Directive(name, value if equals else None)
