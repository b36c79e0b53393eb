"""The table of kinds in the page about plug-ins, made of what ``kinds`` says.

python -m nemo_evaluator.tasks.plugin_page docs/plugins.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..kinds import KINDS
from ..plugins import Kind

START = "<!-- kinds: made by `python -m nemo_evaluator.tasks.plugin_page docs/plugins.md` -->\n"
END = "<!-- end of kinds -->"


def table() -> str:
    """A line for each kind: what it is, its group, and what is built in."""
    lines = ["| `nel list` | what it is | entry-point group | built in |", "|---|---|---|---|"]
    return "\n".join([*lines, *map(_line, KINDS.values())]) + "\n"


def with_table(page: str) -> str:
    """A page of the docs with its table brought up to date."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    return f"{before}{start}{table()}{end}{after}"


def _line(kind: Kind) -> str:
    names = list(kind.built_in)
    shown = ", ".join(f"`{name}`" for name in names[:3])
    shown += f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"| `{kind.plural}` | {kind.about} | `{kind.group}` | {shown or 'none'} |"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
