"""The executor of Kubernetes: ``cluster: {type: kubernetes}``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec

from ...config.load import Loaded
from ...config.mistakes import Mistake
from ...config.runnable import problems
from ...errors import ConfigError
from ...files.writing import make_folder, replace_file
from ...results.layout import SUBMITTED_CONFIG
from ...results.status import State
from ..observers import Observers
from ..opening import already_holds, kept_run, set_aside
from ..options import Options
from ..submission import (
    Submission,
    Submitted,
    find_submission,
    folder_to_use,
    new_run_id,
    now,
    remove_submission,
    write_submission,
)
from .client import ClusterAway, Kubectl
from .handle import KubernetesRecord, KubernetesRun
from .look import EXECUTOR
from .plan import KubernetesPlan, Manifest, kubernetes_plan
from .sidecars import sidecar_problems

_HOST_SANDBOXES = ("docker", "local", "apptainer", "slurm")


class KubernetesExecutor:
    """Runs evaluations as jobs of Kubernetes."""

    detached = True

    def problems(self, loaded: Loaded) -> Iterator[Mistake]:
        """See ``Executor``."""
        yield from problems(loaded.config)
        yield from sidecar_problems(loaded)
        for index, benchmark in enumerate(loaded.config.benchmarks):
            kind = getattr(benchmark.sandbox, "type", "")
            if kind in _HOST_SANDBOXES:
                path = ("benchmarks", index, "sandbox", "type")
                what = f"a pod cannot make `{kind}` sandboxes"
                yield Mistake(path, what, "use `ecs_fargate`, or another cluster")

    async def describe(self, loaded: Loaded, options: Options) -> str:
        """See ``Describes``."""
        return kubernetes_plan(loaded, name="nel-run-id").text()

    async def submit(self, loaded: Loaded, options: Options) -> KubernetesRun:
        """See ``Executor``."""
        directory = folder_to_use(loaded.config.output, new_run_id(), resume=options.resume)
        if options.set_aside and not options.resume:
            await asyncio.to_thread(set_aside, directory, Observers(options.observers).said)
        return await self._submit(directory, loaded, options)

    async def _submit(self, directory: Path, loaded: Loaded, options: Options) -> KubernetesRun:
        earlier = self.attach(directory)
        await _check_free(directory, earlier, resume=options.resume)
        name = f"nel-{new_run_id().replace('_', '-')}"
        results = earlier.record.results if earlier is not None and options.resume else None
        plan = kubernetes_plan(loaded, name=name, results=results)
        record = KubernetesRecord(
            context=plan.context,
            namespace=plan.namespace,
            results=plan.results,
            folder=str(Path.cwd()),
            reader=plan.reader,
        )
        submission = Submission(
            run_id=name.removeprefix("nel-").replace("-", "_"),
            executor=EXECUTOR,
            directory=str(directory),
            created=now(),
            ids=(name,),
            benchmarks=tuple(benchmark.name for benchmark in loaded.config.benchmarks),
            shards=plan.shards,
            details=msgspec.to_builtins(record),
        )
        make_folder(directory)
        kubectl = Kubectl(plan.context, plan.namespace)
        if earlier is not None:
            await _remove(earlier)
        replace_file(
            directory / SUBMITTED_CONFIG, loaded.snapshot(options.command or None).encode()
        )
        write_submission(submission)
        try:
            await create(kubectl, plan)
        except BaseException:
            if earlier is None:
                remove_submission(submission)
            else:
                write_submission(earlier.submitted.submission)
            raise
        again = partial(self._submit, directory)
        return KubernetesRun(Submitted(submission, directory), again)

    def attach(self, directory: Path) -> KubernetesRun | None:
        """See ``Executor``."""
        found = find_submission(directory)
        if found is None or found.submission.executor != EXECUTOR:
            return None
        return KubernetesRun(found, partial(self._submit, Path(found.submission.directory)))


async def create(kubectl: Kubectl, plan: KubernetesPlan) -> None:
    """Make all objects of a run, or none. Its files and secrets belong to the job, whose pods wait
    for them. Raises ClusterAway."""
    job = await kubectl.create(plan.job)
    owner: Manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": plan.name,
        "uid": job["metadata"]["uid"],
    }
    try:
        for manifest in (plan.files, plan.secret()):
            metadata = manifest["metadata"]
            assert isinstance(metadata, dict)
            await kubectl.create({**manifest, "metadata": {**metadata, "ownerReferences": [owner]}})
    except BaseException:
        with contextlib.suppress(ClusterAway):
            await kubectl.delete("job", plan.name, "--wait=false")
        raise


async def _remove(earlier: KubernetesRun) -> None:
    """Remove the job that is gone on with, and wait until none of its pods writes any more."""
    cluster = earlier.kubectl
    await cluster.delete("job", earlier.name, "--cascade=foreground", "--wait=true", timeout=600)


async def _check_free(directory: Path, earlier: KubernetesRun | None, *, resume: bool) -> None:
    """Refuse a directory that is in use, or holds a run that is not to be resumed."""
    if earlier is not None:
        state = await earlier.status()
        if state.state.active:
            what = f"a run is {state.state} there as job {earlier.name}"
            raise ConfigError(what, where=str(directory), hint="stop it, or choose another (-o)")
        if not resume:
            raise already_holds(directory, earlier.submitted.submission.run_id)
        if state.state is State.DONE:
            what = "is complete: there is nothing to go on with"
            raise ConfigError(what, where=str(directory), hint=f"nel eval report {directory}")
    if not resume and (run_id := kept_run(directory)) is not None:
        raise already_holds(directory, run_id)
