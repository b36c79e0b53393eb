"""Images built of Dockerfiles: once, of what is there now, with nothing left when it fails."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes import (
    Backend,
    BuildFailed,
    BuildSpec,
    DockerBackend,
    SandboxPool,
    SandboxSpec,
)
from nemo_evaluator.sandboxes.docker_build import Builder
from nemo_evaluator.sandboxes.docker_images import Images


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nemo-evaluator" / "builds"


BUILDX = shutil.which("docker") is not None and not (
    subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode
)
SALT = secrets.token_hex(8)
"""In the environment of all that is built here: other images are of others."""


@pytest.fixture
async def backend(
    docker_engine: None, backend_of: Callable[..., Backend]
) -> AsyncIterator[DockerBackend]:
    made = backend_of("docker")
    assert isinstance(made, DockerBackend)
    yield made
    await made.close()
    for image in reversed(await built(made)):
        await made.engine.request("DELETE", f"/images/{image}", query={"force": "1"})


async def built(backend: DockerBackend) -> list[str]:
    """What there is of this file's images, layers among them, the oldest first."""
    ours = []
    for image in await backend.engine.expect("GET", "/images/json", query={"all": "1"}):
        found = await backend.engine.request("GET", f"/images/{image['Id']}/json")
        if found.status == 200 and f"SALT={SALT}" in (found.json()["Config"]["Env"] or ()):
            ours.append((found.json()["Created"], image["Id"]))
    return [image for _, image in sorted(ours)]


def context(folder: Path, *lines: str, base: str) -> BuildSpec:
    """A folder whose image nobody has built before."""
    folder.mkdir(exist_ok=True)
    one = secrets.token_hex(8)
    text = "\n".join([f"FROM {base}", f"ENV SALT={SALT} ONE={one}", *lines])
    (folder / "Dockerfile").write_text(text + "\n")
    return BuildSpec(context=str(folder))


async def said(pool: SandboxPool, build: BuildSpec, command: str) -> str:
    async with pool.acquire(SandboxSpec(build=build)) as box:
        got = await box.exec(command)
        assert got.ok, got.stderr
        return got.stdout


async def test_a_sandbox_of_a_dockerfile(
    backend: DockerBackend, tmp_path: Path, image: str, cache: Path
) -> None:
    folder = tmp_path / "task"
    build = context(folder, "ARG WHO=nobody", "RUN echo $WHO > /who", "COPY . /task", base=image)
    (folder / "data").write_text("of the context\n")
    (folder / "secret").write_text("x")
    (folder / ".dockerignore").write_text("secret\n")
    told = BuildSpec(context=build.context, args={"WHO": "me"})
    async with SandboxPool(backend) as pool:
        command = "cat /who /task/data; ls /task"
        assert await said(pool, told, command) == "me\nof the context\nDockerfile\ndata\n"
        assert (await said(pool, build, command)).startswith("nobody\n")
    assert len(list(cache.glob("*.log"))) == 2
    assert not list(cache.glob("*.notes"))


async def test_it_is_built_once_for_all_who_need_it(
    backend: DockerBackend, tmp_path: Path, image: str, backend_of: Callable[..., Backend]
) -> None:
    """Also by pools of other processes, of which a second backend is as good as one."""
    build = context(
        tmp_path / "task", "RUN sleep 0.5; cat /proc/sys/kernel/random/uuid > /id", base=image
    )
    other = backend_of("docker")
    async with SandboxPool(backend) as one, SandboxPool(other) as two:
        found = await asyncio.gather(
            *(said(pool, build, "cat /id") for pool in (one, two) for _ in range(3))
        )
    assert len(set(found)) == 1
    async with SandboxPool(backend) as later:
        assert await said(later, build, "cat /id") == found[0]


async def test_another_base_is_another_image(
    backend: DockerBackend, tmp_path: Path, image: str
) -> None:
    base = f"nel-test-base-{secrets.token_hex(4)}"
    build = context(tmp_path / "task", "RUN true", base=base)
    images, seen = Images(backend.engine), []
    for marker in ("first", "second"):
        made = await Builder(backend.engine, images).build(
            context(tmp_path / marker, f"RUN echo {marker} > /marker", base=image)
        )
        await backend.engine.expect("POST", f"/images/{made}/tag", query={"repo": base})
        async with SandboxPool(backend) as pool:
            seen.append(await said(pool, build, "cat /marker"))
    assert seen == ["first\n", "second\n"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("RUN echo about to fail; exit 7", "about to fail"),
        ("COPY missing /x", "missing"),
        ("NONSENSE", "unknown instruction"),
    ],
)
async def test_a_build_that_fails_says_why_and_leaves_nothing(
    backend: DockerBackend, tmp_path: Path, image: str, line: str, why: str
) -> None:
    build = context(tmp_path / "task", "RUN echo a layer > /x", line, base=image)
    async with SandboxPool(backend) as pool:
        for _ in range(2):
            with pytest.raises(BuildFailed, match=why) as failed:
                await said(pool, build, "true")
        assert "\n" not in str(failed.value)
    assert not await built(backend)


async def test_a_base_that_is_nowhere(backend: DockerBackend, tmp_path: Path) -> None:
    build = context(tmp_path / "task", base="localhost:1/nothing/here:1")
    async with SandboxPool(backend) as pool:
        with pytest.raises(BuildFailed, match=r"its base is not to be had.*localhost:1/nothing"):
            await said(pool, build, "true")


async def test_a_build_that_takes_too_long(
    backend: DockerBackend, tmp_path: Path, image: str
) -> None:
    build = context(tmp_path / "task", "RUN echo layer > /x", "RUN sleep 600", base=image)
    build = BuildSpec(context=build.context, timeout=2)
    async with SandboxPool(backend) as pool:
        with pytest.raises(BuildFailed, match="did not end within 2 s"):
            await said(pool, build, "true")
    assert not await built(backend)


async def test_what_a_killed_build_left_is_removed_by_the_next_run(
    backend: DockerBackend, tmp_path: Path, image: str, cache: Path
) -> None:
    build = context(tmp_path / "task", "RUN echo layer > /x", "RUN sleep 600", base=image)
    script = (
        "import asyncio; from nemo_evaluator.sandboxes import *\n"
        f"asyncio.run(DockerBackend().build(BuildSpec(context={build.context!r})))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    async with asyncio.timeout(60):
        while not any([path.read_text().count("\n") >= 3 for path in cache.glob("*.notes")]):  # noqa: C419
            await asyncio.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert await built(backend)
    async with SandboxPool(backend) as pool:
        assert any(what.startswith("image ") for what in pool.removed)
    assert not await built(backend)


async def test_images_that_were_built_can_be_removed(
    backend: DockerBackend, tmp_path: Path, image: str
) -> None:
    await backend.build(context(tmp_path / "task", "RUN true", base=image))
    builder = Builder(backend.engine, Images(backend.engine))
    (name,) = await builder.built()
    assert name.startswith("nel-build:")
    assert await builder.remove(name)
    assert not await built(backend)
    assert await builder.built() == []


async def test_what_only_buildkit_builds_says_so(
    backend: DockerBackend, tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    build = context(tmp_path / "task", "RUN <<EOF\ntrue\nEOF", base=image)
    with pytest.raises(BuildFailed, match="a here-document, which only BuildKit knows"):
        await backend.build(build)


@pytest.mark.skipif(not BUILDX, reason="docker has no buildx plug-in here")
async def test_buildkit_builds_what_only_it_can(
    backend: DockerBackend, tmp_path: Path, image: str
) -> None:
    mount = "RUN --mount=type=tmpfs,target=/t"
    line = f"{mount} echo one > /t/x; cat /t/x > /y"
    async with SandboxPool(backend) as pool:
        build = context(tmp_path / "task", line, base=image)
        assert await said(pool, build, "cat /y") == "one\n"
        assert await Builder(backend.engine, Images(backend.engine)).built()
        failing = context(tmp_path / "other", f"{mount} echo why; exit 3", base=image)
        with pytest.raises(BuildFailed, match="why"):
            await said(pool, failing, "true")


async def test_a_backend_that_builds_nothing_refuses(
    local_engine: None, backend_of: Callable[..., Backend], tmp_path: Path
) -> None:
    async with SandboxPool(backend_of("local")) as pool:
        with pytest.raises(ConfigError, match="builds no images"):
            await said(pool, BuildSpec(context=str(tmp_path)), "true")


async def test_an_image_and_a_build_are_one_too_many(
    backend: DockerBackend, tmp_path: Path, image: str
) -> None:
    spec = SandboxSpec(image=image, build=context(tmp_path / "task", base=image))
    async with SandboxPool(backend) as pool:
        with pytest.raises(ConfigError, match="either an image or a build"):
            await pool.prepull([spec])
