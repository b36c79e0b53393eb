"""How a value gets into a script: as one word of the shell, or as the value of a directive.

Templates print nothing else: what is no `Shell` text is quoted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping

from .plan import Directive

_PLAIN = re.compile(r"[\w@%+=:,./~-]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Shell(str):
    """Text that is shell already."""

    __slots__ = ()


def word(value: object) -> Shell:
    """A value as the template prints it: one word; of a list, a word for each item."""
    if isinstance(value, Shell):
        return value
    if isinstance(value, str):
        return Shell(shlex.quote(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return Shell(value)
    if isinstance(value, list | tuple):
        return Shell(" ".join(map(word, value)))
    raise TypeError(f"a script cannot hold {value!r}")


def spliced(text: str, pattern: re.Pattern[str], value: Callable[[re.Match[str]], str]) -> Shell:
    """A text as one word, with expansions of the shell (``$name``) where the pattern matches."""
    made, end = [], 0
    for match in pattern.finditer(text):
        if before := text[end : match.start()]:
            made.append(shlex.quote(before))
        made.append(f'"{value(match)}"')
        end = match.end()
    if text[end:] or not made:
        made.append(shlex.quote(text[end:]))
    return Shell("".join(made))


def directive(given: Directive) -> Shell:
    """A line that sbatch reads: between double quotes only they and the backslash are special."""
    if given.value is None:
        return Shell(f"#SBATCH --{given.name}")
    if unusable(given.value):
        raise ValueError(f"a directive cannot hold {given.value!r}")
    if _PLAIN.fullmatch(given.value):
        return Shell(f"#SBATCH --{given.name}={given.value}")
    escaped = re.sub(r'(["\\])', r"\\\1", given.value)
    return Shell(f'#SBATCH --{given.name}="{escaped}"')


def unusable(text: str) -> bool:
    """Whether a directive cannot hold a text: it is one line without control characters."""
    return bool(_CONTROL.search(text))


def is_variable(name: str) -> bool:
    """Whether a shell can export a variable of this name."""
    return bool(_VARIABLE.fullmatch(name))


def exported(name: str, value: Shell, indent: str = "") -> Shell:
    """A line that exports a variable. Raises ValueError for what is no name."""
    if not is_variable(name):
        raise ValueError(f"a shell cannot export {name!r}")
    return Shell(f"{indent}export {name}={value}\n")


def exports(values: Mapping[str, str]) -> Shell:
    """Lines that export variables."""
    return Shell("".join(exported(name, word(value)) for name, value in values.items()))
