"""The executor of containers of this machine: ``cluster: {type: docker}``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from ...config.docker_cluster import DockerCluster
from ...config.load import Loaded
from ...config.mistakes import Mistake
from ...config.runnable import problems
from ...errors import ConfigError
from ...files.writing import make_folder, replace_file
from ...results.layout import SUBMITTED_CONFIG
from ...results.status import holder_of
from ...sandboxes.contract import SandboxLost
from ...sandboxes.docker_api import Engine
from ...sandboxes.docker_images import Images
from ..handing import JobDocument, job_document
from ..images.local import LOCAL, build_local, local_name
from ..images.variants import variant_of
from ..observers import Observers
from ..opening import already_holds, kept_run, set_aside
from ..options import Options
from ..submission import (
    Submission,
    find_submission,
    folder_to_use,
    new_run_id,
    now,
    remove_submission,
    write_submission,
)
from . import container
from .handle import EXECUTOR, FOLDER, DockerRun
from .plan import DOCUMENT, DockerPlan, docker_plan, handed_variables


class DockerExecutor:
    """Runs evaluations in containers of this machine."""

    detached = True

    def problems(self, loaded: Loaded) -> Iterator[Mistake]:
        """See ``Executor``."""
        yield from problems(loaded.config)
        for index, benchmark in enumerate(loaded.config.benchmarks):
            if getattr(benchmark.sandbox, "type", "") == "local":
                path = ("benchmarks", index, "sandbox", "type")
                what = "a container cannot make `local` sandboxes"
                yield Mistake(path, what, "use `docker`: they are made beside the container")

    async def describe(self, loaded: Loaded, options: Options) -> str:
        """See ``Describes``."""
        directory = folder_to_use(loaded.config.output, "RUN_ID", resume=options.resume)
        document = job_document(loaded, output_dir=directory)
        image = _cluster(loaded).image
        if image is None or image == LOCAL:
            image = local_name(variant_of(loaded.config))
        plan = docker_plan(
            loaded,
            options,
            document,
            name="nel-RUN_ID",
            image=image,
            directory=directory,
            socket=Engine().socket,
        )
        names = sorted({**handed_variables(loaded), **document.secrets})
        handed = "".join(f"#   {name}=***\n" for name in names) or "#   none\n"
        return (
            f"{plan.command()}\n# variables, over standard input:\n{handed}"
            f"# {directory / DOCUMENT}:\n{document.text}"
        )

    async def submit(self, loaded: Loaded, options: Options) -> DockerRun:
        """See ``Executor``. Returns once the run has begun."""
        directory = folder_to_use(loaded.config.output, new_run_id(), resume=options.resume)
        if options.set_aside and not options.resume:
            await asyncio.to_thread(set_aside, directory, Observers(options.observers).said)
        return await self._submit(directory, loaded, options)

    async def _submit(self, directory: Path, loaded: Loaded, options: Options) -> DockerRun:
        say = Observers(options.observers).said
        document = job_document(loaded, output_dir=directory)
        engine = Engine()
        await _check_answers(engine)
        earlier = self.attach(directory)
        await _check_free(directory, earlier, resume=options.resume)
        run_id = new_run_id() if earlier is None else earlier.submission.run_id
        make_folder(directory)
        plan = docker_plan(
            loaded,
            options,
            document,
            name=f"nel-{run_id}",
            image=await self._image(engine, loaded, say),
            directory=directory,
            socket=engine.socket,
        )
        submission = Submission(
            run_id=run_id,
            executor=EXECUTOR,
            directory=str(directory),
            created=now(),
            ids=(plan.name,),
            benchmarks=tuple(benchmark.name for benchmark in loaded.config.benchmarks),
            details={FOLDER: document.folder, "image": plan.image},
        )
        _write(directory, document, loaded, options)
        run = DockerRun(submission, directory, partial(self._submit, directory), engine)
        await _start(run, plan, {**handed_variables(loaded), **document.secrets}, options, say)
        return run

    async def _image(self, engine: Engine, loaded: Loaded, say: Callable[[str], None]) -> str:
        cluster = _cluster(loaded)
        if cluster.image is None or cluster.image == LOCAL:
            return await build_local(engine, variant_of(loaded.config), cluster.build_args, say=say)
        await Images(engine).have(cluster.image)
        return cluster.image

    def attach(self, directory: Path) -> DockerRun | None:
        """See ``Executor``."""
        found = find_submission(directory)
        if found is None or found.submission.executor != EXECUTOR:
            return None
        again = partial(self._submit, Path(found.submission.directory))
        return DockerRun(found.submission, found.directory, again)


def _write(directory: Path, document: JobDocument, loaded: Loaded, options: Options) -> None:
    """Write what the run inside reads, and what a resumption starts from."""
    replace_file(directory / DOCUMENT, document.text.encode())
    replace_file(directory / SUBMITTED_CONFIG, loaded.snapshot(options.command or None).encode())


async def _start(
    run: DockerRun,
    plan: DockerPlan,
    secrets: Mapping[str, str],
    options: Options,
    say: Callable[[str], None],
) -> None:
    """Wait until the run has begun. What did not begin leaves no container behind, and no
    submission unless there was one."""
    await container.remove(run.engine, plan.name)
    since = time.time()
    await container.start(run.engine, plan, secrets)
    write_submission(run.submission)
    try:
        await run.began(since, say)
    except ConfigError:
        await container.remove(run.engine, plan.name)
        if not options.resume:
            remove_submission(run.submission)
        raise
    except asyncio.CancelledError:
        await container.signal(run.engine, plan.name, "SIGTERM")
        raise


def _cluster(loaded: Loaded) -> DockerCluster:
    cluster = loaded.config.cluster
    assert isinstance(cluster, DockerCluster)
    return cluster


async def _check_free(directory: Path, earlier: DockerRun | None, *, resume: bool) -> None:
    """Refuse a directory that is in use, or holds a run that is not to be resumed."""
    if earlier is not None and (state := await earlier.status()).state.active:
        what = f"a run is {state.state} there in the container {earlier.name}"
        raise ConfigError(what, where=str(directory), hint="stop it, or choose another directory")
    owner = holder_of(directory)
    if owner is not None and (earlier is None or owner.host != earlier.name):
        raise ConfigError(f"in use by {owner}", where=str(directory), hint="stop it first")
    if not resume and (run_id := kept_run(directory)) is not None:
        raise already_holds(directory, run_id)


async def _check_answers(engine: Engine) -> None:
    try:
        await engine.expect("GET", "/version", timeout=20)
    except SandboxLost as error:
        hint = "start Docker, and see that `docker info` works for this user"
        raise ConfigError(str(error), where="cluster", hint=hint) from None
