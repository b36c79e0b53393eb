"""Which of our images a configuration needs: one per family of benchmarks, or the one with all."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from ...config.root import EvalConfig


class Variant(enum.StrEnum):
    """A target of the Dockerfile."""

    BASE = "base"
    LM_EVAL = "lm-eval"
    SKILLS = "skills"
    FULL = "full"

    def tagged(self, tag: str) -> str:
        """A tag with the variant in it, once: ``latest`` becomes ``latest-lm-eval``."""
        suffix = f"-{self}"
        return tag if self is Variant.BASE or tag.endswith(suffix) else f"{tag}{suffix}"


_SCHEMES = {
    "lm-eval": Variant.LM_EVAL,
    "skills": Variant.SKILLS,
    "harbor": Variant.FULL,
    "inspect": Variant.FULL,
}
"""Schemes whose program is not in the base image."""


def variant_of(config: EvalConfig) -> Variant:
    """The smallest image that can run every benchmark of a configuration."""
    return smallest(
        _SCHEMES.get(benchmark.name.partition("://")[0], Variant.BASE)
        if "://" in benchmark.name
        else Variant.BASE
        for benchmark in config.benchmarks
    )


def smallest(needed: Iterable[Variant]) -> Variant:
    """The smallest image that has all of these.

    >>> smallest([Variant.BASE, Variant.LM_EVAL]).value, smallest(Variant).value
    ('lm-eval', 'full')
    """
    special = set(needed) - {Variant.BASE}
    if len(special) > 1:
        return Variant.FULL
    return special.pop() if special else Variant.BASE
