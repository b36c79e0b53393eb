"""What a dataset of NeMo Skills says of itself in its ``__init__.py``: read, never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ...errors import ConfigError

ARGUMENTS = ("GENERATION_ARGS", "EVAL_ARGS", "DEFAULT_GENERATION_ARGS", "DEFAULT_EVAL_ARGS")
"""Variables with the arguments of generation and evaluation; those of judges are others'."""
_ARGUMENT = re.compile(r"\+{0,2}\b([a-z_.]+)=(\"[^\"]*\"|'[^']*'|[^\s\"']+)")


class About(NamedTuple):
    """What a dataset says; None: nothing."""

    eval_type: str | None = None
    metrics_type: str | None = None
    prompt_config: str | None = None
    match_type: str | None = None
    split: str | None = None


def read_about(folder: Path) -> About:
    """What the dataset in a folder says. Raises ConfigError for a file that is not Python."""
    path = folder / "__init__.py"
    if not path.is_file():
        return About()
    try:
        texts = _texts(ast.parse(path.read_text(encoding="utf-8-sig")))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or "?"
        what = getattr(error, "msg", error)
        raise ConfigError(f"is not valid Python: {what}", where=f"{path}:{line}") from None
    given: dict[str, str] = {}
    for name in ARGUMENTS:
        for key, value in _ARGUMENT.findall(texts.get(name, "")):
            given.setdefault(key, value.strip("\"'"))
    return About(
        eval_type=given.get("eval_type"),
        metrics_type=texts.get("METRICS_TYPE"),
        prompt_config=given.get("prompt_config")
        or texts.get("PROMPT_CONFIG")
        or texts.get("DEFAULT_PROMPT_CONFIG"),
        match_type=given.get("eval_config.match_type"),
        split=texts.get("EVAL_SPLIT") or given.get("split"),
    )


def _texts(module: ast.Module) -> Mapping[str, str]:
    """Variables of a module that are text."""
    found = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign) and (text := _text(statement.value)) is not None:
            found.update({t.id: text for t in statement.targets if isinstance(t, ast.Name)})
    return found


def _text(value: ast.expr) -> str | None:
    """A text, or texts that are added; what is put into an f-string is left out."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "" for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return (_text(left) or "") + (_text(right) or "")
    return None
