"""`nel judge calibrate`: opens the judge of a configuration, or of flags, and examines it."""

from __future__ import annotations

import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from ..config.load import Loaded, load
from ..config.quick import quick_config
from ..config.scoring import JudgeMetric, PairwiseJudgeMetric
from ..config.services import ApiService, SimulatedService
from ..errors import ConfigError
from ..judging.calibration import Calibration, Examined, calibrate
from ..judging.labels import LabelFile, read_labels
from ..judging.opening import Served, judge_of, rubric_text
from ..judging.prompts import PAIR_RUBRIC, RUBRIC
from ..judging.sitting import Court
from ..results.files import write_json
from ..services.open import open_model
from ..types import Json

RESULT = "calibration.json"
Judging = JudgeMetric | PairwiseJudgeMetric


@dataclass(frozen=True, slots=True)
class JudgeFlags:
    """A judge named by flags."""

    url: str
    model: str | None = None
    api_key_env: str | None = None
    rubric: str | None = None
    rubric_file: str | None = None
    max_score: float = 5.0
    reference_free: bool = False


async def calibrate_judge(
    labels: Path,
    *,
    config: Path | None = None,
    metric: str | None = None,
    flags: JudgeFlags | None = None,
    output: Path | None = None,
    max_concurrent: int = 32,
) -> Calibration:
    """Examine a judge against a file of labels.

    The judge is the metric (``metric``, where there are several) of a configuration file, or made
    of ``flags``. With ``output`` the replies and the result are kept there, and a repetition asks
    for nothing again. Raises ConfigError for labels, a configuration or an endpoint to be mended.
    """
    file = read_labels(labels)
    if (config is None) == (flags is None):
        raise ConfigError("no judge", hint="give a configuration, or the judge's url")
    if flags is not None:
        loaded, chosen = _of_flags(flags, file)
    else:
        assert config is not None
        loaded = load(config)
        chosen = _of_config(loaded, metric, file)
    _check_scale(chosen, file)
    async with AsyncExitStack() as stack:
        folder = output or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        examined = _open(loaded, chosen, file, max_concurrent, stack)
        court = Court(folder)
        stack.callback(court.close)
        found = await calibrate(examined, file, court)
    if output is not None:
        write_json(output / RESULT, found)
    return found


def _of_flags(flags: JudgeFlags, file: LabelFile) -> tuple[Loaded, Judging]:
    loaded = quick_config(
        ["sample"], model_url=flags.url, model_id=flags.model, api_key_env=flags.api_key_env
    )
    service = next(iter(loaded.config.services))
    common = {
        "name": "judge",
        "rubric": flags.rubric,
        "rubric_file": flags.rubric_file,
        "max_score": flags.max_score,
    }
    if file.kind == "pairs":
        pair = {**common, "judge_service": service, "baseline_service": service}
        return loaded, PairwiseJudgeMetric.model_validate(pair)
    single = {**common, "service": service, "reference_free": flags.reference_free}
    return loaded, JudgeMetric.model_validate(single)


def _of_config(loaded: Loaded, name: str | None, file: LabelFile) -> Judging:
    kind = PairwiseJudgeMetric if file.kind == "pairs" else JudgeMetric
    found: dict[str, Judging] = {}
    for benchmark in loaded.config.benchmarks:
        for metric in benchmark.scoring.metrics:
            if isinstance(metric, kind):
                found.setdefault(metric.name, metric)
    wanted = "pairwise_judge" if file.kind == "pairs" else "judge"
    where = loaded.sources[0] if loaded.sources else None
    if name is not None and name not in found:
        known = ", ".join(found) or "none"
        raise ConfigError(f"has no {wanted} metric {name!r} (there are: {known})", where=where)
    if name is None and len(found) != 1:
        known = ", ".join(found) or "none"
        raise ConfigError(
            f"has {len(found)} {wanted} metrics ({known}), one is needed",
            where=where,
            hint="--metric NAME" if found else f"{file.path} holds {file.kind}",
        )
    return found[name] if name is not None else next(iter(found.values()))


def _check_scale(metric: Judging, file: LabelFile) -> None:
    """Labels of another scale would look like a judge that never agrees."""
    if file.kind != "numbers":
        return
    for row in file.rows:
        if not 0 <= float(row.label) <= metric.max_score:
            raise ConfigError(
                f"the label {row.label:g} is not on the judge's scale, 0 to {metric.max_score:g}",
                where=f"{file.path}:{row.line}",
                hint="--max-score, or max_score of the metric",
            )


def _open(
    loaded: Loaded, metric: Judging, file: LabelFile, max_concurrent: int, stack: AsyncExitStack
) -> Examined:
    name = metric.judge_service if isinstance(metric, PairwiseJudgeMetric) else metric.service
    service = loaded.config.services[name]
    if not isinstance(service, ApiService | SimulatedService):
        raise ConfigError(
            f"{service.type!r} cannot be run by this version", where=f"services.{name}"
        )
    client = open_model(name, service, max_concurrent=max_concurrent)
    stack.push_async_callback(client.close)
    about: dict[str, Json] = {"model": client.name}
    served = Served(client, about, service.generation.temperature)
    system = metric.system_prompt if isinstance(metric, JudgeMetric) else None
    rubric = rubric_text(metric, PAIR_RUBRIC if file.kind == "pairs" else RUBRIC)
    return Examined(
        judge=judge_of(metric, served, system=system),
        rubric=rubric,
        max_score=metric.max_score,
        reference_free=isinstance(metric, JudgeMetric) and metric.reference_free,
        swap_check=not isinstance(metric, PairwiseJudgeMetric) or metric.swap_check,
        identity={**about, "rubric": rubric, "temperature": metric.temperature},
    )
