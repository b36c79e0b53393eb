"""One sandbox of the ``slurm`` backend: a named container on a node, held by a step of the job."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import subprocess
from collections.abc import Mapping, Sequence

from ..http.listener import Listener
from . import processes, stdio_relay
from .client_sandbox import OWN, ClientSandbox
from .commands import Job
from .contract import SandboxLost, SandboxSpec
from .docker_kills import MARK
from .holder import READY, Holder
from .slurm_nodes import Nodes, drop_report, exported

BOX = "NEL_SANDBOX"
_START, _STOP = 600.0, 60.0
_KILLS = """\
has() { tr '\\0' '\\n' < "$2" | grep -q "^$1"; }
if printf 'a\\0b\\0' | grep -zqx b; then
  carry() { grep -lzx -- "$1" /proc/[0-9]*/environ; }
else
  carry() { for f in /proc/[0-9]*/environ; do has "$1\\$" "$f" && echo "$f"; done; }
fi 2>/dev/null
for s in STOP KILL KILL; do
  for f in $(carry "$1"); do
    p=${f#/proc/}; p=${p%/environ}
    [ "$p" != $$ ] && { [ -z "$2" ] || ! has "$2" "$f"; } && kill -$s "$p"
  done
done 2>/dev/null
true
"""
"""Ends the processes that carry a variable ``$1``, and not ``$2``. Stopped first, none can start
others."""
HOLDER = f"""\
life=$1 cwd=$2 mark=$3
mkdir -p -- "$cwd" && {{ [ -w "$cwd" ] && chmod 1777 -- "$cwd" 2>/dev/null; }}
echo {READY}
timeout "$life" cat >/dev/null
set -- "$mark" ''
{_KILLS}"""


class SlurmSandbox(ClientSandbox):
    """See `Sandbox`."""

    engine = "slurm"

    def __init__(
        self,
        spec: SandboxSpec,
        nodes: Nodes,
        node: str,
        name: str,
        env: Mapping[str, str],
        *,
        counts_memory: bool,
        tracks_processes: bool,
    ) -> None:
        """``tracks_processes``: nothing that a step has started survives it."""
        super().__init__(spec)
        self._tracks_processes = tracks_processes
        self._nodes, self._node, self._name = nodes, node, name
        self._env, self._counts_memory = env, counts_memory
        self._dirty = False

    async def _hold(self, image: str) -> Holder:
        life, mark = int(self.spec.limits.lifetime) + 1, f"{BOX}={self._name}"
        words = ["sh", "-c", HOLDER, "sh", str(life), self.spec.cwd, mark]
        options = [f"--container-image={image}", *self._mounts()]
        step = self._step(self.user if self.user == 0 else OWN, *options, exported([]))
        try:
            return await Holder.start([*step, *words], self._env, seconds=_START, peer=self.engine)
        except SandboxLost as error:
            raise self._lost(f"node {self._node}: {error.args[0]}") from None

    async def _let_go(self, holder: Holder) -> None:
        await holder.end(_STOP)
        await self._remove_container()

    async def listen(self) -> Listener:
        """See `Sandbox.listen`: a relay on the node, since its network is not this machine's."""
        return await stdio_relay.listen(self)

    async def end_processes(self) -> None:
        """See `Sandbox.end_processes`."""
        self._must_be_there()
        await self._kill(f"{BOX}={self._name}")
        for process in list(self._background):
            await process.kill()

    def _mounts(self) -> list[str]:
        words = [f"{folder}:{folder}:ro" for folder in self.spec.folders]
        return [f"--container-mounts={','.join(words)}"] if words else []

    def _step(self, user: int, *options: str) -> list[str]:
        limits = self.spec.limits
        words = [f"--container-name={self._name}", "--no-container-mount-home"]
        words += ["--container-writable", "--container-workdir=/"]
        words.append(f"--{'' if user == 0 else 'no-'}container-remap-root")
        words.append(f"--cpus-per-task={max(1, math.ceil(limits.cpus))}")
        if self._counts_memory:
            words.append(f"--mem={limits.memory_mb}M")
        return self._nodes.step(self._node, *words, *options)

    def _client(self, argv: list[str], names: Sequence[str], user: int, *, tty: bool) -> list[str]:
        options = [exported(names), *(["--pty"] if tty else [])]
        return [*self._step(user, *options), *self._as_user(user, argv)]

    def _as_user(self, user: int, argv: Sequence[str]) -> list[str]:
        # A container of pyxis has remapped its one user to root where that is wanted.
        return [*argv] if user == 0 else super()._as_user(user, argv)

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        return {**self._env, **variables}

    def _call(
        self, argv: list[str], user: int, cwd: str, extra: Mapping[str, str], *, tty: bool
    ) -> tuple[list[str], dict[str, str]]:
        # Scripts of ours carry no mark: they would end themselves.
        marked = {**extra, BOX: self._name} if extra else extra
        return super()._call(argv, user, cwd, marked, tty=tty)

    @property
    def _limits(self) -> str:
        if self._counts_memory:
            return super()._limits
        return f"{super()._limits}ulimit -v {self.spec.limits.memory_mb << 10} 2>/dev/null; "

    async def _run(self, job: Job) -> int | None:
        code = await super()._run(job)
        drop_report(job.err)
        return code

    async def _swept(self, argv: list[str], user: int) -> list[str]:
        if self._dirty and not self._tracks_processes:
            await self._kill(f"{BOX}={self._name}", f"{MARK}=")
        self._dirty = True
        return argv

    async def _end(self, user: int) -> None:
        await self._kill(f"{BOX}={self._name}", f"{MARK}=")

    async def _end_marked(self, mark: str) -> None:
        await self._kill(f"{MARK}={mark}")

    async def _kill(self, mark: str, spared: str = "") -> None:
        await self._quietly(_KILLS, OWN, mark, spared, timeout=_STOP)

    async def _starved(self, code: int | None) -> bool:
        return False

    async def _must_stand(self) -> None:
        if self._holder is None or not self._holder.running:
            raise self._lost("the step ended while a command was running")

    async def _end_client(self, client: asyncio.subprocess.Process) -> None:
        # Told to end, srun ends its step; killed, it would leave the step behind.
        if client.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                client.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(client.wait(), processes.GONE)
        await super()._end_client(client)

    async def _remove_container(self) -> None:
        """Remove the file system; pyxis itself does at the end of the job at the latest."""
        script = 'enroot remove -f "pyxis_${SLURM_JOB_ID}_$1" || enroot remove -f "pyxis_$1"'
        step = self._nodes.step(self._node, exported(["HOME", "PATH"]))
        done = await asyncio.create_subprocess_exec(
            *step,
            *("sh", "-c", script, "sh", self._name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(self._env),
        )
        await self._settled_within(done, _STOP)

    async def _settled_within(self, client: asyncio.subprocess.Process, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(client.wait(), seconds)
        await self._end_client(client)
