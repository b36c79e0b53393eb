"""Names of metrics where not every character is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 250
_WORDS = (("pass@", "pass_at_"), ("pass^", "pass_hat_"))
_REFUSED = re.compile(r"[^/\w. -]+", re.ASCII)


def plain_name(name: str) -> str:
    """A name of letters, digits, ``_ - . /`` and spaces.

    >>> plain_name("pass@1"), plain_name("pass^2"), plain_name("scorer:f1,none")
    ('pass_at_1', 'pass_hat_2', 'scorer_f1_none')
    """
    for sign, words in _WORDS:
        name = name.replace(sign, words)
    return re.sub("_{2,}", "_", _REFUSED.sub("_", name)).strip("/ ")[:LONGEST] or "_"


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Each name with its plain one; two that would be the same are numbered."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain, number = plain_name(name), 1
        while plain in taken:
            number += 1
            plain = f"{plain_name(name)[: LONGEST - 6]}_{number}"
        taken.add(plain)
        found[name] = plain
    return found
