"""The base of all records, and what a JSON value is."""

from __future__ import annotations

from typing import Any

import msgspec

Json = Any
"""A JSON value; the one place where we accept not knowing the type."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all records: msgspec structs, encoded straight to JSON. Defaults are left out of the
    encoding, and an unknown field read from disk is ignored."""
