"""The Docker images that runs have made: built for tasks, or kept of workspaces."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ..sandboxes.docker import DockerBackend
from ..sandboxes.docker_api import Engine
from ..sandboxes.docker_build import REPOSITORY, Builder
from ..sandboxes.docker_images import Images
from ..sandboxes.docker_plain import KEPT_LABEL


async def found_images() -> list[str]:
    """Their names: of those built by this user, and of all that were kept. Raises ConfigError where
    there is no engine."""
    backend = DockerBackend()
    await backend.preflight()
    engine = backend.engine
    query = {"filters": json.dumps({"label": [KEPT_LABEL]})}
    kept = await engine.expect("GET", "/images/json", query=query)
    names = [name for image in kept for name in image.get("RepoTags") or [image["Id"]]]
    return [*await Builder(engine, Images(engine)).built(), *names]


async def remove_images(names: Iterable[str]) -> list[str]:
    """Remove the images, except those that are in use; which ones are gone. Raises SandboxLost."""
    engine, removed = Engine(), []
    builder = Builder(engine, Images(engine))
    for name in names:
        if name.startswith(f"{REPOSITORY}:"):
            gone = await builder.remove(name)
        else:
            gone = (await engine.request("DELETE", f"/images/{name}")).status < 400
        removed += [name] if gone else []
    return removed
