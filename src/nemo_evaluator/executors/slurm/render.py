"""The files of a submission: scripts from small templates, and the secrets, which are apart.

Everything a template prints is quoted by `quoting`; a name it does not know is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from . import words
from .plan import (
    CHAIN,
    DOCUMENT,
    ENDS,
    EVALUATION,
    FOLLOW_UP,
    LOGS,
    MERGE,
    SECRETS,
    START_FAILED,
    JobPlan,
    Server,
    Step,
)
from .quoting import Shell, directive, exported, exports, word

if TYPE_CHECKING:
    from jinja2 import Environment

SCRIPTS = {EVALUATION: "nel_eval.sbatch", MERGE: "nel_merge.sbatch"}
_TEMPLATES = {EVALUATION: "evaluation.sbatch.j2", MERGE: "merge.sbatch.j2"}
SCRAPE = f"{__package__}.scrape"
FILES = {
    "document": Shell(DOCUMENT),
    "secrets": Shell(SECRETS),
    "chain": Shell(CHAIN),
    "follow_up": Shell(FOLLOW_UP),
    "ends": Shell(ENDS),
    "failed": Shell(START_FAILED),
    "logs": Shell(LOGS),
    "script": Shell(SCRIPTS[EVALUATION]),
    "merge": Shell(SCRIPTS[MERGE]),
}


def rendered(plan: JobPlan) -> dict[str, str]:
    """The files of a plan by their names below its directory; none holds a secret."""
    found = {DOCUMENT: plan.document}
    for job in plan.jobs:
        found[job.script] = _script(plan, _TEMPLATES[job.name])
    return found


def _script(plan: JobPlan, template: str) -> str:
    document = f"{plan.directory}/{DOCUMENT}"
    python = plan.command[0] if len(plan.command) > 1 else "python3"
    run = (*plan.command, "eval", "run", document, "--resume")
    merge = (*plan.command, "eval", "merge", plan.directory)
    return (
        _environment()
        .get_template(template)
        .render(
            plan=plan,
            files=FILES,
            images=words.images(plan),
            words=words.step_words,
            exported=exported,
            placed=words.placed,
            waits_for=words.waits_for,
            wait_up=_wait_up,
            service_urls=words.service_urls(plan),
            evaluation=words.evaluation_words(plan, run, "nel-evaluation"),
            merge=words.evaluation_words(plan, merge, "nel-merge"),
            scrape=words.evaluation_words(plan, (python, "-m", SCRAPE), "nel-metrics"),
        )
    )


def _wait_up(server: Server) -> Shell:
    """The line that waits until a server is up."""
    port = Shell(f'"$nel_port_{server.number}"')
    workers = [f"{role}={number}" for role, number in server.workers.items()]
    said = (server.label, server.log, server.startup_timeout, _reached(server), port)
    return Shell(f"nel_wait_up {word([*said, server.health_path or '', *workers])}")


def _reached(server: Server) -> Shell:
    return Shell(f'"{words.reached_at(server)}"')


def _reached_raw(server: Server) -> Shell:
    return Shell(words.reached_at(server))


def _metrics_file(server: Server) -> Shell:
    return Shell(f"{server.log.removeprefix('server-')}_engine_metrics.jsonl")


def _address_of(step: Step) -> Shell:
    return Shell(f'"{words.address(step.group, step.node)}"')


def secrets_text(plan: JobPlan) -> str:
    """The secrets, for a file of mode 0600: a function for each program, which exports what it
    gets. Empty where there are none."""
    steps = {f"step_{step.number}": (s, step) for s in plan.servers for step in s.steps}
    return "".join(
        f"nel_secrets_{name}() {{\n{_exports(values, *steps.get(name, ()))}}}\n"
        for name, values in plan.secrets.items()
    )


def _exports(
    values: Mapping[str, str], server: Server | None = None, step: Step | None = None
) -> str:
    """Lines that export variables; those of a step may hold placeholders."""
    lines = []
    for name, value in values.items():
        is_filled = step is not None and name in step.filled
        text = words.placed(value, server, step) if is_filled and server and step else word(value)
        lines.append(exported(name, text, "  "))
    return "".join(lines)


def first_words(plan: JobPlan) -> list[str]:
    """What ``sbatch`` is called with for the first job of a run only."""
    pairs = ((given.name, given.value) for given in plan.first)
    return [f"--{name}" if value is None else f"--{name}={value}" for name, value in pairs]


def described(plan: JobPlan) -> str:
    """What would be submitted, as a user reads it; secrets are names only."""
    parts = [f"# ---- {plan.directory}/{name}\n{text}" for name, text in rendered(plan).items()]
    if plan.secrets:
        parts.append(f"# ---- {plan.directory}/{SECRETS} (0600)\n{_masked(plan.secrets)}")
    if plan.first:
        words = word(["sbatch", *first_words(plan), f"{plan.directory}/{SCRIPTS[EVALUATION]}"])
        parts.append(f"# ---- the first job\n{words}\n")
    return "\n".join(parts)


def _masked(secrets: Mapping[str, Mapping[str, str]]) -> str:
    lines = [f"{key}=*** # {name}" for name, values in secrets.items() for key in values]
    return "\n".join(lines) + "\n"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        finalize=word,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters.update(directive=directive, exports=exports, reached=_reached, at=_address_of)
    made.filters.update(metrics_file=_metrics_file, reached_raw=_reached_raw)
    return made
