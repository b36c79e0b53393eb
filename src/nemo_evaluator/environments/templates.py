r"""Prompt templates: Python format strings over the fields of a row, or Jinja where asked for.

A format string may index (``{choices[0]}``), convert (``{text!r}``) and format (``{price:.2f}``),
but never reaches an attribute, and pads to a bounded width. ``{{`` and ``}}`` are literal braces.
Braces around anything that cannot be a field (JSON, LaTeX) stay as they are. A field that is
missing, null or a list is an error that names it, unless the template says how to write it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..config.text_file import read_text
from ..errors import ConfigError

WIDEST = 10_000
"""Largest width and precision of a format specification."""
FIELD = re.compile(
    r"\{(?P<name>[^\W\d]\w*)(?P<path>(?:\[[^\[\]{}]*\]|\.\w+)*)"
    r"(?:!(?P<conversion>\w))?(?::(?P<spec>(?:[{}](?=[<>=^]))?[^{}]*))?\}"
)
_NESTED = re.compile(r"\{[^\W\d]\w*(?:\[[^\[\]{}]*\])*(?:!\w)?:\{[^\W\d]\w*\}")
_SPEC = re.compile(r"(?:.?[<>=^])?[-+ ]?z?#?0?(\d*)[_,]?(?:\.(\d+))?[bcdeEfFgGnosxX%]?", re.DOTALL)
_STEP = re.compile(r"\[([^\[\]]*)\]|(\.\w+)")
_BRACED = re.compile(r"\{([^{}\n]{1,200})\}")
_WORDS = re.compile(r"\s*([^\W\d][\w .-]*?)\s*")
_CONVERSIONS: Mapping[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}
_FILE = re.compile(r"[^\s{}]+\.(txt|md|prompt|tmpl|j2|jinja2?)", re.IGNORECASE)

Row = Mapping[str, Any]
Render = Callable[[Row, str], str]
"""(row, where) → text. Raises ConfigError."""


class Style(StrEnum):
    """How a template is written."""

    FORMAT = "format"
    JINJA = "jinja"


@dataclass(frozen=True, slots=True)
class Template:
    """The text of a template and how it is written."""

    text: str
    style: Style = Style.FORMAT


def read_template(
    given: str | Path, style: Style | None, folder: Path | None, where: str
) -> Template:
    """A prompt as ``@benchmark`` was given it: text, or the name of a file with the text.

    A file is looked up beside the benchmark, then in the current directory; one that ends in
    ``.j2`` or ``.jinja`` holds Jinja unless a style is given. Raises ConfigError.
    """
    named = isinstance(given, Path) or _FILE.fullmatch(given) is not None
    path = _existing(Path(given), folder) if named or _one_line(given) else None
    if path is None:
        if named:
            raise ConfigError(
                f"the prompt file {str(given)!r} does not exist",
                where=where,
                hint=f"looked in {folder or Path.cwd()}; a prompt that is no file needs a space",
            )
        return Template(str(given), style or Style.FORMAT)
    text = read_text(path)
    jinja = path.suffix.lower() in (".j2", ".jinja", ".jinja2")
    return Template(text, style or (Style.JINJA if jinja else Style.FORMAT))


def compile_template(
    template: str, style: Style = Style.FORMAT, where: str | None = None
) -> Render:
    """Compile once, render per row. Raises ConfigError for a template that is not valid."""
    try:
        return _jinja(template) if style is Style.JINJA else _format(template)
    except ConfigError as error:
        raise ConfigError(error.what, where=where, hint=error.hint) from None


def field_in(name: str, style: Style) -> str:
    """A placeholder for a field."""
    return f"{{{{ {name} }}}}" if style is Style.JINJA else f"{{{name}}}"


def _one_line(text: str | Path) -> bool:
    return len(str(text)) < 250 and not re.search(r"[\n{}\0]", str(text))


def _existing(path: Path, folder: Path | None) -> Path | None:
    if path.suffix == "":
        return None
    tried = [folder / path, path] if folder is not None else [path]
    try:
        return next((candidate for candidate in tried if candidate.is_file()), None)
    except OSError:
        return None


# Format strings


@dataclass(frozen=True, slots=True)
class _Field:
    """One placeholder of a format string."""

    text: str
    name: str
    steps: tuple[str | int, ...]
    conversion: str | None
    spec: str

    def fill(self, row: Row, where: str) -> str:
        try:
            value = row[self.name]
        except KeyError:
            raise missing_field(self.name, row, where) from None
        if not self.steps and self.conversion is None and not self.spec:
            if type(value) is str:
                return value
            return self._scalar_text(value, where)
        for step in self.steps:
            value = self._step(value, step, where)
        if self.conversion is not None:
            value = _CONVERSIONS[self.conversion](value)
        elif not self.spec:
            return self._scalar_text(value, where)
        if not isinstance(value, str | int | float):
            raise self._wrong(f"{_kind(value)} cannot be formatted", where)
        try:
            return format(value, self.spec)
        except ValueError as error:
            raise self._wrong(f"{_kind(value)} cannot be formatted: {error}", where) from None

    def _step(self, value: Any, step: str | int, where: str) -> Any:
        try:
            return value[step]
        except (KeyError, IndexError, TypeError):
            if isinstance(value, Mapping):
                there = f"an object with {', '.join(map(str, value)) or 'nothing'}"
            elif isinstance(value, list | tuple | str):
                there = f"{_kind(value)} of {len(value)}"
            else:
                there = _kind(value)
            raise self._wrong(f"there is no [{step}] in {there}", where) from None

    def _scalar_text(self, value: Any, where: str) -> str:
        if value is None or value != value:
            raise self._wrong(f"the value is {_kind(value)}", where)
        if isinstance(value, list | tuple | set | Mapping | bytes):
            raise self._wrong(f"the value is {_kind(value)}", where)
        return str(value)

    def _wrong(self, what: str, where: str) -> ConfigError:
        return ConfigError(
            f"the prompt's {self.text}: {what}",
            where=where,
            hint=f"write {{{self.name}!r}} to show it as Python does, {{{self.name}[0]}} for one"
            " part, or make text of it in prepare_row",
        )


@dataclass(frozen=True, slots=True)
class _Braced:
    """Text in single braces that is no identifier: the name of a column, or JSON or LaTeX."""

    text: str
    inner: str

    def fill(self, row: Row, where: str) -> str:
        if self.inner in row:
            return _Field(self.text, self.inner, (), None, "").fill(row, where)
        words = _WORDS.fullmatch(self.inner)
        names = [str(name) for name in row]
        if words and (close := get_close_matches(words[1], names, n=1, cutoff=0.85)):
            raise ConfigError(
                f"the prompt's {self.text} is not filled in",
                where=where,
                hint=f"did you mean {{{close[0]}}}?",
            )
        return self.text


def _format(template: str) -> Render:
    parts = list(_parts(template))
    fields = [part for part in parts if isinstance(part, _Field)]
    doubled = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", template))

    def render(row: Row, where: str) -> str:
        if doubled and not fields and (lost := doubled & row.keys()):
            raise ConfigError(
                f"the prompt puts in no field: {{{{{sorted(lost)[0]}}}}} is literal text",
                where=where,
                hint=f'write {{{sorted(lost)[0]}}}, or ask for Jinja with template="jinja"',
            )
        return "".join([part if isinstance(part, str) else part.fill(row, where) for part in parts])

    return render


def _parts(template: str) -> Iterator[str | _Field | _Braced]:
    """Literal texts and placeholders, in order."""
    _refuse_other_syntax(template)
    text: list[str] = []
    position = unclosed = 0
    while position < len(template):
        pair, char = template[position : position + 2], template[position]
        if pair == "{{":
            text.append("{")
            position += 2
        elif char == "{" and (match := FIELD.match(template, position)):
            yield "".join(text)
            text = []
            yield _field(match)
            position = match.end()
        elif char == "{" and (match := _BRACED.match(template, position)):
            yield "".join(text)
            text = []
            yield match[0] if match[1].isdigit() else _Braced(match[0], match[1])
            position = match.end()
        elif pair == "}}" and not unclosed:
            text.append("}")
            position += 2
        else:
            unclosed += (char == "{") - (char == "}" and unclosed > 0)
            text.append(char)
            position += 1
    yield "".join(text)


def _refuse_other_syntax(template: str) -> None:
    if match := re.search(r"\{%.*?%\}", template, re.DOTALL):
        raise ConfigError(
            f"the prompt holds the Jinja statement {match[0]:.60}",
            hint='ask for Jinja with template="jinja", or keep the prompt in a .j2 file',
        )
    if match := _NESTED.search(template):
        raise ConfigError(f"the prompt's {match[0]}: a format cannot be a field itself")


def _field(match: re.Match[str]) -> _Field:
    text, conversion, spec = match[0], match["conversion"], match["spec"] or ""
    steps: list[str | int] = []
    for key, attribute in _STEP.findall(match["path"]):
        if attribute:
            raise ConfigError(
                f"the prompt's {text}: a field has no attributes",
                hint=f"write {{{match['name']}[{attribute[1:]}]}} for a part of it, or double the"
                " braces where they are meant literally",
            )
        steps.append(int(key) if re.fullmatch(r"-?\d{1,9}", key) else key)
    if conversion is not None and conversion not in _CONVERSIONS:
        raise ConfigError(
            f"the prompt's {text}: !{conversion} is not a conversion", hint="!r, !s, !a"
        )
    known = _SPEC.fullmatch(spec)
    if known is None or any(int(number or 0) > WIDEST for number in known.groups()):
        raise ConfigError(
            f"the prompt's {text}: {spec[:40]!r} is not a format of text or numbers",
            hint=f"like .2f or >8, at most {WIDEST} wide; double the braces where they are meant"
            " literally",
        )
    return _Field(text, match["name"], tuple(steps), conversion, spec)


def missing_field(name: str, row: Row, where: str) -> ConfigError:
    """The error of a prompt that asks for a field which the row does not have."""
    known = ", ".join(str(key) for key in row) or "none"
    return ConfigError(
        f"the prompt asks for the field {name!r}, which the row does not have",
        where=where,
        hint=f"fields of the row: {known}",
    )


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float) and value != value:
        return "NaN"
    kinds: dict[type, str] = {
        list: "a list",
        tuple: "a list",
        dict: "an object",
        str: "text",
        bytes: "bytes",
    }
    return kinds.get(type(value), f"a value of type {type(value).__name__}")


# Jinja


def _jinja(template: str) -> Render:
    from jinja2 import StrictUndefined, TemplateError, UndefinedError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=_written
    )
    try:
        compiled = environment.from_string(template)
    except TemplateError as error:
        raise ConfigError(f"the prompt is not a valid template: {error}") from None

    def render(row: Row, where: str) -> str:
        try:
            return compiled.render(row)
        except UndefinedError as error:
            match = re.search(r"'([^']+)' is undefined", str(error))
            raise missing_field(match[1] if match else str(error), row, where) from None
        except Exception as error:  # a template is code of the user's
            raise ConfigError(f"the prompt cannot be filled in: {error}", where=where) from None

    return render


def _written(value: Any) -> Any:
    """What an expression of a template writes; null and lists only where a filter made text."""
    if value is None or isinstance(value, list | tuple | dict):
        raise ValueError(f"an expression is {_kind(value)}; use a filter (join, tojson, default)")
    return value
