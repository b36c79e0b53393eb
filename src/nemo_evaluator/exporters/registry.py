"""Opens exporters by name, and contains them: one that fails fails nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..config.plugins import Given
from ..config.scrubber import KNOWN
from ..config.secrecy import redact
from ..errors import ConfigError
from ..files.reading import first_line
from ..kinds import EXPORTERS
from ..results.view import RunView
from ..types import Json
from .contract import Exporter


def open_exporter(name: str, config: Given) -> Exporter:
    """An exporter with its options. Raises ConfigError."""
    check_name(name)
    exporter = EXPORTERS.open(name, config)
    if not isinstance(exporter, Exporter):
        raise EXPORTERS.wrong(name, "it needs a method `async export(run)`")
    return exporter


def check_name(name: str) -> None:
    """Raise ConfigError for a name that stands for no exporter."""
    if not EXPORTERS.has(name):
        raise EXPORTERS.unknown(name)


def exporter_options(name: str, config: Mapping[str, Json], secrets: Collection[str]) -> Given:
    """The options of an exporter, as its record where it has one. What does not fit was said
    before; raises ConfigError."""
    record = EXPORTERS.options(name)
    return config if record is None else record.model_validate(config, context=frozenset(secrets))


async def export_run(
    run: RunView, exporters: Mapping[str, Given], secrets: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Hand a run on to every exporter, by name: what was written where, and what failed."""
    done: list[str] = []
    failed: list[str] = []
    for name, config in exporters.items():
        try:
            places = await open_exporter(name, config).export(run)
            lines = [f"exported to {name}: {place}" for place in places]
        except (Exception, SystemExit) as error:  # foreign code, other machines
            what = str(error) if isinstance(error, ConfigError) else _error_line(error)
            failed.append(KNOWN(redact(f"export to {name} failed: {what}", secrets)))
        else:
            done += [KNOWN(redact(text, secrets)) for text in lines]
    return done, failed


def _error_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {first_line(error)}"
