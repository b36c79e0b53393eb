"""Builds images of Dockerfiles on a Docker engine, each once, and leaves no half-built ones.

An image's tag is the digest of what it is built of, so that it is there for every later run that
needs the same; a label says which bases it was built on, and it is built anew when one of them has
changed. Processes that need the same image wait for each other by a lock on a file. What a build
makes on its way (layers, containers) is noted in a file, and removed if it does not end: by who
built, or by the next run of this user.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from ..errors import ConfigError
from . import docker_buildx
from .build_context import Context
from .contract import BuildFailed, BuildSpec, SandboxLost
from .docker_api import Engine
from .docker_images import Image, Images
from .dockerfile import bases, needs_buildkit

REPOSITORY = "nel-build"
LABEL = "nemo-evaluator.build"
BASES = "nemo-evaluator.build.bases"
_TAIL = 6
"""Last lines of a log that an error shows."""
_LOG_BYTES = 16 << 20
_ROUNDS = 40
"""Tries to remove what a build left."""
_LAYER = re.compile(r" ---> ([0-9a-f]{12})\n?")
_NOISE = ("Step ", " ---> ", "Removing intermediate container")
"""Lines of the engine's, not of the commands that it runs."""
_RUNNING = re.compile(r" ---> Running in ([0-9a-f]{12})\n?")


class Builder:
    """Builds images, and removes what builds left."""

    def __init__(self, engine: Engine, images: Images, folder: Path | None = None) -> None:
        """``folder``: where logs, locks and notes are; None: the user's cache."""
        self._engine, self._images = engine, images
        self.folder = folder or build_folder()

    async def build(self, build: BuildSpec) -> str:
        """See `ImageBuilder.build`: the id of the image."""
        try:
            context, digest = await asyncio.to_thread(_looked_at, build)
        except OSError as error:
            raise BuildFailed(f"{build.context} cannot be read: {error}") from None
        tag = f"{REPOSITORY}:{digest}"
        if (image := await self._current(tag, context)) is not None:
            return image.id
        async with self._build_lock(digest):
            old = await self._images.find(tag)
            if (image := await self._current(tag, context)) is not None:
                return image.id  # somebody else has built it meanwhile
            await self._build(context, tag, digest)
            image = await self._images.find(tag)
            if image is None:
                raise BuildFailed(f"{context.folder}: the engine built no image")
            if old is not None and old.id != image.id:
                await self._engine.request("DELETE", f"/images/{old.id}")
            return image.id

    async def remove_unfinished(self) -> list[str]:
        """Remove what builds left whose process ended before them; what that was."""
        removed = []
        for notes in sorted(self.folder.glob("*.notes")):
            with contextlib.suppress(BlockingIOError):
                async with self._build_lock(notes.stem, wait=False):
                    removed += await self._remove_noted(notes)
        return removed

    async def _current(self, tag: str, context: Context) -> Image | None:
        """The image, if it is there, and built on the bases that are there."""
        if (image := await self._images.find(tag)) is None:
            return None
        built_on = json.loads(image.labels.get(BASES, "{}"))
        for name in bases(context.dockerfile, context.build.args):
            base = await self._images.find(name)
            if base is not None and base.id != built_on.get(name):
                return None
        return image

    async def _build(self, context: Context, tag: str, digest: str) -> None:
        built_on = {}
        for name in bases(context.dockerfile, context.build.args):
            try:
                base = await self._images.find(name) or await self._images.have(name)
                built_on[name] = base.id
            except ConfigError as error:
                raise BuildFailed(f"{context.folder}: its base is not to be had: {error}") from None
        labels = {LABEL: digest, BASES: json.dumps(built_on, sort_keys=True)}
        notes, path = self.folder / f"{digest}.notes", self.folder / f"{digest}.log"
        with path.open("wb") as log, notes.open("a") as noted:
            build_output = Told(log, noted)
            try:
                async with asyncio.timeout(context.build.timeout):
                    await self._run(context, tag, labels, build_output)
            except TimeoutError:
                build_output.error = f"it did not end within {context.build.timeout:g} s"
            except SandboxLost as error:
                build_output.error = build_output.error or str(error)
            except BaseException:
                await self._remove_noted(notes)
                raise
        if build_output.error is not None:
            await self._remove_noted(notes)
            raise BuildFailed(_failure(context, build_output, path))
        notes.unlink(missing_ok=True)

    async def _run(self, context: Context, tag: str, labels: Mapping[str, str], told: Told) -> None:
        if (what := needs_buildkit(context.dockerfile)) is not None:
            if not await docker_buildx.is_there():
                told.error = (
                    f"{context.build.dockerfile} uses {what}, which only BuildKit knows: install "
                    "the command `docker` with its buildx plug-in, or build the image yourself"
                )
                return
            argv = docker_buildx.command(context, tag, labels)
            told.error = await docker_buildx.run(argv, self._engine.socket, told.say)
            return
        with tempfile.TemporaryFile() as archive:
            await asyncio.to_thread(context.write, archive)
            query = _query(context, tag, labels)
            async for line in self._engine.stream("/build", archive, query=query):
                told.take(json.loads(line))

    async def built(self) -> list[str]:
        """The images that this user has built, and that are there."""
        tags = [f"{REPOSITORY}:{log.stem}" for log in sorted(self.folder.glob("*.log"))]
        return [tag for tag in tags if await self._images.find(tag) is not None]

    async def remove(self, tag: str) -> bool:
        """Remove an image, unless it is in use or being built; whether it is gone."""
        digest = tag.rpartition(":")[2]
        with contextlib.suppress(BlockingIOError):
            async with self._build_lock(digest, wait=False):
                gone = await self._engine.request("DELETE", f"/images/{tag}")
                if gone.status < 400:
                    await asyncio.to_thread((self.folder / f"{digest}.log").unlink, missing_ok=True)
                    return True
        return False

    async def _remove_noted(self, notes: Path) -> list[str]:
        """Remove what a build made on its way and gave no name, the last first. What cannot be
        removed stays noted."""
        left = (await asyncio.to_thread(notes.read_text)).splitlines()
        removed = []
        for _ in range(_ROUNDS):
            gone = [line for line in reversed(left) if await self._remove(*line.split(" ", 1))]
            removed += gone
            if not (left := [line for line in left if line not in gone]):
                await asyncio.to_thread(notes.unlink)
                break
            # The engine is still ending the build.
            await asyncio.sleep(0.5)
        return removed

    async def _remove(self, what: str, name: str) -> bool:
        """Remove a container, or an image without a name; whether it is not there any more."""
        path = f"/{what}s/{name}"
        found = await self._engine.request("GET", f"{path}/json")
        if found.status != 200 or found.json().get("RepoTags"):
            return True
        query = {"force": "1"} if what == "container" else {"noprune": "1"}
        got = await self._engine.request("DELETE", path, query=query)
        return got.status < 400 or got.status == 404

    @asynccontextmanager
    async def _build_lock(self, digest: str, *, wait: bool = True) -> AsyncIterator[None]:
        """While no other process builds the same. BlockingIOError if one does, without ``wait``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.folder / f"{digest}.lock", flags, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not wait:
                        raise
                await asyncio.sleep(0.1)
            yield
        finally:
            os.close(fd)


class Told:
    """What a builder says: in a log, its last lines; and what it makes, in notes."""

    def __init__(self, log: IO[bytes], notes: IO[str]) -> None:
        self._log, self._notes, self._left = log, notes, _LOG_BYTES
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self.error: str | None = None
        self._known = True
        """Whether the next layer was there before: a base, or one of an earlier build."""

    def take(self, message: Mapping[str, object]) -> None:
        """One message of the engine."""
        if "error" in message:
            self.error = str(message["error"]).strip()
        text = str(message.get("stream") or "")
        if text.startswith("Step "):
            self._known = " : FROM " in text.upper()
        elif text.startswith(" ---> Using cache"):
            self._known = True
        elif match := _RUNNING.fullmatch(text):
            self._note(f"container {match[1]}")
        elif (match := _LAYER.fullmatch(text)) and not self._known:
            self._note(f"image {match[1]}")
        if text:
            self.say(text)

    def _note(self, line: str) -> None:
        self._notes.write(f"{line}\n")
        self._notes.flush()

    def say(self, text: str) -> None:
        """Some output."""
        data = text.encode(errors="replace")[: self._left]
        self._left -= len(data)
        self._log.write(data)
        lines = (line.rstrip() for line in text.splitlines())
        self.tail.extend(line for line in lines if line and not line.startswith(_NOISE))


def build_folder() -> Path:
    """Where logs and locks of builds are, for all runs of this user."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = cache / "nemo-evaluator" / "builds"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter: a user without a home
        folder = Path(tempfile.gettempdir()) / f"nel-builds-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _looked_at(build: BuildSpec) -> tuple[Context, str]:
    context = Context(build)
    return context, context.digest()


def _query(context: Context, tag: str, labels: Mapping[str, str]) -> dict[str, str]:
    build = context.build
    query = {
        "t": tag,
        "dockerfile": build.dockerfile,
        "buildargs": json.dumps(dict(build.args)),
        "labels": json.dumps(dict(labels)),
        "rm": "1",
        "forcerm": "1",
        "version": "1",
    }
    return query if build.target is None else {**query, "target": build.target}


def _failure(context: Context, told: Told, log: Path) -> str:
    shown = " | ".join(line[:200] for line in told.tail)
    text = f"{context.folder}: the image cannot be built: {told.error}"
    return f"{text}: {shown}; the whole log: {log}" if shown else text
