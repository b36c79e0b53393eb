"""A bounded number of sandboxes, each handed out fresh and removed whatever happens.

The pool counts, pulls images once each, and cleans: a sandbox is closed after its block, also when
the block is cancelled or fails; what a killed process left is removed when the next pool opens
on that host (by the owner named on it). Nothing is handed out twice: with bubblewrap a new
sandbox costs some milliseconds, and a container whose state is as good as new is a new container.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from types import TracebackType
from typing import Self

import msgspec

from ..errors import ConfigError
from .contract import Backend, BuildSpec, ImageBuilder, Sandbox, SandboxLost, SandboxSpec
from .finishing import finish

_PULLS = 2
"""Images pulled or built at a time; more only share the same line and the same cores."""


class SandboxPool:
    """Sandboxes of one backend, at most ``limit`` alive at a time. An async context manager."""

    def __init__(self, backend: Backend, *, limit: int = 4) -> None:
        if limit < 1:
            raise ValueError("a pool needs room for one sandbox")
        self.backend = backend
        self.limit = limit
        self.removed: list[str] = []
        """Sandboxes of ended processes that were removed when the pool opened."""
        self._room = asyncio.Semaphore(limit)
        self._pulling = asyncio.Semaphore(_PULLS)
        self._images: dict[str | bytes | None, asyncio.Task[str | None]] = {}
        """What each named image, and each build (by its encoded spec), has come to."""
        self._opened: asyncio.Task[Mapping[str, str]] | None = None

    async def open(self) -> Mapping[str, str]:
        """Check the engine and clean up after the dead, once; what the engine is.

        Raises ConfigError, with the way to fix it, when no sandbox can be made here.
        """
        if self._opened is None:
            self._opened = asyncio.create_task(self._open())
        return await asyncio.shield(self._opened)

    preflight = open

    async def prepull(self, specs: Iterable[SandboxSpec]) -> None:
        """Check all specs and have all their images at hand. ConfigError for what cannot be,
        BuildFailed for what cannot be built."""
        every = list(specs)
        for spec in every:
            self._check(spec)
        await self.open()
        done = await asyncio.gather(*map(self._ensure_image, every), return_exceptions=True)
        for failure in done:
            if isinstance(failure, BaseException):
                raise failure

    async def have(self, spec: SandboxSpec) -> None:
        """Have the image of a spec at hand. ConfigError, or BuildFailed."""
        self._check(spec)
        await self.open()
        await self._ensure_image(spec)

    @asynccontextmanager
    async def acquire(self, spec: SandboxSpec, *, beyond: bool = False) -> AsyncIterator[Sandbox]:
        """A fresh sandbox for the block. SandboxLost when the engine fails to give one.

        ``beyond``: for who holds one already, and would wait for itself otherwise: not counted.
        """
        self._check(spec)
        await self.open()
        image = await self._ensure_image(spec)  # before a place is taken: that may take minutes
        async with nullcontext() if beyond else self._room:
            if spec.build is not None:
                spec = msgspec.structs.replace(spec, image=image, build=None)
            sandbox = await self.backend.create(spec)
            try:
                yield sandbox
            finally:
                # What is known by now is not lost to a failing removal: `close` tries again.
                with suppress(SandboxLost):
                    await finish(sandbox.close())

    async def close(self) -> None:
        """Remove every sandbox that is still there; safe to call twice."""
        pending = [task for task in self._images.values() if not task.done()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await finish(self.backend.close())

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _open(self) -> Mapping[str, str]:
        found = await self.backend.preflight()
        self.removed = await self.backend.reap()
        return found

    def _check(self, spec: SandboxSpec) -> None:
        self.backend.check(spec)
        if spec.build is None:
            return
        if not isinstance(self.backend, ImageBuilder):
            raise ConfigError(
                f"the sandbox {self.backend.name!r} builds no images",
                hint="use `sandbox: {type: docker}`, or name an image that is there",
            )
        if spec.image is not None:
            raise ConfigError("a sandbox has either an image or a build, not both")

    async def _ensure_image(self, spec: SandboxSpec) -> str | None:
        """Have an image at hand, unless that was done; who waits for a failing one fails with it.
        The image's name."""
        wanted = (
            spec.image if spec.build is None else msgspec.json.encode(spec.build, order="sorted")
        )
        if (task := self._images.get(wanted)) is None:
            task = self._images[wanted] = asyncio.create_task(self._fetch(spec.image, spec.build))
        return await asyncio.shield(task)

    async def _fetch(self, image: str | None, build: BuildSpec | None) -> str | None:
        async with self._pulling:
            if build is not None and isinstance(self.backend, ImageBuilder):
                return await self.backend.build(build)
            await self.backend.pull(image)
            return image


def image_key(spec: SandboxSpec) -> str | bytes | None:
    """What the image of a spec is known by: equal for all specs that need the same."""
    if spec.build is None:
        return spec.image
    return msgspec.json.encode(spec.build, order="sorted")
