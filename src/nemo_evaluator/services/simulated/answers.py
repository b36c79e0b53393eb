"""What a simulated model answers: the target as a model would write it, or something wrong of the
same kind that no scorer could take for it."""

from __future__ import annotations

import re

from ...types import Json

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OPPOSITES = {"yes": "no", "no": "yes", "true": "false", "false": "true"}
INVENTED = (
    "Tolvane",
    "Kestrel Hollow",
    "Maren Oldwick",
    "Arkwell",
    "Brindlemoor",
    "Sorvane Quay",
    "Edda Vantorp",
    "Quillmarsh",
)
"""Names of nothing: whatever the aliases of a target, none of these is among them."""
FRACTIONS = (r"\frac{17}{23}", r"\frac{19}{29}", r"\frac{31}{37}", r"\frac{41}{43}")
"""Numbers that are hardly ever the value of a formula."""
ANSWER_FIELDS = ("answer", "value", "target", "text", "label")

_NUMBER = re.compile(r"[$€£]?(-?[\d,]*\.?\d+)%?")
_LETTER = re.compile(r"\(?([A-Z])\)?")
_FORMULA = re.compile(r"[\\^=]|\d/\d|^[\[({]")
_OPTION = re.compile(r"(?m)^[ \t*]{0,4}\(?([A-Z])[).:]\s")
_OPTIONS_IN = 4_000
"""Characters at the end of a prompt in which its options are looked for."""


def right_answer(target: Json, prompt: str) -> str | None:
    """The answer a right model gives; None if the target tells nothing.

    Of several accepted answers the first; of a mapping its answer; of ``steps #### 72`` the end; a
    whole number is the index of an option where the prompt has options.

    >>> right_answer(["Paris", "Paris, France"], ""), right_answer("12 + 60 #### 72", "")
    ('Paris', '72')
    """
    if isinstance(target, str):
        text = target.rpartition("####")[2] if "####" in target else target
        return " ".join(text.split()) or None
    if isinstance(target, list | tuple):
        first = target[0] if target else None
        if isinstance(first, list | tuple):  # one answer of several spans
            return ", ".join(map(str, first)) or None
        return right_answer(first, prompt)
    if isinstance(target, dict):
        named = [target[name] for name in ANSWER_FIELDS if name in target]
        return right_answer(next(iter(named or target.values()), None), prompt)
    if isinstance(target, int) and not isinstance(target, bool):
        letters = options(prompt)
        return letters[target] if 0 <= target < len(letters) else str(target)
    return None if target is None else str(target)


def wrong_answer(target: Json, right: str, prompt: str, number: int) -> str:
    """Another letter of the options, another number, the opposite, or an invented name."""
    if letter := _LETTER.fullmatch(right):
        among = options(prompt) or LETTERS[: max(4, LETTERS.index(letter[1]) + 1)]
        others = among.replace(letter[1], "")
        return others[number % len(others)] if others else "B" if letter[1] == "A" else "A"
    if opposite := OPPOSITES.get(right.lower()):
        return opposite.capitalize() if right[0].isupper() else opposite
    if match := _NUMBER.fullmatch(right):
        taken = target if isinstance(target, list | tuple) else ()
        return _wrong_number(match[1], {str(alias) for alias in taken}, number)
    if _FORMULA.search(right):
        others_than = [text for text in FRACTIONS if text[6:8] not in right] or [*FRACTIONS]
        return others_than[number % len(others_than)]
    return INVENTED[number % len(INVENTED)]


def guess(prompt: str, number: int) -> str:
    """An answer to a question whose target is not known: one of its options, else a number."""
    letters = options(prompt)
    return letters[number % len(letters)] if letters else str(number % 100 + 1)


def options(prompt: str) -> str:
    """The letters of the options a prompt ends with (``A) ...``); empty if it has none."""
    found = _OPTION.findall(prompt[-_OPTIONS_IN:])
    count = 0
    for letter in found:
        # a few-shot prompt lists options several times: each A starts a new list
        count = 1 if letter == "A" else count + 1 if letter == LETTERS[count % 26] else count
    return LETTERS[:count] if count > 1 else ""


def _wrong_number(text: str, taken: set[str], number: int) -> str:
    """Off by more than a quarter, so that no tolerance lets it pass."""
    digits = text.replace(",", "")
    value = float(digits)
    step = abs(value) // 4 + 1
    first = number // 2 % 9
    sign = -1 if number & 1 and value > step + first else 1
    decimals = len(digits.partition(".")[2])
    for more in range(len(taken) + 1):
        wrong = f"{value + sign * (step + first + more * step):.{decimals}f}"
        if wrong not in taken:
            break
    return wrong
