"""What counts as a secret, and how secrets are kept out of what is shown of a configuration.

A secret is known by its place (an ``api_key``, an ``Authorization`` header, the password or
``?sig=`` of a URL, a variable called ``HF_TOKEN``) or by where its value came from
(``${MY_API_KEY}``). Texts that are not configuration are cleaned by `scrubber`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from urllib.parse import unquote

from .scrubber import MASK

MIN_LENGTH = 6
"""Shorter values are not looked for outside of secret places."""
_VARIABLE = re.compile(
    r"key|token(?!s|izer)|secret|passw|passphrase|credential|signature|bearer|cookie"
    r"|(^|_)(sig|sas|pat|pw|pwd|auth|authorization)(_|$)",
    re.IGNORECASE,
)
_KEY = (
    r"(api|access|secret|private|subscription|account|auth|master|service|signing|client)[_-]?key"
)
_FIELD = re.compile(
    rf"^(.*[_.-])?({_KEY}s?|key"
    r"|(access|auth|api|bearer|refresh|hf|session|security|id)[_-]?token|token|secrets?"
    r"|passwords?|passwd|passphrase|pwd|credentials?|authorization|auth|bearer|cookie"
    r"|sig|signature|sas)$",
    re.IGNORECASE,
)
_NAMES = ("client_key", "image_pull_secrets")
"""A path of a file, and names of objects of a cluster: what they name is secret, not they."""
_SURE = re.compile(rf"(^|[_.-]){_KEY}s?$|^key$|(?<!key)$", re.IGNORECASE)
"""A name that ends in "key" may name a field of a dataset (``answer_key``)."""
_MARKUP = re.compile(
    r"(^|[_.-])(start|begin|end|open|close|stop|eos|bos|pad|unk|sep|cls|mask|think|thinking"
    r"|reasoning|special|image|tool)([_.-]\w+)*[_.-]token$",
    re.IGNORECASE,
)
"""Tokens of a model's vocabulary: ``end_reasoning_token: </think>``."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ENVIRONMENTS = {"container_env", "extra_env", "env_vars"}
_USERINFO = re.compile(r"(?<=://)(?<!harbor://)([^/?#\s\"'<>]*)(?=@)")
"""What is before the @ of ``harbor://SUITE@VERSION`` is a name."""
_PARAMETER = re.compile(r"(?<=[?&;])([\w.~%-]+)=([^&#\s\"'<>]+)")
_SCHEME = re.compile(r"^(bearer|basic|token|apikey|digest|key)\s+", re.IGNORECASE)
_BEARER = re.compile(r"bearer\s+\S{8,}\s*", re.IGNORECASE)
"""A credential whatever it is called: ``X-Forwarded-Auth2: Bearer …``."""
_PATHS = {"completions", "responses", "embeddings", "deployments"}
_REFERENCE = re.compile(r"\$\{[^}]*\}")


def secret_variable(name: str) -> bool:
    """Whether an environment variable of this name is taken to hold a secret."""
    return bool(_VARIABLE.search(name))


@lru_cache(maxsize=4096)
def secret_field(name: str, parent: str = "") -> bool:
    """Whether text under this key of a document is taken to be a secret."""
    if name in _NAMES or parent == "tolerations":  # a toleration's key is that of a node's taint
        return False
    if parent in _ENVIRONMENTS:
        return secret_variable(name)
    name = _CAMEL.sub("_", name)
    return bool(_FIELD.match(name)) and not _MARKUP.search(name)


def holds_secret(value: object, name: str, parent: str = "") -> bool:
    """Whether what stands under this key is taken to be a secret: where the name leaves room for
    doubt (``answer_key``), only what looks like one."""
    if not secret_field(name, parent):
        return False
    return not isinstance(value, str) or bool(_SURE.search(name)) or _is_random(value)


def told_secrets(text: str, path: Sequence[str | int]) -> Iterator[str]:
    """The secrets in a text that stands at this place of a configuration."""
    names = ["", *(part for part in path if isinstance(part, str))]
    for parent, name in pairwise(names):
        if holds_secret(text, name, parent):
            yield from credential_parts(text)
    if _BEARER.fullmatch(text):
        yield from credential_parts(text)
    if "://" in text:
        yield from url_secrets(text)


def secrets_in(value: object, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    """The secrets in plain data of a configuration."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from secrets_in(child, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for child in value:
            yield from secrets_in(child, path)
    elif isinstance(value, str | int):
        yield from told_secrets(str(value), path)


def credential_parts(text: str) -> Iterator[str]:
    """A credential, and what is as telling: without its scheme, decoded, cookie by cookie."""
    yield text
    bare = _SCHEME.sub("", text).strip()
    yield bare
    if text[:6].lower() == "basic ":
        try:
            pair = base64.b64decode(bare, validate=True).decode()
        except ValueError:
            return
        yield from (pair, pair.partition(":")[2])
    for cookie in bare.split(";"):
        yield cookie.strip().partition("=")[2]


def url_secrets(text: str) -> Iterator[str]:
    """Passwords and secret parameters of the URLs in a text, as written and decoded."""
    for match in _USERINFO.finditer(text):
        user, colon, password = match[1].partition(":")
        found = password if colon else user  # a lone name is a token
        yield from (found, unquote(found))
        if colon:
            yield f"{unquote(user)}:{unquote(password)}"
    for match in _PARAMETER.finditer(text):
        if secret_field(unquote(match[1])):
            yield from (match[2], unquote(match[2]))


def variable_secrets(value: str) -> Iterator[str]:
    """What is secret of a secret variable's value. Of a URL it is all but the host, which errors
    name."""
    if "://" not in value:
        yield from credential_parts(value)
        return
    yield from url_secrets(value)
    path = value.partition("://")[2].partition("/")[2]
    yield path
    for part in re.split(r"[/?#&=]", path):
        if part not in _PATHS:
            yield from (part, unquote(part))


def hidden_urls(text: str, mask: str = MASK) -> str:
    """The text with the passwords and secret parameters of its URLs masked. References stay."""
    if "://" not in text:
        return text

    def userinfo(match: re.Match[str]) -> str:
        user, colon, password = match[1].partition(":")
        return f"{user}:{_hidden(password, mask)}" if colon else _hidden(user, mask)

    def parameter(match: re.Match[str]) -> str:
        is_secret = secret_field(unquote(match[1]))
        return f"{match[1]}={_hidden(match[2], mask)}" if is_secret else match[0]

    return _PARAMETER.sub(parameter, _USERINFO.sub(userinfo, text))


def redact(text: str, secrets: Iterable[str], mask: str = MASK) -> str:
    """``text`` with every secret in it replaced; longer ones first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, mask)
    return text


def masked(value: object, secrets: Iterable[str] = (), parent: str = "") -> object:
    """A copy of plain data with the text in secret places, and known secrets anywhere, masked."""
    if isinstance(value, Mapping):
        return {
            key: blotted(child)
            if holds_secret(child, str(key), parent)
            else masked(child, secrets, str(key))
            for key, child in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(child, secrets, parent) for child in value]
    return hidden_urls(redact(value, secrets)) if isinstance(value, str) else value


def blotted(value: object, mask: str = MASK) -> object:
    """What stands in a secret place: every text and number in it masked."""
    if isinstance(value, Mapping):
        return {key: blotted(child, mask) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [blotted(child, mask) for child in value]
    return value if value in (None, "") or isinstance(value, bool) else mask


def _hidden(text: str, mask: str) -> str:
    return mask if _REFERENCE.sub("", text) else text


def _is_random(text: str) -> bool:
    return any(c.isdigit() for c in text) and not any(c.isspace() for c in text)
