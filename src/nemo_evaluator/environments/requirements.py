"""Python packages a benchmark needs: said to be missing before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigError
from .judged import REQUIREMENT


def check_requirements(requirements: Sequence[str], *, where: str) -> None:
    """Raise ConfigError unless each requirement (``name``, ``name>=2``) is installed. ``judge`` is
    no package; who opens the run's judges looks after it."""
    texts = [requirements] if isinstance(requirements, str) else requirements
    packages = [text for text in texts if text != REQUIREMENT]
    if not packages:
        return
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import InvalidRequirement, Requirement

    for text in packages:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise ConfigError(f"{text!r} is not a requirement: {error}", where=where) from None
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = None
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            there = f"; {found} is installed" if found else ""
            raise ConfigError(
                f"needs the package {text}{there}", where=where, hint=f"pip install '{text}'"
            )
