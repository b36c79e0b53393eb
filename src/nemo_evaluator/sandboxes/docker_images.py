"""The images of a Docker engine: what is there, and what must be pulled."""

from __future__ import annotations

import json
from typing import NamedTuple

from ..errors import ConfigError
from .docker_api import Engine, Response

_PULL = 3600.0


class Image(NamedTuple):
    """One image that is there."""

    id: str
    volumes: tuple[str, ...]
    """Folders that the image wants on a volume."""
    labels: dict[str, str]
    user: str = ""
    """Who its commands run as: a user by name or number, perhaps ``:group``; empty: root."""
    cwd: str = "/"
    entrypoint: tuple[str, ...] = ()


class Images:
    """The images that one process has asked an engine for; what is there is asked for once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, Image] = {}

    async def have(self, name: str) -> Image:
        """An image, pulled if it is not there. ConfigError where it is not to be had."""
        if (known := self._known.get(name)) is None:
            if (known := await self.find(name)) is None:
                await self._pull(name)
                known = await self.find(name)
            if known is None:
                raise ConfigError(f"image {name} is not there", hint=f"try `docker pull {name}`")
            self._known[name] = known
        return known

    async def find(self, name: str) -> Image | None:
        """An image, if it is there now."""
        got = await self._engine.request("GET", f"/images/{name}/json")
        if got.status == 404:
            return None
        if got.status != 200:
            raise ConfigError(f"image {name}: {got.message}", hint=f"try `docker pull {name}`")
        found = got.json()
        config = found["Config"]
        return Image(
            found["Id"],
            tuple(config.get("Volumes") or ()),
            config.get("Labels") or {},
            config.get("User") or "",
            config.get("WorkingDir") or "/",
            tuple(config.get("Entrypoint") or ()),
        )

    async def _pull(self, name: str) -> None:
        where, _, tag = name.rpartition(":")
        tagged = {"fromImage": where, "tag": tag} if where and "/" not in tag else None
        query = tagged or {"fromImage": name, "tag": "" if "@" in name else "latest"}
        got = await self._engine.request("POST", "/images/create", query=query, timeout=_PULL)
        if (why := _failure(got)) is not None:
            raise ConfigError(
                f"image {name} cannot be pulled: {why[:300]}",
                hint=f"`docker pull {name}` (after `docker login` for a private registry), "
                "or name an image that is there",
            )


def _failure(got: Response) -> str | None:
    """Why a pull failed, or None: it may fail after it has begun, in its last line."""
    if got.status >= 400:
        return got.message
    last = got.body.decode(errors="replace").strip().rpartition("\n")[2]
    try:
        error = json.loads(last).get("error")
    except (ValueError, AttributeError):
        return None
    return None if error is None else str(error)
