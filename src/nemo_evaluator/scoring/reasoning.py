"""Separates a model's reasoning from its answer: reasoning is never scored."""

from __future__ import annotations

import re
from typing import NamedTuple

TAG = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)\b[^<>]{0,100}>", re.IGNORECASE)


class Visible(NamedTuple):
    """What is left of a response."""

    text: str
    reasoning: str
    unclosed: bool
    """The reasoning never ended: the model was cut off and gave no answer."""


def visible(response: str) -> Visible:
    """The answer without ``<think>…</think>`` blocks (nested ones too).

    A closing tag without an opening one ends reasoning that began in the prompt's template. With an
    unclosed block there is no answer: the text is empty.
    """
    if "<" not in response:
        return Visible(response, "", False)
    shown: list[str] = []
    hidden: list[str] = []
    depth = position = 0
    for tag in TAG.finditer(response):
        between = response[position : tag.start()]
        position = tag.end()
        if tag[1]:
            hidden.append(between)
            if depth == 0:
                hidden[:0] = shown
                shown.clear()
            depth = max(0, depth - 1)
        else:
            (hidden if depth else shown).append(between)
            depth += 1
    if position == 0:
        return Visible(response, "", False)
    rest = response[position:]
    if depth:
        return Visible("", "".join([*hidden, rest]), True)
    return Visible("".join([*shown, rest]).strip(), "".join(hidden), False)
