"""From a configuration to the plan of its submission. Looks at nothing but its arguments."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...config.cluster import SlurmCluster
from ...config.load import Loaded
from ...config.mistakes import Mistake, as_error
from ...config.sandboxes import NodeFields, SlurmSandbox
from ...config.scrubber import scrubber_of
from ...config.secrecy import secret_variable
from ...config.tree import KeyPath
from ...config.walltime import walltime_seconds
from ...results.layout import ascii_slug
from ..handing import job_document
from ..options import Options
from . import header
from .containers import container_problems, evaluation_container
from .plan import EVALUATION, MERGE, After, Chain, Job, JobPlan, Sandboxes, Submitter, When
from .pools import Seats
from .quoting import is_variable, unusable
from .render import SCRIPTS
from .servers import server_problems, servers_of

_PASSED = re.compile(
    r"PATH|LD_LIBRARY_PATH|PYTHONPATH|VIRTUAL_ENV|CONDA_EXE|MODULEPATH|MODULESHOME|TZ|LANG|LC_\w+"
    r"|HF_HOME|HF_ENDPOINT|HF_HUB_\w+|HF_DATASETS_\w+|TRANSFORMERS_CACHE|XDG_(CACHE|DATA|CONFIG)_HOME"
    r"|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NO_PROXY|no_proxy|APPTAINER_\w+|ENROOT_\w+"
    r"|NEL_(GPU|TRACING)_METRICS_DISABLED|NEL_\w+_PYTHON"
)
"""Variables of the submitter that jobs on the same machines get: none holds a secret."""


def job_plan(loaded: Loaded, options: Options, *, directory: Path, submitter: Submitter) -> JobPlan:
    """The submission of a configuration for Slurm. Raises ConfigError for what cannot be one."""
    cluster = loaded.config.cluster
    assert isinstance(cluster, SlurmCluster)
    where = str(directory)
    failure = as_error(problems(loaded, where), loaded.locate)
    if failure is not None:
        raise failure
    document = job_document(loaded, output_dir=directory)
    name = "-".join(dict.fromkeys(ascii_slug(b.label or b.name) for b in loaded.config.benchmarks))[
        :60
    ]
    chain = _chain(cluster, submitter.environ)
    folder = document.folder if cluster.hostname is None else where
    command = _command(cluster, submitter)
    seats = Seats(loaded.config, cluster)
    started = servers_of(loaded, seats, folder, command, cluster.container_env)
    nodes = seats.nodes()
    whole = header.of_the_job(
        f"nel-eval-{name}",
        where,
        shards=cluster.shards,
        most=cluster.max_parallel_shards,
        grace=chain.grace,
    )
    merge = header.of_the_merge(
        cluster,
        f"nel-merge-{name}",
        where,
        cluster.node_pools[next(iter(nodes))],
        submitter.environ,
    )
    return JobPlan(
        name=f"nel-eval-{name}",
        directory=where,
        folder=folder,
        document=document.text,
        jobs=_jobs(cluster.shards),
        groups=header.groups(cluster, nodes, whole, submitter.environ),
        merge_directives=merge,
        first=header.of_the_first(cluster),
        shards=cluster.shards,
        chain=chain,
        command=command,
        conda_env=cluster.conda_env,
        container=evaluation_container(loaded, cluster, where, folder),
        servers=started.servers,
        sandboxes=_sandboxes(loaded, seats, nodes),
        variables=_variables(loaded, cluster, submitter),
        secrets=_secrets(document.secrets, cluster.container_env, started.secrets),
    )


def _secrets(
    needed: Mapping[str, str],
    given: Mapping[str, str],
    of_steps: Mapping[str, Mapping[str, str]],
) -> dict[str, Mapping[str, str]]:
    """By who gets them: what the configuration needs, what the user gives all, and each server."""
    own = {**needed, **given}
    return {**({EVALUATION: own} if own else {}), **of_steps}


def problems(loaded: Loaded, directory: str) -> Iterator[Mistake]:
    """What cannot be submitted."""
    cluster = loaded.config.cluster
    assert isinstance(cluster, SlurmCluster)
    if unusable(directory) or "\\" in directory:
        what = "holds a character that Slurm cannot have in the name of a log"
        yield Mistake(("output", "dir"), what, "choose a directory without it")
    yield from container_problems(loaded, cluster)
    yield from server_problems(loaded)
    yield from _variable_problems(loaded, cluster)
    yield from _secret_problems(loaded, cluster)
    yield from _sandbox_problems(loaded, cluster)
    for field, name in header.refused(cluster):
        yield Mistake(("cluster", *field), f"cannot set --{name}: the run rests on it", "remove it")


def _variable_problems(loaded: Loaded, cluster: SlurmCluster) -> Iterator[Mistake]:
    """A shell exports the variables, so their names have to be names to it."""
    places: list[tuple[KeyPath, object]] = [(("cluster", "container_env"), cluster.container_env)]
    for name, service in loaded.config.services.items():
        path: KeyPath = ("services", name)
        places.append(((*path, "extra_env"), getattr(service, "extra_env", {})))
        for role in ("prefill", "decode"):
            worker = getattr(service, role, None)
            places.append(((*path, role, "extra_env"), getattr(worker, "extra_env", {})))
    for place, variables in places:
        for name in variables if isinstance(variables, dict) else ():
            if not is_variable(name):
                what = f"{name!r} cannot be the name of a variable (letters, digits and _)"
                yield Mistake((*place, name), what)


def _secret_problems(loaded: Loaded, cluster: SlurmCluster) -> Iterator[Mistake]:
    """Secrets in what Slurm shows to everybody, or the list of processes does."""
    shown = ("sbatch_comment", "sbatch_extra", "sbatch_extra_flags", "eval_image")
    places: list[tuple[KeyPath, object]] = [
        *((("cluster", field), getattr(cluster, field)) for field in (*shown, "container_mounts")),
        *(
            (("services", name, field), getattr(service, field, None))
            for name, service in loaded.config.services.items()
            for field in ("image", "container_mounts")
        ),
    ]
    for path, value in places:
        if value and any(secret in str(value) for secret in loaded.secrets):
            what = "holds a secret, which others could read on the cluster"
            yield Mistake(path, what, "remove it")


def _sandbox_problems(loaded: Loaded, cluster: SlurmCluster) -> Iterator[Mistake]:
    """The evaluation starts sandboxes on nodes by srun, which is not in a container."""
    pools = set()
    for index, benchmark in enumerate(loaded.config.benchmarks):
        sandbox = benchmark.sandbox
        if not isinstance(sandbox, NodeFields):
            continue
        path = ("benchmarks", index, "sandbox")
        if cluster.eval_image is not None:
            what = (
                f"{sandbox.type} sandboxes cannot be started from inside a container (eval_image)"
            )
            yield Mistake(path, what, "remove cluster.eval_image, and set conda_env if you need it")
        if isinstance(sandbox, SlurmSandbox) or sandbox.node_pool is not None:
            pools.add(sandbox.node_pool)
            if len(pools) > 1:
                what = "sandboxes of one run are in one node pool"
                yield Mistake((*path, "node_pool"), what, "use the pool of the others")


def _jobs(shards: int | None) -> tuple[Job, ...]:
    evaluation = Job(name=EVALUATION, script=SCRIPTS[EVALUATION], array=shards)
    if shards is None:
        return (evaluation,)
    after = (After(job=EVALUATION, when=When.ANY),)
    return (evaluation, Job(name=MERGE, script=SCRIPTS[MERGE], after=after))


def _chain(cluster: SlurmCluster, environ: Mapping[str, str]) -> Chain:
    seconds = walltime_seconds(cluster.walltime)
    if limit := environ.get("SBATCH_TIMELIMIT"):
        seconds = header.seconds_of(limit) or seconds
    return Chain(
        follow_ups=cluster.max_retries if cluster.auto_resume else 0,
        seconds=seconds,
        limit=walltime_seconds(cluster.max_walltime) if cluster.max_walltime else None,
        grace=max(15, min(120, seconds // 10)),
    )


def _sandboxes(loaded: Loaded, seats: Seats, nodes: Mapping[str, int]) -> Sandboxes | None:
    """The nodes of the first sandboxes that are on nodes of the job: those that the servers of the
    pool leave, or all of them."""
    for benchmark in loaded.config.benchmarks:
        sandbox = benchmark.sandbox
        if isinstance(sandbox, SlurmSandbox) or getattr(sandbox, "node_pool", None) is not None:
            name = getattr(sandbox, "node_pool", None) or seats.names[0]
            taken = seats.taken(name)
            first = taken if taken < nodes[name] else 0
            return Sandboxes(group=seats.names.index(name), first=first)
    return None


def _command(cluster: SlurmCluster, submitter: Submitter) -> tuple[str, ...]:
    if cluster.eval_image is not None:
        return ("nel",)
    if cluster.conda_env is not None:
        return ("python", "-m", "nemo_evaluator.cli")
    if submitter.python is None:
        return ("nel",)
    return (submitter.python, "-m", "nemo_evaluator.cli")


def _variables(loaded: Loaded, cluster: SlurmCluster, submitter: Submitter) -> dict[str, str]:
    if submitter.python is None:
        return {}
    clean = scrubber_of(loaded.secrets)
    found = {
        name: value
        for name, value in sorted(submitter.environ.items())
        if _PASSED.fullmatch(name) and not secret_variable(name) and clean(value) == value
    }
    if cluster.conda_env is None:
        programs = posixpath.dirname(submitter.python)
        path = found.get("PATH", "/usr/local/bin:/usr/bin:/bin")
        found["PATH"] = path if programs in path.split(":") else f"{programs}:{path}"
    return {name: value for name, value in found.items() if not unusable(value)}
