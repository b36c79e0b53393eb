"""What of a text can be searched: its words, and each character of scripts without spaces.

Texts that are indexed and words that are looked for are treated alike, so that what is seen on a
page is found: 本語 within 日本語, a full-width Ａ as A, and accents however they are encoded.
"""

from __future__ import annotations

import re
import unicodedata

MOST = 60
"""Words and characters that are looked for: each one costs time."""
_QUOTED = re.compile(r'"([^"]*)"|(\S+)')
_UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff"  # Korean
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
    "]+"
)


def searchable(text: str) -> str:
    """A text as it is indexed: characters that no spaces separate are separated."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    return _UNSPACED.sub(lambda run: f" {' '.join(run[0])} ", text)


def matches(words: str) -> str | None:
    """Words as a full-text query: each must be there, the last one may be a beginning; words in
    quotes stand together, as do the characters of a run without spaces. None where there is nothing
    to search for."""
    parts, left = [], MOST
    for quoted, word in _QUOTED.findall(words):
        if inner := re.findall(r"\w+", searchable(quoted or word))[:left]:
            parts.append('"' + " ".join(inner) + '"')
            left -= len(inner)
    if not parts:
        return None
    return " ".join(parts) + ("" if words.rstrip().endswith('"') else " *")


def sound(text: str) -> str:
    """A text that can be stored: a half of a surrogate pair cannot."""
    return text.encode("utf-8", "replace").decode()
