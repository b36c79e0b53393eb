"""A benchmark of task folders that has a name: where its tasks are looked for on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ..contract import Environment


@dataclass(frozen=True, slots=True)
class TaskSuite:
    """A suite of tasks with a name of its own."""

    name: str
    suites: tuple[str, ...] = ()
    """Names under which a download of it may be found, the first one first."""
    difficulty: str | None = None
    """Only tasks of this difficulty, where the last of ``suites`` is all there is."""
    repository: str | None = None
    """The variable that names a repository which holds the tasks."""
    below: str = "."
    """Where in the repository they are."""
    dockerfile: str | None = None
    """What the image of every task is built of, in the repository."""

    def open(self, params: Mapping[str, Any]) -> Environment:
        """The tasks. Raises ConfigError that says where to put them."""
        from .environment import HarborEnvironment
        from .options import names_of, options_of
        from .suites import at_path, chosen

        given = dict(params)
        folder = given.pop("folder", None)
        options = options_of(given, self.name)
        found, dockerfile = self._locations(folder)
        folders = at_path(found, self.name).folders if isinstance(found, Path) else found
        folders = chosen(folders, names_of(options.tasks), names_of(options.exclude), self.name)
        return HarborEnvironment(self.name, folders, options, dockerfile=dockerfile)

    def _locations(self, folder: object) -> tuple[Path | tuple[Path, ...], Path | None]:
        if folder is not None:
            return Path(str(folder)).expanduser(), None
        if self.repository is None:
            return self._downloaded(), None
        if (repository := os.environ.get(self.repository)) is None:
            raise ConfigError(
                f"the variable {self.repository} is not set",
                where=self.name,
                hint=f"{self.repository}=/path/to/the/repository, or params: {{folder: PATH}}",
            )
        root = Path(repository).expanduser().resolve()
        dockerfile = root / self.dockerfile if self.dockerfile else None
        for path in filter(None, (root / self.below, dockerfile)):
            if not path.exists():
                raise ConfigError(f"{path} is not there", where=f"{self.name} ({self.repository})")
        return root / self.below, dockerfile

    def _downloaded(self) -> tuple[Path, ...]:
        from .suites import find

        for suite in self.suites:
            try:
                folders = find(suite, None, self.name).folders
            except ConfigError:
                continue
            if self.difficulty is None or suite != self.suites[-1]:
                return folders
            wanted = tuple(one for one in folders if _difficulty(one) == self.difficulty)
            if wanted:
                return wanted
        raise ConfigError(
            "its tasks are not on this machine",
            where=self.name,
            hint=f"put them below NEL_HARBOR_DIR as {self.suites[0]} (a folder with a folder for "
            "each task), or name the folder: params: {folder: PATH}",
        )


def _difficulty(folder: Path) -> object:
    from ...task_folders.folder import read_task

    return read_task(folder).metadata.get("difficulty")
