"""The command line as it may be written to disk: values of secret options removed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

SECRET_OPTION = re.compile(r"^--?[\w-]*(key|token|secret|password)[\w-]*$", re.IGNORECASE)
SECRET_ASSIGNMENT = re.compile(
    r"^((?:-O|--override=)?[^=\s]*(?:key|token|secret|password|authorization)[^=\s]*=).+",
    re.IGNORECASE | re.DOTALL,
)
NAMES_ONLY = re.compile(r"(^--api-key-env\b)|(api_key_env=)|(max_tokens|tokenizer|max-tokens)")
HIDDEN = "***"


def command_line(argv: Sequence[str]) -> str:
    """The arguments, quoted for a shell, without secret values."""
    shown = ["nel", *argv[1:]]
    for position, word in enumerate(shown):
        if NAMES_ONLY.search(word):
            continue
        if match := SECRET_ASSIGNMENT.match(word):
            shown[position] = match[1] + HIDDEN
        elif SECRET_OPTION.match(word) and position + 1 < len(shown):
            shown[position + 1] = HIDDEN
    return shlex.join(shown)
