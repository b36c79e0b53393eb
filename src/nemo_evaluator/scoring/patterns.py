"""Scorers that look for something in a response: a user's regular expression, or the target.

A user's expression runs in a process that is killed at its time limit, because Python's cannot be
interrupted: one that overruns says so and is not a match.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from ..errors import ConfigError
from ..types import Extraction, Json
from .folding import folded, readable
from .grade import Grade, aliases_of, grade, nothing
from .input import ScorerInput
from .late import late_pattern
from .reasoning import visible
from .targets import impossible
from .text import same_text
from .workers import Pool

SECONDS = 2.0
# 5 is not in 15, 1.5, .5, 1,500, -5, 5/8, 3:5 or 5^2, but it is in 4-5.
_NOT_IN_NUMBER = r"(?<!\w)(?<!\d[.,:/^])(?<!(?<!\w)[-.])"
_NUMBER_ENDS = r"(?!\w)(?![.,:/]\d)(?!\s?\^)(?!\*\*)"
_WORD_ENDS = r"(?!\w)(?![+#])"
"""C is not in C++, nor F in F#."""
_NO_SPACES = "\u0e00"
"""Scripts from Thai on write words without spaces between them."""


def regex(sample: ScorerInput) -> Grade:
    """The last match of ``config["pattern"]`` equals the target; without a target, is there.

    The first group that took part is what is compared (the whole match without groups), after
    normalisation. ``config["timeout"]`` seconds, 2 by default. Flags stand in the pattern:
    ``(?i)``. Raises ConfigError for a pattern that is missing or does not compile.
    """
    seen = visible(sample.response)
    pattern = _checked_pattern(sample.config.get("pattern"))
    if not seen.text.strip():
        return nothing(seen)
    answer = pool().ask([pattern, seen.text], float(sample.config.get("timeout") or SECONDS))
    if answer is None:
        return {**nothing(seen), "timed_out": True}
    if answer[0] is None:
        return nothing(seen)
    start, stop = answer[0][1]
    value = seen.text[start:stop].strip()
    if not value:
        return nothing(seen)
    found = Extraction(value=value, rule="pattern", span=(start, stop))
    wanted = aliases_of(sample)
    correct = any(same_text(value, alias) for alias in wanted) if wanted else _aimless(sample)
    return grade(seen, found, correct)


def _aimless(sample: ScorerInput) -> bool:
    """Without a target at all a match is what was wanted; an empty one is a broken row."""
    return sample.target_raw is None


@lru_cache(maxsize=64)
def _checked_pattern(pattern: Json) -> str:
    if not isinstance(pattern, str) or not pattern:
        raise ConfigError("regex needs a pattern", where="config", hint="pattern: 'Total: (.*)'")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"pattern does not compile: {error}", where="config") from None
    return pattern


@lru_cache(maxsize=1)
def pool() -> Pool:
    """The processes that search."""
    return Pool("nemo_evaluator.scoring.regex_worker")


def includes(sample: ScorerInput) -> Grade:
    """The response contains the target or an alias as whole words, whatever the case."""
    seen = readable(sample.response)
    if not (wanted := aliases_of(sample)):
        return impossible("there is nothing to look for")
    if not seen.text.strip():
        return nothing(seen)
    for alias in wanted:
        if (match := contained(alias, seen.text)) is not None:
            found = Extraction(value=match[0], rule="includes", span=match.span())
            return grade(seen, found, True, asked=("includes",))
    return {
        "correct": False,
        "extracted": None,
        "rule": None,
        "span": None,
        "failure": None,
        "strict_correct": False,
    }


def contained(needle: str, text: str) -> re.Match[str] | None:
    """The first place where ``needle`` stands as whole words: ``the`` is not in ``Theseus``.

    >>> contained("paris", "It is Paris.")[0], contained("1", "10"), contained("", "x")
    ('Paris', None, None)
    >>> contained("++", "i++;")[0], contained("C", "C++")
    ('++', None)
    """
    pattern = _word_pattern(needle)
    return None if pattern is None else pattern.search(text)


@lru_cache(maxsize=1024)
def _word_pattern(needle: str) -> re.Pattern[str] | None:
    parts = folded(unicodedata.normalize("NFC", needle)).split()
    if not parts:
        return None
    first, last = parts[0][0], parts[-1][-1]
    number = _NUMBER.match("".join(parts)) is not None
    before = _NOT_IN_NUMBER if number else _boundary(first, "(?<!{})")
    after = _NUMBER_ENDS if last.isdigit() else _boundary(last, "(?!{})")
    if last.isalnum() and not last.isdigit() and _spaced(last):
        after = _WORD_ENDS
    return late_pattern(before + r"\s+".join(map(re.escape, parts)) + after, re.IGNORECASE)


_NUMBER = late_pattern(r"[-+.]{0,2}\d")


def _boundary(char: str, look: str) -> str:
    """What must not stand beside a needle's end: word characters beside one, the same symbol (or
    what modifies it, as a skin tone does) beside a symbol."""
    if char.isalnum():
        return look.format(r"\w") if _spaced(char) else ""
    return look.format(f"[{re.escape(char)}\U0001f3fb-\U0001f3ff\u200d]")


def _spaced(char: str) -> bool:
    return char < _NO_SPACES
