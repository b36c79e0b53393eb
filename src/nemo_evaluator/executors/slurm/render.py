"""The files of a submission: scripts from small templates, and the secrets, which are apart.

Everything a template prints is quoted by `quoting`; a name it does not know is an error.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .plan import CHAIN, DOCUMENT, ENDS, EVALUATION, FOLLOW_UP, MERGE, SECRETS, JobPlan
from .quoting import Shell, directive, exports, word

if TYPE_CHECKING:
    from jinja2 import Environment

SCRIPTS = {EVALUATION: "nel_eval.sbatch", MERGE: "nel_merge.sbatch"}
_TEMPLATES = {EVALUATION: "evaluation.sbatch.j2", MERGE: "merge.sbatch.j2"}
FILES = {
    "document": Shell(DOCUMENT),
    "secrets": Shell(SECRETS),
    "chain": Shell(CHAIN),
    "follow_up": Shell(FOLLOW_UP),
    "ends": Shell(ENDS),
    "script": Shell(SCRIPTS[EVALUATION]),
    "merge": Shell(SCRIPTS[MERGE]),
}


def rendered(plan: JobPlan) -> dict[str, str]:
    """The files of a plan by their names below its directory; none holds a secret."""
    found = {DOCUMENT: plan.document}
    for job in plan.jobs:
        template = _environment().get_template(_TEMPLATES[job.name])
        found[job.script] = template.render(plan=plan, files=FILES)
    return found


def secrets_text(plan: JobPlan) -> str:
    """The secrets, for a file of mode 0600: a function for each program, which exports what it
    gets. Empty where there are none."""
    parts = []
    for name, values in plan.secrets.items():
        lines = "".join(f"  export {key}={shlex.quote(value)}\n" for key, value in values.items())
        parts.append(f"nel_secrets_{name}() {{\n{lines}}}\n")
    return "".join(parts)


def described(plan: JobPlan) -> str:
    """What would be submitted, as a user reads it; secrets are names only."""
    parts = [f"# ---- {plan.directory}/{name}\n{text}" for name, text in rendered(plan).items()]
    if plan.secrets:
        parts.append(f"# ---- {plan.directory}/{SECRETS} (0600)\n{_masked(plan.secrets)}")
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
    made.filters.update(directive=directive, exports=exports)
    return made
