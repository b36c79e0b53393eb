"""API keys that expire: read from a command or a function, kept for a while, renewed when refused.

One call at a time, however many wait. Its output is a secret of the process from then on
(`config.scrubber`), and never part of an error text.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence

from ..config.keys import PREFIX, find
from ..config.scrubber import KNOWN

log = logging.getLogger("nemo_evaluator.traffic")

COMMAND_SECONDS = 60.0
AGAIN_SECONDS = 10.0
"""After a failed renewal the old key is used for this long, before the next attempt."""
SHOWN_CHARS = 200


class NoKey(Exception):
    """The command or function gave no key."""


class ExpiringKey:
    """The key of a service, and the way to a new one."""

    def __init__(self, ask: Callable[[], Awaitable[str]], ttl: float) -> None:
        self._ask, self._ttl = ask, ttl
        self._key = ""
        self._until = 0.0
        self._asking = asyncio.Lock()

    @classmethod
    def of(cls, command: str | Sequence[str], ttl: float) -> ExpiringKey:
        """The key that an ``api_key_command`` gives. Raises ConfigError for a function that cannot
        be found."""
        if isinstance(command, str) and command.startswith(PREFIX):
            function = find(command)

            async def ask() -> str:
                answer = await asyncio.to_thread(function)
                return await answer if inspect.isawaitable(answer) else answer

            return cls(ask, ttl)
        return cls(lambda: _output(command), ttl)

    async def current(self) -> str:
        """The key now. Raises NoKey."""
        if time.monotonic() < self._until:
            return self._key
        async with self._asking:
            if time.monotonic() >= self._until:
                await self._renew()
            return self._key

    async def is_renewed(self, refused: str) -> bool:
        """Whether there is another key than the one that was refused; asks for it, once for all
        who were refused the same. Raises NoKey."""
        async with self._asking:
            if self._key == refused:
                self._until = 0.0
                await self._renew()
            return self._key != refused

    async def _renew(self) -> None:
        try:
            key = _checked_key(await self._ask())
        except Exception as error:
            what = str(error) if isinstance(error, NoKey) else f"{type(error).__name__}: {error}"
            problem = NoKey(KNOWN(f"api_key_command failed: {what}")[:SHOWN_CHARS])
            if not self._key:
                raise problem from None
            log.warning("%s; the old key is used for now", problem)
            self._until = time.monotonic() + AGAIN_SECONDS
            return
        KNOWN.learn(key)
        self._key, self._until = key, time.monotonic() + self._ttl


def _checked_key(told: object) -> str:
    """The key in the output. Raises NoKey; the text itself may be secret and is not shown."""
    if not isinstance(told, str):
        raise NoKey(f"the key is a {type(told).__name__}, not a text")
    key = told.strip()
    if not key:
        raise NoKey("the key is empty")
    if len(key.split()) > 1 or not key.isprintable():
        raise NoKey("more than one word was printed; print the key and nothing else")
    return key


async def _output(command: str | Sequence[str]) -> str:
    """What a command prints. Raises NoKey if it fails or takes too long."""
    words = ("/bin/sh", "-c", command) if isinstance(command, str) else command
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        raise NoKey(f"not done after {COMMAND_SECONDS:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        errors = err.decode(errors="replace").strip().splitlines()
        raise NoKey(f"exit code {process.returncode}" + (f": {errors[-1]}" if errors else ""))
    return out.decode(errors="replace")
