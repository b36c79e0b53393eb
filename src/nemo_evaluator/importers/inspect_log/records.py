"""What is read of a log of Inspect (version 2 of its format). What else it holds is skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...types import Json, Record


class Dataset(Record, frozen=True, kw_only=True):
    """``EvalDataset``."""

    name: str | None = None
    samples: int | None = None
    sample_ids: Sequence[str | int] | None = None


class Config(Record, frozen=True, kw_only=True):
    """``EvalConfig``."""

    epochs: int | None = None


class Spec(Record, frozen=True, kw_only=True):
    """``EvalSpec``."""

    task: str
    model: str
    dataset: Dataset = Dataset()
    config: Config = Config()
    created: str | None = None
    task_version: Json = 0
    task_args: Mapping[str, Json] = {}
    solver: str | None = None
    packages: Mapping[str, str] = {}
    metadata: Mapping[str, Json] | None = None


class Metric(Record, frozen=True, kw_only=True):
    """``EvalMetric``."""

    value: float | None = None
    metadata: Mapping[str, Json] | None = None


class ScoreResult(Record, frozen=True, kw_only=True):
    """``EvalScore``."""

    name: str
    reducer: str | None = None
    scored_samples: int | None = None
    metrics: Mapping[str, Metric] = {}


class Results(Record, frozen=True, kw_only=True):
    """``EvalResults``."""

    scores: Sequence[ScoreResult] = ()


class Error(Record, frozen=True, kw_only=True):
    """``EvalError``."""

    message: str = ""


class Limit(Record, frozen=True, kw_only=True):
    """``EvalSampleLimit``."""

    type: str = ""


class Head(Record, frozen=True, kw_only=True):
    """``EvalLog`` without its samples."""

    eval: Spec
    version: int = 2
    status: str = "success"
    results: Results | None = None
    error: Error | None = None


class Usage(Record, frozen=True, kw_only=True):
    """``ModelUsage``."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_cache_write: int | None = None
    input_tokens_cache_read: int | None = None
    reasoning_tokens: int | None = None
    total_cost: float | None = None


class Choice(Record, frozen=True, kw_only=True):
    """``ChatCompletionChoice``."""

    stop_reason: str | None = None


class Output(Record, frozen=True, kw_only=True):
    """``ModelOutput``."""

    model: str = ""
    choices: Sequence[Choice] = ()
    completion: str = ""
    time: float | None = None


class Score(Record, frozen=True, kw_only=True):
    """``Score``."""

    value: Json = None
    answer: str | None = None
    explanation: str | None = None
    metadata: Mapping[str, Json] | None = None


class ToolCall(Record, frozen=True, kw_only=True):
    """``ToolCall``."""

    id: str = ""
    function: str = ""
    arguments: Json = None


class ChatMessage(Record, frozen=True, kw_only=True):
    """``ChatMessage``."""

    role: str
    content: Json = ""
    tool_calls: Sequence[ToolCall] | None = None
    tool_call_id: Json = None
    error: Error | None = None
    model: str | None = None
    source: str | None = None
    """``input`` of what the sample began with, ``generate`` of what the model said."""


class Sample(Record, frozen=True, kw_only=True):
    """``EvalSample``."""

    id: str | int
    epoch: int = 1
    input: Json = ""
    target: Json = ""
    messages: Sequence[ChatMessage] = ()
    output: Output = Output()
    scores: Mapping[str, Score] | None = None
    metadata: Mapping[str, Json] = {}
    model_usage: Mapping[str, Usage] = {}
    completed_at: str | None = None
    total_time: float | None = None
    working_time: float | None = None
    error: Error | None = None
    limit: Limit | None = None
    attachments: Mapping[str, str] = {}


class Log(Head, frozen=True, kw_only=True):
    """``EvalLog`` as one document."""

    samples: Sequence[Sample] | None = None
