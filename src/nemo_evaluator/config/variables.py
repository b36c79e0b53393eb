"""Environment variables that a configuration sets for a program that is started."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _can_be_set(variables: dict[str, str]) -> dict[str, str]:
    for name in variables:
        if not name or "=" in name:
            raise ValueError(f"{name!r} cannot be the name of a variable")
    return variables


Variables = Annotated[dict[str, str], AfterValidator(_can_be_set)]
