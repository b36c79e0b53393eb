"""A run as Python code loads it: its summary, and its tables as data frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, suggest
from .summary import RunSummary
from .tables import TABLES
from .view import RunView

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa


class LoadedRun(RunSummary, frozen=True, kw_only=True):
    """A summary whose rollouts, scores and calls can be had as tables."""

    def to_arrow(self, table: str = "rows") -> pa.Table:
        """A table of the run: ``rows`` (rollouts), ``scores``, ``calls`` (of models) or ``runs``.
        Raises ConfigError for another name."""
        from .arrow import arrow_table

        if table not in TABLES:
            hint = suggest(table, list(TABLES))
            raise ConfigError(f"there is no table {table!r}", hint=hint)
        return arrow_table(TABLES[table], RunView.open(self.directory))

    def to_pandas(self, table: str = "rows") -> pandas.DataFrame:
        """The same as a data frame of pandas, which must be installed."""
        _needs("pandas")
        return self.to_arrow(table).to_pandas()

    def to_polars(self, table: str = "rows") -> polars.DataFrame:
        """The same as a data frame of Polars, which must be installed."""
        frame: Any = _needs("polars").from_arrow(self.to_arrow(table))
        return frame


def _needs(package: str) -> Any:
    from importlib import import_module

    try:
        return import_module(package)
    except ModuleNotFoundError:
        raise ConfigError(
            f"the package {package!r} is not installed", hint=f"pip install {package}"
        ) from None
