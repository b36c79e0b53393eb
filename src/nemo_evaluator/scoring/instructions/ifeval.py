"""IFEval's grades: strict (the response as it is) and loose (also without what models wrap
around an answer), per instruction and per prompt. Source: arXiv 2311.07911, section 2.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ...errors import ConfigError
from ...types import Json
from ..grade import Grade, nothing
from ..input import ScorerInput
from ..reasoning import visible
from .registry import follows


class Followed(NamedTuple):
    """For each instruction, whether it was followed."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]


def check_instructions(
    response: str, ids: Sequence[str], arguments: Sequence[Mapping[str, Json] | None]
) -> Followed:
    """Which instructions a response follows. An empty response follows none. Raises ConfigError
    for an unknown instruction or arguments that do not fit."""
    strict, loose = [], []
    for name, given in zip(ids, [*arguments, *[None] * len(ids)], strict=False):
        strict.append(follows(name, response, given or {}))
        loose.append(
            strict[-1] or any(follows(name, text, given or {}) for text in loosened(response))
        )
    return Followed(tuple(strict), tuple(loose))


def loosened(response: str) -> Iterator[str]:
    """The response without its first line (an introduction), its last (an outro), both; and each
    of these, and the whole, without asterisks (markdown)."""
    lines = response.split("\n")
    parts = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    yield from parts
    for part in (response, *parts):
        yield part.replace("*", "")


def ifeval(sample: ScorerInput) -> Grade:
    """IFEval: the response follows every instruction (strict); the looser grades beside it.

    ``metadata["instruction_id_list"]`` names them, ``metadata["kwargs"]`` holds their arguments.
    """
    ids = sample.metadata.get("instruction_id_list")
    if not isinstance(ids, list | tuple) or not ids:
        raise ConfigError("ifeval needs instruction_id_list", where="metadata")
    seen = visible(sample.response)
    if not seen.text.strip():
        return nothing(seen)
    followed = check_instructions(seen.text, ids, sample.metadata.get("kwargs") or ())
    return {
        "correct": all(followed.strict),
        "extracted": f"{sum(followed.strict)} of {len(ids)}",
        "rule": "instructions",
        "strict_correct": all(followed.strict),
        "instructions": {
            "strict": dict(zip(ids, followed.strict, strict=True)),
            "loose": dict(zip(ids, followed.loose, strict=True)),
        },
        "metrics": {
            "prompt_loose": float(all(followed.loose)),
            "instruction_strict": sum(followed.strict) / len(ids),
            "instruction_loose": sum(followed.loose) / len(ids),
        },
    }
