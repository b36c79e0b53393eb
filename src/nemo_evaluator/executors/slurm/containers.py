"""Images on a cluster: what runs one, and the words of ``srun`` or ``apptainer`` that do it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from ...config.cluster import SlurmCluster
from ...config.load import Loaded
from ...config.mistakes import Mistake
from ...config.servers import ManagedModelFields
from ...sandboxes.slurm import pyxis_image
from ...services.launch import Launch
from ..images.variants import variant_of
from .plan import Container, Runtime

IMAGES = "nvcr.io/nvidia/nemo-evaluator"
"""Where the images with this tool are published."""


def container_of(cluster: SlurmCluster, launch: Launch) -> Container | None:
    """The container of a server."""
    if launch.image is None:
        return None
    runtime = runtime_of(cluster, launch.image)
    return Container(
        runtime=runtime,
        image=image_of(runtime, launch.image),
        mounts=tuple(dict.fromkeys((*cluster.container_mounts, *launch.mounts))),
        home=cluster.mount_home,
        gpus=_has_gpus(cluster, launch),
    )


def evaluation_container(
    loaded: Loaded, cluster: SlurmCluster, directory: str, folder: str
) -> Container | None:
    """The container of the evaluation; it sees where the results go, and where it was submitted."""
    if cluster.eval_image is None:
        return None
    published = f"{IMAGES}:{variant_of(loaded.config).tagged('latest')}"
    image = published if cluster.eval_image == "auto" else cluster.eval_image
    runtime = runtime_of(cluster, image)
    own = (f"{directory}:{directory}", f"{folder}:{folder}")
    return Container(
        runtime=runtime,
        image=image_of(runtime, image),
        mounts=tuple(dict.fromkeys((*cluster.container_mounts, *own))),
        home=cluster.mount_home,
        workdir=folder,
    )


def runtime_of(cluster: SlurmCluster, image: str) -> Runtime:
    """What runs an image."""
    if cluster.container_runtime != "auto":
        return Runtime(cluster.container_runtime)
    return Runtime.APPTAINER if image.endswith(".sif") else Runtime.PYXIS


def image_of(runtime: Runtime, image: str) -> str:
    """An image as the runtime names it."""
    if runtime is Runtime.PYXIS:
        return pyxis_image(image)
    return image if "://" in image or image.startswith(("/", "./")) else f"docker://{image}"


def container_problems(loaded: Loaded, cluster: SlurmCluster) -> Iterator[Mistake]:
    """What containers on a cluster cannot have."""
    used = cluster.eval_image is not None
    for name, service in loaded.config.services.items():
        image = getattr(service, "image", None)
        used = used or image is not None
        for index, mount in enumerate(getattr(service, "container_mounts", ())):
            yield from _mount(("services", name, "container_mounts", index), mount)
        if isinstance(service, ManagedModelFields) and service.shm_size is not None:
            what = "has no effect on Slurm: a container has the shared memory of its node"
            yield Mistake(("services", name, "shm_size"), what, "remove it")
    for index, mount in enumerate(cluster.container_mounts):
        yield from _mount(("cluster", "container_mounts", index), mount)
    if cluster.container_mounts and not used:
        what = "has no effect: nothing runs in a container"
        yield Mistake(
            ("cluster", "container_mounts"), what, "set eval_image, or image of a service"
        )
    if cluster.eval_image is not None and cluster.conda_env is not None:
        what = "has no effect in a container (eval_image)"
        yield Mistake(("cluster", "conda_env"), what, "remove one of them")


def pyxis_words(container: Container, names: tuple[str, ...]) -> tuple[str, ...]:
    """Options of ``srun``. ``names``: variables that the image must not set otherwise."""
    mounts = ",".join(container.mounts)
    return (
        f"--container-image={container.image}",
        *((f"--container-mounts={mounts}",) if mounts else ()),
        "--container-mount-home" if container.home else "--no-container-mount-home",
        *((f"--container-workdir={container.workdir}",) if container.workdir else ()),
        *((f"--container-env={','.join(names)}",) if names else ()),
    )


def apptainer_words(container: Container, *, entrypoint: bool = False) -> tuple[str, ...]:
    """The command that runs words in an image."""
    return (
        *("apptainer", "run" if entrypoint else "exec"),
        *(("--nv",) if container.gpus else ()),
        *(() if container.home else ("--no-home",)),
        *(word for mount in container.mounts for word in ("--bind", mount)),
        *(("--pwd", container.workdir) if container.workdir else ()),
        container.image,
    )


def _mount(path: tuple[str | int, ...], mount: str) -> Iterator[Mistake]:
    parts = mount.split(":")
    if "," in mount or not 2 <= len(parts) <= 3 or not posixpath.isabs(parts[1]):
        what = f"{mount!r} is not HOST:CONTAINER or HOST:CONTAINER:ro, without commas"
        yield Mistake(path, what)


def _has_gpus(cluster: SlurmCluster, launch: Launch) -> bool:
    pool = cluster.node_pools.get(launch.node_pool or next(iter(cluster.node_pools)))
    given = pool is not None and bool(pool.gpus_per_node or "gpu" in (pool.gres or ""))
    return given or bool(launch.gpus or launch.devices)
