"""The sandbox that a task wants, as data."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import msgspec

from ...errors import ConfigError
from ...sandbox_spec import BuildSpec, Limits, Network, SandboxSpec
from ...task_folders.files import walk
from ...task_folders.records import Place, Task
from ...task_folders.settings import Internet
from ...task_folders.variables import resolved
from .options import HarborOptions, names_of

MEMORY_MB, CPUS, DISK_MB, PIDS = 4096, 2.0, 10_240, 4096
"""For tasks that name no limits."""
COMMAND_SECONDS = 600.0
"""For a command that names no time: those of an agent may build programs."""

FOLDERS = ("/logs/agent", "/logs/verifier", "/logs/artifacts")
"""What agents and tests of Harbor find in every container."""
_READY = """\
mkdir -p {folders} && chmod 777 {folders} || exit 1
"""
_HEALTHY = """\
end=$(($(date +%s) + {start_period})); failed=0
until timeout {timeout} sh -c {command} > /tmp/.nel-health 2>&1; do
  if [ $(date +%s) -lt $end ]; then sleep {start_interval}; continue; fi
  failed=$((failed + 1))
  if [ $failed -ge {retries} ]; then
    echo "the environment is not healthy: $(tail -c 200 /tmp/.nel-health)" >&2; exit 1
  fi
  sleep {interval}
done
rm -f /tmp/.nel-health
"""


def begin_command(task: Task) -> str | None:
    """What is left to do in a new container before the agent of a task begins."""
    files = task.stages[0].files
    setup = "bash setup.sh || exit 1\n" if files and (files / "setup.sh").is_file() else ""
    healthy = ready_command(task.place) if task.place.healthcheck is not None else ""
    return setup + healthy or None


def ready_command(place: Place) -> str:
    """What makes a container of a place ready for an agent, or for tests, and waits until it is."""
    command = _READY.format(folders=" ".join(FOLDERS))
    if (check := place.healthcheck) is not None:
        command += _HEALTHY.format(
            command=shlex.quote(check.command),
            start_period=int(check.start_period_sec),
            start_interval=f"{check.start_interval_sec:g}",
            interval=f"{check.interval_sec:g}",
            timeout=f"{check.timeout_sec:g}",
            retries=check.retries,
        )
    return command


def workspace_of(task: Task, options: HarborOptions) -> SandboxSpec:
    """Where an agent works on a task, and its tests run. Raises ConfigError."""
    first = task.stages[0]
    spec = spec_of(task.place, task.folder, options, account=first.user)
    if first.files is None:
        return spec
    return msgspec.structs.replace(spec, files=_contents(first.files))


def _contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their relative paths."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in walk(folder)
        if path.is_file()
    }


def spec_of(
    place: Place, folder: Path, options: HarborOptions, *, account: str | int | None = None
) -> SandboxSpec:
    """The sandbox of a place. Raises ConfigError."""
    build = None
    if place.image is None:
        assert place.context is not None  # or the task would not have been read
        build = BuildSpec(
            context=str(place.context),
            dockerfile=place.dockerfile,
            args=place.build_args,
            target=place.target,
            timeout=place.build_timeout,
        )
    return SandboxSpec(
        image=place.image,
        build=build,
        plain=True,
        open_folders=FOLDERS,
        stateful=True,
        cwd=place.cwd or "",
        account=account,
        verify_user=0,
        env=resolved(place.env, os.environ, names_of(options.pass_env), str(folder)),
        network=_network(place, folder, options),
        limits=Limits(
            timeout=COMMAND_SECONDS,
            memory_mb=place.memory_mb or MEMORY_MB,
            cpus=place.cpus or CPUS,
            disk_mb=place.storage_mb or DISK_MB,
            pids=PIDS,
        ),
    )


def _network(place: Place, folder: Path, options: HarborOptions) -> Network:
    if place.internet is Internet.ALLOWLIST:
        if options.allowlist is None:
            raise ConfigError(
                "the task may reach only some hosts (network_mode allowlist), which no sandbox "
                "here can arrange",
                where=str(folder),
                hint="params: {allowlist: none} or {allowlist: bridge} says what it gets instead",
            )
        return options.allowlist
    return "bridge" if place.internet is Internet.PUBLIC else "none"
