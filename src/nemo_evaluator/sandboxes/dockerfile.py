"""What must be known of a Dockerfile before it is built: its bases, and which builder it needs.

Only that is read of it; whether it is right is for the builder to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_ESCAPE = re.compile(r"#\s*escape\s*=\s*(\S)", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*\w+\s*=")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")
_BUILDKIT = re.compile(
    r"(?:RUN|COPY|ADD)\s.*?(?P<what>--(?:mount|link|chmod|parents|exclude|security|checksum)\b"
    r"|(?<!<)<<-?\s*[\"']?[A-Za-z_])",
    re.IGNORECASE | re.DOTALL,
)


def instructions(text: str) -> Iterator[str]:
    """The instructions, each on one line, without comments."""
    escape, begun, directives = "\\", "", True
    for line in text.splitlines():
        bare = line.strip()
        if directives and (match := _ESCAPE.match(bare)):
            escape = match[1]
        directives = directives and bool(_DIRECTIVE.match(bare))
        if not bare or bare.startswith("#"):
            continue
        if bare.endswith(escape):
            begun += bare.removesuffix(escape) + " "
            continue
        yield (begun + bare).strip()
        begun = ""
    if begun.strip():
        yield begun.strip()


def bases(text: str, args: Mapping[str, str]) -> list[str]:
    """The images it starts from, as far as they are known before it is built.

    >>> bases("ARG V=3\\nFROM a:${V} AS b\\nFROM b\\nFROM scratch\\nFROM c", {})
    ['a:3', 'c']
    """
    known: dict[str, str] = {}
    found: dict[str, None] = {}
    stages = {"scratch"}
    for line in instructions(text):
        word, _, rest = line.partition(" ")
        if word.upper() == "ARG" and not found and len(stages) == 1:
            name, _, default = rest.strip().partition("=")
            value = args.get(name, _filled(default.strip("\"'"), known))
            if value is not None:
                known[name] = value
        elif word.upper() == "FROM":
            words = [one for one in rest.split() if not one.startswith("--")]
            image = _filled(words[0], known) if words else None
            if image and image.lower() not in stages:
                found[image] = None
            stages.add(words[2].lower() if len(words) == 3 else "scratch")
    return list(found)


def needs_buildkit(text: str) -> str | None:
    """What in the Dockerfile only BuildKit understands; None where any builder does."""
    for line in instructions(text):
        if match := _BUILDKIT.match(line):
            what = match["what"]
            return "a here-document" if what.startswith("<<") else f"`{what}`"
    return None


def _filled(text: str, known: Mapping[str, str]) -> str | None:
    """A word with its variables filled in; None where one is not known."""
    unknown = False

    def fill(match: re.Match[str]) -> str:
        nonlocal unknown
        name, how, other = match[1] or match[4], match[2], match[3] or ""
        value = known.get(name, "")
        if how == "+":
            return other if value else ""
        unknown |= not value and how is None
        return value or other

    filled = _VARIABLE.sub(fill, text.strip("\"'"))
    return None if unknown else filled
