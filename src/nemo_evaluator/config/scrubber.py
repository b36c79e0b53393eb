"""Keeps known secrets out of texts: as they are, in their usual encodings, and cut short.

Secrets belong to the process: code that reads one adds it to ``KNOWN``, and every writer (journal,
traffic log, dumps, terminal, the proxy's answers) asks it. A value is looked for in free text only
where it cannot be an ordinary word; what stands in a secret place (`secrecy`) is masked whatever
it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

MASK = "**********"
LEAST = 8
"""Shorter values, and shorter beginnings of values, are ordinary text."""
WORD = 12
"""Up to this length a value of small letters only counts as a word (``auth: required``), not a key.
"""
COMMON = frozenset(
    (
        *("anything", "api-key", "api_key", "apikey", "changeme", "completely", "dummy-key"),
        *("example", "fake-key", "localhost", "lm-studio", "my-api-key", "no-api-key", "no-key"),
        *(
            "no-key-needed",
            "no-key-required",
            "not-needed",
            "not_needed",
            "not-required",
            "nothing",
        ),
        *("password", "placeholder", "sk-no-key-required", "simulated", "test-key", "test_key"),
        *("token-abc123", "undefined", "your-api-key", "your_api_key"),
    )
)
"""What people write where a key is asked for and none is needed."""
_FIELD = re.compile(r"[a-z_]*")
"""Names of fields, without which a document cannot be read again."""
_GOES_ON = re.compile(r"[A-Za-z0-9_-]")
_QUOTED = re.compile(r"%[0-9A-F]{2}")


class Scrubber:
    """Masks the secrets it knows. Costs a few substring searches for a text that has none."""

    def __init__(self, secrets: Iterable[str] = (), mask: str = MASK) -> None:
        self._mask = mask
        self.forget()
        self.learn(*secrets)

    def __bool__(self) -> bool:
        return bool(self._forms)

    def forget(self) -> None:
        """Know nothing any more."""
        self._secrets: set[str] = set()
        self._forms: list[tuple[str, str]] = []
        """Beginning that is looked for, and whole form; longer ones first."""
        self._starts: list[str] = []
        self._needles: list[bytes] = []
        self._letters: frozenset[str] = frozenset()

    def learn(self, *secrets: str) -> None:
        """Mask these too, from now on; values that may be ordinary words are not taken."""
        new = {secret for text in secrets if _is_telling(secret := text.strip())} - self._secrets
        if not new:
            return
        self._secrets |= new
        forms = {form for secret in self._secrets for form in encodings(secret)}
        self._forms = [(_start(form), form) for form in sorted(forms, key=lambda f: (-len(f), f))]
        self._starts = sorted({start for start, _ in self._forms})
        self._needles = [_bytes(start) for start in self._starts]
        self._letters = frozenset("".join(forms))

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        for start in self._starts:
            if start in text:
                return self._without_forms(text)
        return text

    def touches(self, data: bytes) -> bool:
        """Whether there may be a secret in an encoded text."""
        for needle in self._needles:  # noqa: SIM110  (a generator takes twice as long)
            if needle in data:
                return True
        return False

    def json(self, value: Any) -> Any:
        """A JSON value without secrets; the value itself is not changed."""
        return self._json(value) if self._forms else value

    def held_back(self, text: str) -> int:
        """How many characters at the end of a text may be the beginning of a secret."""
        longest = 0
        if text[-1:] not in self._letters:
            return longest
        for _, form in self._forms:
            for length in range(min(len(form), len(text)), longest, -1):
                if text.endswith(form[:length]):
                    longest = length
                    break
        return longest

    def _json(self, value: Any) -> Any:
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {
                key if _FIELD.fullmatch(str(key)) else self(str(key)): self._json(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._json(item) for item in value]
        return value

    def _without_forms(self, text: str) -> str:
        for start, form in self._forms:
            if start in text:
                text = self._masked(text, start, form)
        return text

    def _masked(self, text: str, start: str, form: str) -> str:
        pieces, position = [], 0
        while (found := text.find(start, position)) >= 0:
            end = found + _common(text, found, form)
            is_whole = end - found == len(form)
            if not is_whole and _GOES_ON.match(text, end):  # another word that begins alike
                pieces.append(text[position:end])
            else:
                pieces += [text[position:found], self._mask]
            position = end
        return "".join([*pieces, text[position:]])


KNOWN = Scrubber()
"""The secrets this process knows."""


@lru_cache(maxsize=64)
def scrubber_of(secrets: frozenset[str], mask: str = MASK) -> Scrubber:
    """A scrubber for some secrets only: what it leaves depends on nothing else."""
    return Scrubber(secrets, mask)


def encoded(value: object, encode: Callable[[Any], bytes]) -> bytes:
    """A value as JSON without the secrets this process knows."""
    try:
        data = encode(value)
    except UnicodeEncodeError:
        import msgspec  # `nel --help` has no use for it

        data = encode(_encodable(msgspec.to_builtins(value, enc_hook=str)))
    if KNOWN.touches(data):
        import msgspec

        data = encode(KNOWN.json(msgspec.json.decode(data)))
    return data


def _encodable(value: object) -> object:
    """JSON whose texts have no halves of characters: user code may have cut them."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(part) for part in value]
    return value


def encodings(secret: str) -> Iterator[str]:
    """A secret as it appears in texts: plain, in URLs, in JSON, in HTML, in base64."""
    import base64
    import html
    from urllib.parse import quote, quote_plus

    plain = [secret]
    for how, safe in ((quote, ""), (quote, "/"), (quote_plus, "")):
        text = how(secret, safe=safe, errors="surrogateescape")
        plain += [text, _QUOTED.sub(lambda escape: escape[0].lower(), text)]
    for ascii_only in (True, False):
        once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        plain += [once, json.dumps(once, ensure_ascii=ascii_only)[1:-1]]
    plain.append(html.escape(secret))
    yield from dict.fromkeys(plain)
    whole = base64.b64encode(_bytes(secret)).decode()
    for text in (whole, *(_base64_core(_bytes(secret), offset) for offset in range(3))):
        if len(text) >= LEAST:
            yield text
            yield text.translate({ord("+"): "-", ord("/"): "_"})


def _base64_core(data: bytes, offset: int) -> str:
    """What base64 makes of these bytes after this many others, whatever those and the next are."""
    import base64

    whole = base64.b64encode(b"\0" * offset + data).decode()
    return whole[offset + bool(offset) : (offset + len(data)) * 8 // 6]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_telling(secret: str) -> bool:
    """Whether a value can be distinguished from ordinary text."""
    if len(secret) < LEAST or secret.lower() in COMMON or len(set(secret)) <= 2:
        return False
    return len(secret) > WORD or not (secret.isalpha() and secret.islower())


def _start(form: str) -> str:
    """The shortest beginning that may stand for the whole: a plain word may not."""
    length = LEAST
    while length < len(form) and _is_word(form[:length]):
        length += 1
    return form[:length]


def _is_word(text: str) -> bool:
    return text.isalpha() and (text.islower() or text.isupper() or text.istitle())


def _common(text: str, at: int, form: str) -> int:
    """How many characters of the form stand in the text at a place."""
    low, high = 0, len(form)
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(form[:middle], at):
            low = middle
        else:
            high = middle - 1
    return low
