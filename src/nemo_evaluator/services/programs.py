"""From a `Launch` to the programs that this machine runs: everything is filled in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from .child import Program
from .containers import ANYWHERE, in_container
from .launch import HOST, Launch, Process, command_of, filled, filled_process


def programs_of(
    launch: Launch,
    name: str,
    *,
    port: int,
    model: str,
    devices: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> tuple[Program, ...]:
    """The programs of one server, each after those it needs. ``devices``: the numbers of its GPUs;
    ``env``: variables that those of the launch win over. Raises ConfigError."""
    contained = launch.image is not None and not launch.host_network
    inside = launch.container_port if contained and launch.container_port else port
    values = {
        "port": str(inside),
        "host": ANYWHERE if contained else HOST,
        "model": model,
        "head": HOST,
        "leader": HOST,
        "rank": "0",
    }
    variables = {"PORT": values["port"], "HOST": values["host"], "MODEL": model}
    own = {variable: filled(value, values) for variable, value in launch.env.items()}
    shared = {**(env or {}), **variables}
    left = [*devices]
    found = []
    for process in launch.programs:
        filled_in = filled_process(process, values)
        several = len([p for p in launch.programs if p.gpus]) > 1
        mine, left = (left[: process.gpus], left[process.gpus :]) if several else (left, left)
        given = {**own, **filled_in.env}
        if launch.image is not None:
            found.append(
                in_container(
                    launch, filled_in, name, env={**shared, **given}, port=port, devices=mine
                )
            )
        else:
            visible = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, mine))} if mine else {}
            found.append(_on_host(launch, filled_in, {**shared, **visible, **given}))
    return tuple(found)


def _on_host(launch: Launch, process: Process, env: Mapping[str, str]) -> Program:
    return Program(
        argv=command_of(process),
        env={**os.environ, **env},
        role=process.role if launch.processes else "",
        folder=launch.folder,
        listens_on=process.listens_on,
    )
