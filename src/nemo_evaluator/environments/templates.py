"""Prompt templates: ``{field}`` of a row, or Jinja where a template has ``{{`` or ``{%``.

A field is a name, never an expression: a row cannot reach attributes or code. Braces around
anything but a name (JSON, LaTeX) stay as they are. A missing field is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigError

FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")
Render = Callable[[Mapping[str, Any], str], str]
"""(row, where) → text."""


def compile_template(template: str) -> Render:
    """Compile once, render per row. Raises ConfigError for a template that is not valid."""
    if is_jinja(template):
        return _jinja(template)
    parts = FIELD.split(template)
    texts, names = parts[0::2], parts[1::2]

    def render(row: Mapping[str, Any], where: str) -> str:
        try:
            values = [str(row[name]) for name in names]
        except KeyError as error:
            raise _missing(str(error.args[0]), row, where) from None
        return "".join(
            [*(piece for pair in zip(texts, values, strict=False) for piece in pair), texts[-1]]
        )

    return render


def is_jinja(template: str) -> bool:
    """Whether a template is written in Jinja."""
    return "{{" in template or "{%" in template


def _jinja(template: str) -> Render:
    from jinja2 import StrictUndefined, TemplateError, UndefinedError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    try:
        compiled = environment.from_string(template)
    except TemplateError as error:
        raise ConfigError(f"the prompt is not a valid template: {error}") from None

    def render(row: Mapping[str, Any], where: str) -> str:
        try:
            return compiled.render(row)
        except UndefinedError as error:
            match = re.search(r"'([^']+)' is undefined", str(error))
            raise _missing(match[1] if match else str(error), row, where) from None
        except Exception as error:  # a template is code of the user's
            raise ConfigError(f"the prompt cannot be filled in: {error}", where=where) from None

    return render


def _missing(name: str, row: Mapping[str, Any], where: str) -> ConfigError:
    known = ", ".join(str(key) for key in row) or "none"
    return ConfigError(
        f"the prompt asks for the field {name!r}, which the row does not have",
        where=where,
        hint=f"fields of the row: {known}",
    )
