"""The other side of a `Worker`: ``python child.py SCRIPT FOLDER``, in the other interpreter.

Needs the standard library only (Python 3.9 or newer). The script defines ``async def`` functions
and ``METHODS``, a mapping of names to them; each takes the `Peer`, by which it calls us, and the
parameters. What the script or its package prints goes to standard error. The process ends when its
standard input does, and removes the folder for its temporary files.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

GRACE_SECONDS = 5.0
"""For calls that are cancelled when our side is gone."""
MESSAGE = 20_000
"""Characters kept of an error's message and of its traceback."""


class PeerError(Exception):
    """A call that failed on the other side. ``kinds``: names of its class and of the bases."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", ""))
        self.kinds: list[str] = error.get("kinds", [])


class Peer:
    """The lines to and from the process that started this one."""

    def __init__(self, out: int, methods: dict[str, Callable[..., Any]]) -> None:
        self._out, self._methods = out, methods
        self._loop = asyncio.get_running_loop()
        self._writing = threading.Lock()
        self._number = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self.over = asyncio.Event()

    async def call(self, method: str, **params: Any) -> Any:
        """What the other side answers. Raises PeerError."""
        self._number += 1
        number, answer = self._number, self._loop.create_future()
        self._asked[number] = answer
        try:
            self.send({"call": number, "method": method, "params": params})
            return await answer
        except asyncio.CancelledError:
            self.send({"cancel": number})
            raise
        finally:
            self._asked.pop(number, None)

    def send(self, message: dict[str, Any]) -> None:
        """Write a line."""
        data = json.dumps(message, default=str).encode() + b"\n"
        with self._writing:
            try:
                while data:
                    data = data[os.write(self._out, data) :]
            except BrokenPipeError:
                self._loop.call_soon_threadsafe(self.over.set)

    def take(self, message: dict[str, Any]) -> None:
        """A line of the other side."""
        if "call" in message:
            work = self._answer(message["call"], message["method"], message.get("params") or {})
            self._running[message["call"]] = self._loop.create_task(work)
        elif "cancel" in message:
            if task := self._running.get(message["cancel"]):
                task.cancel()
        elif (answer := self._asked.get(message["answer"])) and not answer.done():
            if "error" in message:
                answer.set_exception(PeerError(message["error"]))
            else:
                answer.set_result(message.get("result"))

    async def _answer(self, number: int, method: str, params: dict[str, Any]) -> None:
        try:
            answer: dict[str, Any] = {"result": await self._methods[method](self, **params)}
        except asyncio.CancelledError:
            answer = {"error": {"message": "cancelled", "kinds": ["CancelledError"]}}
        except BaseException as error:  # a script that calls sys.exit ends its call only
            answer = {"error": told(error)}
        finally:
            self._running.pop(number, None)
        self.send({"answer": number, **answer})

    async def end(self) -> None:
        """Cancel what still runs, and wait for it a little."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_SECONDS)


def told(error: BaseException) -> dict[str, Any]:
    """An error as the other side learns of it."""
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind is not object]
    return {"message": str(error)[:MESSAGE], "kinds": kinds, "traceback": trace[-MESSAGE:]}


def read(inward: int, peer: Peer, loop: asyncio.AbstractEventLoop) -> None:
    """Hand lines to the event loop; a thread of its own, so that it notices the end whatever the
    loop does."""
    with os.fdopen(inward, "rb", buffering=1 << 20) as lines:
        for line in lines:
            loop.call_soon_threadsafe(peer.take, json.loads(line))
    loop.call_soon_threadsafe(peer.over.set)
    time.sleep(2 * GRACE_SECONDS)
    leave(1)


def leave(code: int) -> None:
    """End the process, whatever its threads do."""
    shutil.rmtree(sys.argv[2], ignore_errors=True)
    sys.stdout.flush()
    os._exit(code)


def methods_of(script: str) -> dict[str, Callable[..., Any]]:
    """What a script offers. It may import the modules beside it."""
    sys.path.append(str(Path(script).parent))
    spec = importlib.util.spec_from_file_location("nel_foreign_script", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return dict(module.METHODS)


async def serve(script: str, inward: int, out: int) -> None:
    """Answer calls until the other side is gone."""
    peer = Peer(out, {})
    try:
        peer = Peer(out, methods_of(script))
    except BaseException as error:
        peer.send({"error": told(error)})
        return
    peer.send({"ready": os.getpid()})
    loop = asyncio.get_running_loop()
    threading.Thread(target=read, args=(inward, peer, loop), daemon=True).start()
    await peer.over.wait()
    await peer.end()


def main() -> None:
    """Keep standard input and output for the lines, whatever the script prints."""
    inward, out = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.path[:] = [folder for folder in sys.path if folder != str(Path(__file__).parent)]
    asyncio.run(serve(sys.argv[1], inward, out))
    leave(0)


if __name__ == "__main__":
    main()
