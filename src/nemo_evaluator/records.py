"""The base of all records, and what a JSON value is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
else:
    Json = Any
"""A JSON value. At run time it is ``Any``: msgspec needs no recursion to know one."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all records: msgspec structs, encoded straight to JSON. Defaults are left out of the
    encoding, and an unknown field read from disk is ignored."""
