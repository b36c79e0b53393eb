"""Plug-ins of installed packages, by entry-point group.

The standard library's reader of package metadata takes 30 ms to import, so it is imported when
somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def installed(group: str, name: str | None = None) -> list[EntryPoint]:
    """Entry points of a group, or those of one name in it."""
    from importlib.metadata import entry_points

    return list(entry_points(group=group) if name is None else entry_points(group=group, name=name))
