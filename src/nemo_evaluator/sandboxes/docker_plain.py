"""A ``plain`` sandbox: a container as its image's author means it (`SandboxSpec.plain`).

Invariant: what a command leaves running runs on until ``end_processes``, and no longer, whatever
user it has become; a command that takes too long is ended with what it started, and nothing else.
"""

from __future__ import annotations

import asyncio
import io
import posixpath
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from ..errors import ConfigError
from ..files.owner import LABEL
from . import overlay
from .commands import Job
from .contract import Change, SandboxSpec
from .docker_images import Image
from .docker_kills import MARK
from .docker_sandbox import DockerSandbox, delete
from .finishing import finish
from .transfer import pack

KEPT = "nel-kept"
KEPT_LABEL = "nemo-evaluator.kept"
"""On the image of a container that was kept."""


def as_image(spec: SandboxSpec, image: Image) -> SandboxSpec:
    """The spec with what it leaves to the image."""
    account = image.user.partition(":")[0] if spec.account is None else spec.account
    return msgspec.structs.replace(
        spec,
        cwd=spec.cwd or image.cwd,
        account=account or "0",
        user=int(account) if str(account).isdecimal() else 0,
        read_only=False,
    )


class PlainSandbox(DockerSandbox):
    """See `Sandbox`."""

    programs: Sequence[str] = ()
    """See `OfImage.programs`."""
    owner = ""
    """Who made it, for containers beside it."""

    async def started(self) -> None:
        """Look up the user, where the image or the task names one."""
        name = str(self.spec.account)
        if name.isdecimal():
            return
        found = await self.exec(["id", "-u", name], user=0, cwd="/", timeout=20)
        if not found.stdout.strip().isdecimal():
            raise ConfigError(
                f"the image has no user {name!r}: {found.stderr.strip()[:200]}",
                where=self.spec.image,
            )
        user = int(found.stdout)
        self.spec = msgspec.structs.replace(self.spec, user=user)
        self.user = user
        self._users.add(user)

    async def place(self, files: Mapping[str, bytes], folders: Sequence[str]) -> None:
        """Put files and open folders into the container before it starts: that takes no command."""
        if not files and not folders:
            return
        archive = pack(
            {path.lstrip("/"): data for path, data in files.items()},
            shared=[path.strip("/") for path in folders],
        )
        await self._upload_archive("/", archive)

    @property
    def runs_as_root(self) -> bool:
        """See `CommandSandbox.runs_as_root`: root is a user of any image."""
        return True

    async def _end_all(self) -> None:
        """The engine ends the container from outside and starts it again, which no process
        survives; the files stay."""
        query = {"t": "0"}
        await self._engine.expect("POST", f"/containers/{self.id}/restart", query=query)
        for process in list(self._background):
            await process.ended()

    async def become_image(self, name: str) -> str:
        """See `BecomesImage.become_image`."""
        query = {"container": self.id, "repo": KEPT, "tag": name, "pause": "1"}
        labels = {"Labels": {KEPT_LABEL: name}}
        await self._engine.expect("POST", "/commit", labels, query=query, timeout=600)
        return f"{KEPT}:{name}"

    async def _run(self, job: Job) -> int | None:
        self._must_be_there()
        self._users.add(job.user)
        # A server of an earlier command keeps the mark of that command, and so lives on.
        marked = {**job.env, MARK: secrets.token_hex(8)}
        return await self._seen_through(replace(job, env=marked))

    async def changes(self) -> list[Change]:
        """See `OfImage.changes`."""
        container = await self._engine.expect("GET", f"/containers/{self.id}/json")
        if (seen := await asyncio.to_thread(overlay.changes, container)) is not None:
            return seen
        entries = await self._engine.expect("GET", f"/containers/{self.id}/changes")
        return [Change(path=one["Path"], added=one["Kind"] == 1) for one in entries or ()]

    async def set_back(self, paths: Sequence[str]) -> None:
        """See `OfImage.set_back`. The files are those of a container that never ran."""
        labels = {LABEL: self.owner}
        body = {"Image": self.spec.image, "Labels": labels, "NetworkDisabled": True}
        untouched = (await self._engine.expect("POST", "/containers/create", body))["Id"]
        try:
            for path in paths:
                query = {"path": path}
                got = await self._engine.request(
                    "GET", f"/containers/{untouched}/archive", query=query
                )
                data = got.body if got.status == 200 else _empty(posixpath.basename(path))
                await self._upload_archive(posixpath.dirname(path), data)
        finally:
            await finish(delete(self._engine, untouched))
        # What the container runs by itself may have been among them.
        await self._end_all()

    async def _upload_archive(self, folder: str, archive: bytes) -> None:
        """Unpack an archive in the container, by the engine."""
        where, query = f"/containers/{self.id}/archive", {"path": folder}
        got = await self._engine.request("PUT", where, query=query, archive=io.BytesIO(archive))
        if got.status >= 400:
            raise self._lost(f"files cannot be put into {folder}: {got.message}")

    async def _end_command(self, job: Job) -> None:
        await self.kill_marked(job.env[MARK])


def _empty(name: str) -> bytes:
    """An archive of an empty file."""
    return pack({name: b""})
