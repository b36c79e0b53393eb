"""Results with what stands beside them: the bundle, and where there is one the run it is of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..files.reading import read_json
from ..results.flips import Flips
from ..results.foreign import is_foreign, published_rows, recounted
from ..results.layout import FLIPS, RESULTS, RUN_INFO
from ..results.published import Published
from ..results.read_bundle import BUNDLES, read_bundle
from ..results.run_info import RunInfo, read_run_info
from ..results.samples import Samples, collect_samples

NO_SAMPLES = Samples()


@dataclass(frozen=True, slots=True)
class Found:
    """One bundle, or a benchmark of a run that has none."""

    path: Path
    """The bundle, or the run's directory."""
    result: Published | None
    run: RunInfo | None = None
    missing: tuple[str, ...] = ()
    """Benchmarks that the run was to do and that have no results."""
    flips: Flips | None = None
    """What changed when answers were verified again."""
    samples: Samples = NO_SAMPLES
    """Single rollouts to be shown."""


def run_sources(directory: Path) -> Iterator[Found]:
    """All benchmarks of a run, in its order. Raises ConfigError."""
    info = read_run_info(directory)
    flips = {item.benchmark: item for item in _flips(directory / FLIPS)}
    bundles = {folder.parent.name: folder for folder in sorted(directory.glob(f"*/{BUNDLES}"))}
    order = [*info.benchmarks, *(slug for slug in bundles if slug not in info.benchmarks)]
    missing = tuple(slug for slug in order if slug not in bundles)
    shown = [slug for slug in order if slug in bundles]
    for slug in shown:
        result = read_bundle(bundles[slug])
        samples = _samples(bundles[slug].parent, result)
        yield Found(bundles[slug], result, info, missing, flips.get(slug), samples)
    if not shown:
        yield Found(directory, None, info, missing)


def bundle_source(path: Path) -> Found:
    """A bundle, with its run where it stands in a run's directory. Raises ConfigError."""
    result = read_bundle(path)
    if is_foreign(path.parent):
        result = recounted(result, path.parent)
    parent = path.parent.parent
    run = read_run_info(parent) if (parent / RUN_INFO).is_file() else None
    if run is not None and run.run_id != result.run_id:
        run = None
    return Found(path, result, run, samples=_samples(path.parent, result))


def rows_source(folder: Path) -> Found:
    """The rows in a folder that has no bundle."""
    result = published_rows(folder)
    return Found(folder / RESULTS, result, samples=_samples(folder, result))


def _samples(folder: Path, result: Published) -> Samples:
    return collect_samples(folder, result.agreement.unsteady if result.agreement else ())


def _flips(path: Path) -> list[Flips]:
    try:
        return read_json(path, list[Flips])
    except FileNotFoundError:
        return []
