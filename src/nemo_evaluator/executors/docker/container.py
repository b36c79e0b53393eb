"""The container of a run at the engine: made, started with its secrets, looked at, signalled.

A container stays after its end, so that its exit code and its last words can be asked for; a run
that goes on gets a new one in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...errors import ConfigError
from ...sandboxes.contract import SandboxLost
from ...sandboxes.docker_api import HEADER_BYTES, Attached, Engine
from ..handed_environment import packed
from .plan import DockerPlan

KILLED = (137, 255)
"""Exit codes of what was ended by SIGKILL, and of what an engine found dead when it started."""
HANDED_SECONDS = 10.0
_NOT_STARTED = range(125, 128)


class Seen(NamedTuple):
    """A container at one moment."""

    id: str
    running: bool
    paused: bool
    exit_code: int
    out_of_memory: bool
    error: str
    """What the engine says went wrong with it."""
    image: str

    @property
    def reason(self) -> str:
        """Why the container ended, where its exit code is not that of the run; with what to do."""
        if self.running:
            return "the container is paused: docker unpause it" if self.paused else ""
        if self.out_of_memory:
            return (
                "the container was killed for want of memory: give Docker more, or lower "
                "max_concurrent"
            )
        if self.error:
            return f"the container did not start: {self.error}"
        if self.exit_code in KILLED:
            return (
                "the container was killed (docker kill, or a restart of the engine or the machine)"
            )
        if self.exit_code in _NOT_STARTED:
            return f"the image {self.image} has no working `nel` (exit code {self.exit_code})"
        return ""


async def start(engine: Engine, plan: DockerPlan, secrets: Mapping[str, str]) -> str:
    """Make the container of a run and start it: its id. Raises ConfigError."""
    query = {"name": plan.name}
    made = await engine.request("POST", "/containers/create", plan.body(), query=query)
    if made.status >= 400:
        raise ConfigError(f"the container cannot be made: {made.message}", where="cluster")
    number = str(made.json()["Id"])
    try:
        stdin = {"stream": "1", "stdin": "1"}
        attached = await engine.attach(f"/containers/{number}/attach", None, query=stdin)
        try:
            started = await engine.request("POST", f"/containers/{number}/start")
            if started.status >= 400:
                what = f"the container cannot be started: {started.message}"
                raise ConfigError(what, where="cluster")
            await _hand_over(attached, packed(secrets))
        finally:
            attached.drop()
    except BaseException:
        await remove(engine, number)
        raise
    return number


async def _hand_over(attached: Attached, data: bytes) -> None:
    """Write to the container, and close its standard input."""
    attached.writer.write(data)
    with contextlib.suppress(OSError, TimeoutError):  # it has ended; its log says why
        async with asyncio.timeout(HANDED_SECONDS):
            attached.writer.close()  # once everything is written
            await attached.writer.wait_closed()


async def look(engine: Engine, name: str) -> Seen | None:
    """A container by its name; None where there is none. Raises SandboxLost without an engine."""
    got = await engine.request("GET", f"/containers/{name}/json", timeout=20)
    if got.status == 404:
        return None
    if got.status >= 400:
        raise SandboxLost(f"the Docker engine refused: {got.message}", peer=engine.socket)
    found = got.json()
    state = found["State"]
    return Seen(
        id=found["Id"],
        running=bool(state["Running"]),
        paused=bool(state["Paused"]),
        exit_code=int(state["ExitCode"]),
        out_of_memory=bool(state["OOMKilled"]),
        error=str(state.get("Error") or ""),
        image=str(found["Config"]["Image"]),
    )


async def signal(engine: Engine, name: str, number: str) -> None:
    """Send a signal; what has ended meanwhile needs none."""
    await engine.request("POST", f"/containers/{name}/kill", query={"signal": number})


async def remove(engine: Engine, name: str) -> None:
    """Remove a container, whatever it does."""
    with contextlib.suppress(SandboxLost):
        await engine.request("DELETE", f"/containers/{name}", query={"force": "1", "v": "1"})


async def last_words(engine: Engine, name: str, tail: int | None = None) -> list[str]:
    """The lines that a container printed, or the last of them."""
    query = {"stdout": "1", "stderr": "1", "tail": "all" if tail is None else str(tail)}
    got = await engine.request("GET", f"/containers/{name}/logs", query=query)
    if got.status >= 400:
        return []
    return b"".join(_pieces(got.body)).decode(errors="replace").splitlines()


def _pieces(body: bytes) -> Iterator[bytes]:
    at = 0
    while at + HEADER_BYTES <= len(body):
        end = at + HEADER_BYTES + int.from_bytes(body[at + 4 : at + HEADER_BYTES], "big")
        yield body[at + HEADER_BYTES : end]
        at = end
