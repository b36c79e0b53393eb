"""Short digests, for telling whether two runs used the same."""

from __future__ import annotations

import hashlib


def digest(*parts: object) -> str:
    """Sixteen hex digits over the parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
