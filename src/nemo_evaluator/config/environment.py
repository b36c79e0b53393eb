"""The variables a configuration may refer to: the environment over `.env` files.

The values of `.env` files are used for expansion only; the environment of this process and of what
it starts stays as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from .scrubber import KNOWN
from .secrecy import variable_secrets
from .text_file import read_text

NEVER_NAMED = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
"""Variables whose secrets are used though no configuration refers to them."""
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$")


def environment(folders: Iterable[Path]) -> dict[str, str]:
    """The process environment over the `.env` files of some folders; the first folder wins."""
    values: dict[str, str] = {}
    for folder in folders:
        for name, value in read_dotenv(folder / ".env").items():
            values.setdefault(name, value)
    values = {**values, **os.environ}
    for name in NEVER_NAMED:
        if used := values.get(name) or values.get(name.lower()):
            KNOWN.learn(*variable_secrets(used))
    return values


def read_dotenv(path: Path) -> dict[str, str]:
    """``NAME=value`` lines; comments, ``export`` and quotes are understood. No file, no values."""
    if not path.is_file():
        return {}
    lines = read_text(path).splitlines()
    matches = (_LINE.match(line) for line in lines if not line.lstrip().startswith("#"))
    return {match[1]: _unquoted(match[2]) for match in matches if match}


def _unquoted(value: str) -> str:
    quoted = re.match(r"""(["'])(.*?)\1\s*(#.*)?$""", value)
    if quoted:
        return quoted[2]
    return re.split(r"\s#", value, maxsplit=1)[0].rstrip()
