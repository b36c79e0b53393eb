"""Why a response holds no answer: cut off, empty, a refusal, or an unreadable format.

Used only after extraction found nothing; a refusal with an answer in it is an answer.
"""

from __future__ import annotations

import re

from ..types import Failure
from .late import late_pattern
from .reasoning import Visible

_CANNOT = (
    r"(?:can(?:no|['’])?t|can not|could ?n['’]?t|won['’]?t|will not|do not|don['’]t|decline|refuse"
    r"|(?:am|['’]m) (?:not able|unable)|must (?:decline|refuse))"
)
_ACT = (
    r"(?:answer|help|assist|provide|determine|respond|comply|fulfil|complete|discuss|solve|give"
    r"|do that|know|have (?:enough|sufficient))"
)
_REFUSAL = late_pattern(
    rf"\bI\s?{_CANNOT}\s?(?:to\s|in good conscience\s|really\s)?{_ACT}"
    r"|\bI['’]?\s?(?:am|m)\s(?:very\s|so\s)?(?:sorry|afraid)\b|\bas an AI\b"
    r"|\bunable to (?:answer|assist|help|provide)\b|\bnot comfortable\b"
    r"|\bI (?:must|have to|need to) (?:decline|refuse)\b|\bI (?:refuse|decline)\b",
    re.IGNORECASE,
)
_WINDOW = 1000


def is_refusal(text: str) -> bool:
    """Whether a response opens by declining to answer."""
    return _REFUSAL.search(text, 0, _WINDOW) is not None


def why_nothing(seen: Visible) -> Failure:
    """The reason nothing could be extracted."""
    if seen.unclosed:
        return Failure.TRUNCATED
    if not seen.text or seen.text.isspace():
        return Failure.EMPTY
    return Failure.REFUSAL if is_refusal(seen.text) else Failure.FORMAT
