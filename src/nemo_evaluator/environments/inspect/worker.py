"""Runs tasks of Inspect, in the interpreter that has it (see ``foreign``).

Only its public interface is used: ``eval_async``, hooks, logs and ``recompute_metrics``. Each
sample is told when it ends, and kept as a file, so that metrics of all can be made later.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import inspect_ai
from inspect_ai.hooks import Hooks, SampleEnd, SampleStart, TaskStart, hooks
from inspect_ai.log import EvalLog, EvalSample, EvalSpec, recompute_metrics
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import value_to_float
from nel_inspect_memory import CURRENT, Memory, dumped, whole
from nel_inspect_tasks import absolute, made

if TYPE_CHECKING:
    from nemo_evaluator.foreign.child import Peer

Theirs = Any
"""An object of Inspect, whose types are not ours to know."""
Data = Any
"""What JSON can say."""
SPEC, ANSWERS = "spec.json", "answers.jsonl"

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


class State:
    """What is loaded, and the run that is under way."""

    def __init__(self) -> None:
        self.peer: Theirs = None
        self.named = ""
        self.args: dict[str, Data] = {}
        self.folder = Path()
        self.memory: Memory | None = None


STATE = State()


@hooks(name="nel", description="Tells nel of each sample as it ends.")
class Told(Hooks):  # type: ignore[misc]
    """Sees every sample of this process."""

    async def on_task_start(self, data: TaskStart) -> None:
        """Keep what metrics are computed by."""
        (STATE.folder / SPEC).write_text(dumped(data.spec), encoding="utf-8")

    async def on_sample_start(self, data: SampleStart) -> None:
        """Say who asks, in this task and those that it begins."""
        CURRENT.set((str(data.summary.id), data.summary.epoch))

    async def on_sample_end(self, data: SampleEnd) -> None:
        """Keep the sample, and hand its verdict over."""
        sample = data.sample
        path = STATE.folder / f"{sample.uuid}.json"
        path.write_text(dumped(sample), encoding="utf-8")
        file = str(path.relative_to(STATE.folder.parent))
        await STATE.peer.call("sample", told={**whole(_sample_data(sample)), "file": file})
        if sample.error and STATE.memory is not None:  # and no end of ours was the reason
            STATE.memory.forget((str(sample.id), sample.epoch))


async def load(peer: Peer, task: str, args: dict[str, Data], limit: int | None) -> Data:
    """Make a task; what it is, and the ids of its samples."""
    STATE.peer, STATE.named, STATE.args = peer, absolute(task), args
    loaded = made(STATE.named, args)
    ids = [
        str(place if sample.id is None else sample.id)
        for place, sample in enumerate(loaded.dataset, 1)
    ]
    return {
        "version": inspect_ai.__version__,
        "name": loaded.name,
        "task_version": str(loaded.version),
        "epochs": loaded.epochs or 1,
        "ids": ids if limit is None else ids[:limit],
    }


async def run(
    peer: Peer,
    ids: Sequence[str],
    folder: str,
    model: dict[str, Data],
    options: dict[str, Data],
    connections: int,
    sessions: dict[str, str],
) -> Data:
    """Run some samples; each is told by a call of ``sample``. How the whole of it ended."""
    STATE.folder = Path(folder)
    STATE.folder.mkdir(parents=True, exist_ok=True)
    asked = get_model(
        f"openai/{model['name']}",
        base_url=model["url"],
        api_key=model["key"],
        config=GenerateConfig(max_connections=connections),
        responses_api=model["responses"],
    )
    STATE.memory = Memory(STATE.folder / ANSWERS, sessions)
    asked.api.generate = STATE.memory.around(asked.api.generate)
    logs = await inspect_ai.eval_async(
        made(STATE.named, STATE.args),
        model=asked,
        sample_id=list(ids),
        max_samples=connections,
        fail_on_error=False,
        log_dir=str(STATE.folder / "logs"),
        ctl_server=False,
        **options,
    )
    if not logs:
        return {"status": "error", "error": "it was ended by code of the task (sys.exit?)"}
    log = logs[0]
    return {"status": log.status, "error": log.error.message if log.error else None}


async def aggregate(peer: Peer, files: Sequence[str]) -> list[Data]:
    """Inspect's own metrics over some samples that were kept."""
    return list(_metrics(_log(files)))


async def reduced(peer: Peer, files: Sequence[str]) -> dict[str, Data]:
    """The values that one sample has over its epochs, as its task reduces them: in the first way,
    and where there are several in each of them."""
    reductions = _log(files).reductions or []
    several = len({one.reducer for one in reductions}) > 1
    numbers: dict[str, Data] = {}
    for one in reductions:
        number = _number(one.samples[0].value)
        numbers.setdefault(one.scorer, number)
        if several:
            numbers[f"{one.scorer},{one.reducer}"] = number
    return numbers


def _log(files: Sequence[str]) -> EvalLog:
    """The samples of one run of the task as one log; the task's description lies beside them."""
    samples = [EvalSample.model_validate_json(_text(Path(name))) for name in files]
    spec = EvalSpec.model_validate_json(_text(Path(files[0]).with_name(SPEC)))
    log = EvalLog(eval=spec, samples=samples, status="success")
    recompute_metrics(log)
    return log


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _sample_data(sample: EvalSample) -> Data:
    scores = {
        name: {
            "value": _json_value(score.value),
            "number": _number(score.value),
            "answer": score.answer,
            "explanation": score.explanation,
        }
        for name, score in (sample.scores or {}).items()
    }
    return {
        "id": str(sample.id),
        "epoch": sample.epoch,
        "prompt": sample.input if isinstance(sample.input, str) else _texts(sample.input),
        "target": _json_value(sample.target),
        "response": sample.output.completion,
        "stop_reason": sample.output.stop_reason if sample.output.choices else None,
        "scores": scores,
        "error": sample.error.message if sample.error else None,
        "limit": sample.limit.type if sample.limit else None,
        "steps": list(_steps(sample.messages)),
        "seconds": sample.working_time or sample.total_time or 0.0,
    }


def _steps(messages: Sequence[Theirs]) -> Iterator[Data]:
    """A conversation as steps of ATIF."""
    step: dict[str, Data] | None = None
    for message in messages:
        if message.role == "tool" and step is not None:
            result = {"source_call_id": message.tool_call_id, "content": message.text}
            if message.error is not None:
                result = {**result, "extra": {"error": message.error.message}}
            step.setdefault("observation", {"results": []})["results"].append(result)
            continue
        if step is not None:
            yield step
        source = {"assistant": "agent"}.get(message.role, message.role)
        step = {"source": source, "message": message.text}
        if message.role == "assistant" and message.tool_calls:
            step["tool_calls"] = [
                {
                    "tool_call_id": call.id,
                    "function_name": call.function,
                    "arguments": _json_value(call.arguments),
                }
                for call in message.tool_calls
            ]
    if step is not None:
        yield step


def _metrics(log: EvalLog) -> Iterator[Data]:
    for score in log.results.scores if log.results else ():
        stderr = score.metrics.get("stderr")
        for name, metric in score.metrics.items():
            if name == "stderr" or not math.isfinite(metric.value):
                continue
            of_mean = name in ("accuracy", "mean") and stderr is not None
            yield {
                "scorer": score.name,
                "name": name,
                "reducer": score.reducer,
                "value": float(metric.value),
                "stderr": float(stderr.value) if of_mean and stderr is not None else None,
                "n": score.scored_samples or 0,
            }


def _number(value: Data) -> Data:
    """Inspect's own reading of a value as a number; of a mapping each of its values."""
    if isinstance(value, dict):
        return {str(key): _number(one) for key, one in value.items()}
    try:
        number = value_to_float()(value)
    except Exception:
        return None
    return number if math.isfinite(number) else None


def _texts(messages: Sequence[Theirs]) -> str:
    return "\n\n".join(message.text for message in messages)


def _json_value(value: Data) -> Data:
    return json.loads(json.dumps(value, default=str))


METHODS = {"load": load, "run": run, "aggregate": aggregate, "reduced": reduced}
