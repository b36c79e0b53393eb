"""The words that start a program of a server, with what only the job knows: addresses and ports.

Functions of the templates (`servers.j2`) give these values: ``nel_address NODE``, ``nel_port_N``,
``nel_nodes_G``; ``$1`` is the rank of the node.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ...services.launch import HOST, PLACEHOLDER
from .containers import apptainer_words, pyxis_words
from .plan import Container, JobPlan, Runtime, Server, Step
from .quoting import Shell, spliced, word

IMAGE_START = ("sh", "/etc/rc")
"""What enroot makes of the entry point and the command of an image."""
_ADDRESS = re.compile(r"\x00(\d+)\x00")


def step_words(plan: JobPlan, server: Server, step: Step) -> Shell:
    """The command of a step: ``srun`` with where it runs, and the program."""
    run = srun_words(plan, step.group, f"nel-server-{step.number}", mpi=step.mpi)
    if step.mpi:
        place = _nodelist(step)
        size = (f"--nodes={step.nodes}", f"--ntasks-per-node={step.tasks_per_node}")
        total = f"--ntasks={step.nodes * step.tasks_per_node}"
        run = (*run, *size, total, place)
    else:
        run = (*run, "--nodes=1", "--ntasks=1", _nodelist(step))
    own = [placed(text, server, step) for text in step.words]
    return word([*run, *_inside(step.container, step), *own])


def srun_words(plan: JobPlan, group: int, name: str, *, mpi: bool = False) -> tuple[str, ...]:
    """``srun`` beside other steps, with all of the node's memory and processors."""
    return (
        *(
            "srun",
            "--overlap",
            "--mem=0",
            "--cpu-bind=quiet,none",
            f"--mpi={'pmix' if mpi else 'none'}",
        ),
        *((f"--het-group={group}",) if len(plan.groups) > 1 else ()),
        *("--export=ALL", "--kill-on-bad-exit=1", f"--job-name={name}"),
    )


def evaluation_words(plan: JobPlan, words: Sequence[str], name: str) -> Shell:
    """The command of the evaluation, or of what else is run as it is."""
    container = plan.container
    if container is None:
        return word(list(words))
    if container.runtime is Runtime.APPTAINER:
        return word([*apptainer_words(container), *words])
    run = srun_words(plan, 0, name)
    place = ("--nodes=1", "--ntasks=1", Shell('--nodelist="${nel_nodes_0[0]}"'), "--unbuffered")
    names = tuple(plan.secrets.get("evaluation", ()))
    return word([*run, *place, *pyxis_words(container, names), *words])


def preflight_words(plan: JobPlan, container: Container, group: int) -> Shell:
    """A command that does nothing, in an image, on every node of a component."""
    size = f'"${{#nel_nodes_{group}[@]}}"'
    every = (Shell(f"--nodes={size}"), Shell(f"--ntasks={size}"), "--ntasks-per-node=1")
    run = (*srun_words(plan, group, "nel-image"), *every)
    if container.runtime is Runtime.APPTAINER:
        return word([*run, *apptainer_words(container), "true"])
    return word([*run, *pyxis_words(container, ()), "true"])


def images(plan: JobPlan) -> list[tuple[str, Shell]]:
    """Each image once for each component that runs it, and how to try it."""
    used = [(0, plan.container)] if plan.container is not None else []
    steps = [step for server in plan.servers for step in server.steps]
    used += [(step.group, step.container) for step in steps if step.container is not None]
    found: dict[tuple[int, str], Shell] = {}
    for group, container in used:
        found.setdefault((group, container.image), preflight_words(plan, container, group))
    return [(image, words) for (_, image), words in found.items()]


def placed(text: str, server: Server, step: Step) -> Shell:
    """A text as one word, with its placeholders."""

    def value(match: re.Match[str]) -> str:
        if match[1] is not None:
            return f"$((nel_port_{server.number} + {match[1]}))"
        known = {
            "port": f"$nel_port_{server.number}",
            "host": step.host,
            "head": address(*step.head),
            "leader": address(step.group, step.node),
            "rank": "$1",
        }
        return known.get(match[2], match[0])

    return spliced(text, PLACEHOLDER, value)


def address(group: int, node: int) -> str:
    """The expansion that is the address of a node."""
    return f'$(nel_address "${{nel_nodes_{group}[{node}]}}")'


def reached_at(server: Server) -> str:
    """The expansion that is the address at which the evaluation reaches a server."""
    here = (server.group, server.node) == (0, 0)
    return HOST if here else address(server.group, server.node)


def service_urls(plan: JobPlan) -> Shell:
    """The value of ``NEL_SERVICE_URLS``: JSON, with addresses and ports of the job in it."""
    by_name: dict[str, list[str]] = {}
    for server in plan.servers:
        by_name.setdefault(server.service, []).append(f"\x00{server.number}\x00")
    text = json.dumps(by_name, ensure_ascii=True).replace("\\u0000", "\x00")

    def value(match: re.Match[str]) -> str:
        server = plan.servers[int(match[1])]
        return f"http://{reached_at(server)}:$nel_port_{server.number}"

    return spliced(text, _ADDRESS, value)


def waits_for(server: Server, step: Step) -> list[Step]:
    """The programs whose port has to be open before a step, and was not waited for already."""
    earlier = {n for other in server.steps if other.number < step.number for n in other.after}
    return [
        other
        for other in server.steps
        if other.number in step.after and other.number not in earlier and other.listens_on
    ]


def _inside(container: Container | None, step: Step) -> tuple[str, ...]:
    if container is None:
        return ("--",)
    if container.runtime is Runtime.APPTAINER:
        return ("--", *apptainer_words(container, entrypoint=step.own_entrypoint))
    start = ("--no-container-entrypoint", "--", *IMAGE_START) if step.own_entrypoint else ("--",)
    return (*pyxis_words(container, step.environment), *start)


def _nodelist(step: Step) -> Shell:
    if step.mpi and step.nodes > 1:
        nodes = f'"${{nel_nodes_{step.group}[@]:{step.node}:{step.nodes}}}"'
        return Shell(f'--nodelist="$(IFS=,; set -- {nodes}; printf %s "$*")"')
    index = str(step.node)
    if step.nodes > 1:
        index = f"{step.node} + $1" if step.node else "$1"
    return Shell(f'--nodelist="${{nel_nodes_{step.group}[{index}]}}"')
