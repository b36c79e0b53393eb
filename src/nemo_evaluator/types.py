"""The vocabulary of the evaluator as plain, frozen records.

Every record here is data: no I/O, no behaviour beyond a derived property. It imports nothing
of ours but the records it is made of, so every package may import it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from .asked import Answer, Request, TokenLogprob
from .finish import FinishReason
from .measured import Metric
from .records import Json as Json
from .records import Record as Record
from .sandbox_spec import HandoverSpec, SandboxSpec
from .steps import Step

Message = dict[str, Any]
"""One chat message in OpenAI form: ``{"role": ..., "content": str | list[part]}``."""


class Outcome(enum.StrEnum):
    """How a rollout ended."""

    SCORED = "scored"
    UNSCORED = "unscored"
    """No verdict was given (e.g. an unreadable judge); never a score."""
    MODEL_ERROR = "model_error"
    """The model's own failure (4xx refusal, context overflow): scored by the benchmark's rule."""
    INFRA_ERROR = "infra_error"
    """Not the model's fault: never a score, retried on resume."""
    BUDGET_STOP = "budget_stop"

    @property
    def has_reward(self) -> bool:
        """Whether a rollout that ended so counts in a score."""
        return self is Outcome.SCORED or self is Outcome.MODEL_ERROR


class EndedBy(enum.StrEnum):
    """The limit that ended an agent before it said that it is done. What it left is verified all
    the same."""

    TURNS = "turns"
    TOKENS = "tokens"
    COST = "cost"
    TIME = "time"
    CONTEXT = "context"
    """The conversation no longer fits into the model's context window."""
    LOOP = "loop"
    """It did the same again and again."""


class Phase(enum.StrEnum):
    """What a rollout is doing; named in errors and by the watchdog."""

    SEED = "seed"
    SOLVE = "solve"
    VERIFY = "verify"


class Failure(enum.StrEnum):
    """Why a rollout has no good answer; the keys of ``failure_analysis.json``."""

    INFRA_ERROR = "infra_error"
    SOLVE_TIMEOUT = "solve_timeout"
    TIMEOUT = "timeout"
    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    CONNECTION = "connection"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    QUOTA = "quota"
    INVALID_RESPONSE = "invalid_response"
    BAD_REQUEST = "bad_request"
    CONTEXT_WINDOW = "context_window_exceeded"
    CONTENT_FILTER = "content_filter"
    VERIFIER = "verifier_error"
    NO_VERDICT = "no_verdict"
    SANDBOX = "sandbox_error"
    SEED = "seed_error"
    BUG = "bug"
    REFUSAL = "refusal"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    FORMAT = "format_error"
    TARGET = "impossible_target"
    BUDGET = "budget_exceeded"


class RolloutKey(NamedTuple):
    """Identity of one rollout inside a benchmark of a run."""

    problem_idx: int
    repeat: int

    def __str__(self) -> str:
        return f"{self.problem_idx}/{self.repeat}"


class ErrorInfo(Record, frozen=True, kw_only=True):
    """An error as it is journaled: typed, attributed, without secrets."""

    kind: Failure
    message: str
    phase: Phase = Phase.SOLVE
    peer: str | None = None
    """What was talked to (a URL without credentials, or a scorer's name)."""
    status: int | None = None
    traceback: str | None = None
    details: Mapping[str, Json] = {}
    """What else is known, as data: what a verifier without a verdict saw, say."""


class Usage(Record, frozen=True, kw_only=True):
    """Tokens as the provider reported them; ``None`` means it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None

    @property
    def total_tokens(self) -> int | None:
        """Prompt plus completion where at least one is known."""
        if self.prompt_tokens is None and self.completion_tokens is None:
            return None
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)

    def __add__(self, other: Usage) -> Usage:
        def plus(a: int | None, b: int | None) -> int | None:
            return b if a is None else a if b is None else a + b

        return Usage(
            prompt_tokens=plus(self.prompt_tokens, other.prompt_tokens),
            completion_tokens=plus(self.completion_tokens, other.completion_tokens),
            reasoning_tokens=plus(self.reasoning_tokens, other.reasoning_tokens),
            cached_tokens=plus(self.cached_tokens, other.cached_tokens),
        )


class Image(Record, frozen=True, kw_only=True):
    """One image of a problem: exactly one of ``url``, ``path`` or ``data`` is set."""

    url: str | None = None
    path: str | None = None
    data: bytes | None = None
    media_type: str | None = None


class Problem(Record, frozen=True, kw_only=True):
    """One seeded task."""

    idx: int
    """Index in the unshuffled dataset."""
    prompt: str = ""
    messages: tuple[Message, ...] = ()
    """Chat messages where the environment supplies them; otherwise ``prompt`` is the user turn."""
    system: str | None = None
    target: Any = None
    metadata: Mapping[str, Json] = {}
    images: tuple[Image, ...] = ()
    cluster: str | None = None
    """Problems of one cluster (a shared passage, say) are not independent; intervals respect it."""
    workspace: SandboxSpec | None = None
    """The sandbox that it is solved and verified in, files included; None: it needs none."""
    handover: HandoverSpec = HandoverSpec()
    """How what a solver left in the workspace comes to the verifier."""
    goes_on: bool = False
    """More is asked in the same workspace once this is answered (`environments.contract.Staged`).
    """
    verify_timeout: float | None = None
    """Seconds that its verification may take by its own rules; the configuration may say less."""
    requests: tuple[Request, ...] = ()
    """What is asked where that is not one generation of prompt or messages."""

    @property
    def category(self) -> str | None:
        """The group the problem is reported under."""
        value = self.metadata.get("category")
        return None if value is None else str(value)


class Generation(Record, frozen=True, kw_only=True):
    """The answer to one model call, free of any wire dialect."""

    text: str
    reasoning: str | None = None
    finish_reason: str | None = None
    usage: Usage = Usage()
    model: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    """Milliseconds to the first content token; known for streamed answers only."""
    tries: int = 1
    cost_usd: float | None = None
    simulated: bool = False
    """The endpoint says that it only simulates a model."""
    cached: bool = False
    """From our cache: the tokens and times are those of the first call, and nothing was paid."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the tokens of the text, where they were asked for; those of an echoed prompt first."""
    prompt_logprobs: tuple[TokenLogprob, ...] = ()

    @property
    def truncated(self) -> bool:
        """Whether a limit of tokens cut the answer off."""
        return FinishReason.of(self.finish_reason).truncated


GYM_SESSION = "gym_session"
"""Where a solver keeps, among the details of its solution, the session of the gym that its tools
were called in: ``{"server": URL, "cookies": {...}, "output": [...]}``. The gym verifies there; it
is not published."""


class Solution(Record, frozen=True, kw_only=True):
    """What a solver made of a problem."""

    response: str
    """The raw final text. Where it came from is in ``response_source``."""
    reasoning: str | None = None
    finish_reason: str | None = None
    usage: Usage = Usage()
    model: str | None = None
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    calls: int = 1
    """Model calls that were answered: one for a single turn, several for an agent."""
    tries: int = 1
    """Requests those calls took, retries included."""
    cost_usd: float | None = None
    steps: tuple[Step, ...] = ()
    """Steps of an agent. Empty for a single turn: problem and response already say it all."""
    workspace: bool = False
    """It is verified in the workspace it was made in: the response alone is not the answer."""
    trajectory: tuple[dict[str, Any], ...] = ()
    """Steps as another program recorded them, in its own form; ``steps`` where they are ours."""
    error: ErrorInfo | None = None
    """Set when the model itself failed; the solution is still verified by the benchmark's rule."""
    reward: float | None = None
    wall_ms: float | None = None
    """How long an agent took, its tools included, less what its calls waited for a free place. The
    engine measures it; None: no agent, and ``latency_ms`` is all."""
    details: Mapping[str, Json] = {}
    """What the solver says about its work; published as ``solver_details``."""
    ended_by: EndedBy | None = None
    """None: the agent ended by itself."""
    simulated: bool = False
    cached: bool = False
    """From our cache: nothing was paid."""
    response_source: str = "content"
    """``content``, or ``reasoning_content`` where the server put a finished answer there."""
    answers: tuple[Answer, ...] = ()
    """One for each of the problem's ``requests``, in their order."""

    @classmethod
    def of(cls, generation: Generation, **own: Any) -> Solution:
        """The solution that one generation is; ``own`` are fields of the solution that differ."""
        shared = zip(OF_A_GENERATION, _told_by(generation), strict=True)
        return cls(**{"response": generation.text, **dict(shared), **own})

    @property
    def generation(self) -> Generation:
        """The answer as one generation: the last text, with what all calls used."""
        shared = {name: getattr(self, name) for name in OF_A_GENERATION}
        return Generation(text=self.response, **shared)

    @property
    def truncated(self) -> bool:
        """Whether a limit of tokens cut the answer off."""
        return FinishReason.of(self.finish_reason).truncated

    @property
    def filtered_out(self) -> bool:
        """Whether a content filter ended the answer and left nothing of it."""
        filtered = FinishReason.of(self.finish_reason) is FinishReason.CONTENT_FILTER
        return filtered and not self.response.strip()


OF_A_GENERATION = tuple(
    name for name in Generation.__struct_fields__ if name in Solution.__struct_fields__
)
"""What a solution tells of its generation, under the same names. Flat, as journals hold it."""
_told_by = attrgetter(*OF_A_GENERATION)


class Extraction(Record, frozen=True, kw_only=True):
    """An answer found in a text: what, by which rule, and where (character offsets)."""

    value: str
    rule: str
    span: tuple[int, int]


class Score(Record, frozen=True, kw_only=True):
    """The verdict on one solution."""

    reward: float
    rated: bool = True
    """False: the verdict is its ``metrics``, e.g. a log-likelihood; there is no reward, and
    ``reward`` is 0."""
    correct: bool | None = None
    """Set when the verdict is yes or no; what pass@k is computed from."""
    extracted: Json = None
    details: Mapping[str, Json] = {}
    failure: Failure | None = None
    """Why there was nothing to grade (``format_error``, ``empty``, ``refusal``, ``truncated``)."""
    metadata: Mapping[str, Json] = {}
    metrics: Mapping[str, Metric] = {}
    """Further numbers, by name."""

    @property
    def published(self) -> dict[str, Json]:
        """The details as they are published: the metrics stand among them."""
        return {**self.details, **({"metrics": dict(self.metrics)} if self.metrics else {})}


class JudgeCalibration(Record, frozen=True, kw_only=True):
    """Labelled answers by which the score of a judge is corrected."""

    verdicts: bool
    """Whether they are right and wrong, and not grades."""
    rows: tuple[tuple[float, float], ...]
    """What the judge said, and what people said."""


class PlanSettings(Record, frozen=True, kw_only=True):
    """What may change between two invocations of one run. Seconds."""

    max_concurrent: int | None = None
    timeout: float | None = None
    verify_timeout: float | None = None
    max_system_retries: int | None = None
    skip_failed: bool | None = None
    min_coverage: float | None = None
    shuffle_seed: int | None = None
    base_url: str | None = None
    shard: tuple[int, int] | None = None
    """Index (from 0) and total, of a shard."""
    shard_range: tuple[int, int] | None = None
    """Where the shard starts and ends in the order of problems."""
    calibrations: Mapping[str, JudgeCalibration] = {}
    """By metric."""


class BenchmarkPlan(Record, frozen=True, kw_only=True):
    """What a run is going to do with one benchmark; written to ``plan.lock``.

    ``identity`` holds, under readable keys, everything that changes the meaning of the results;
    two runs are comparable and a run may be resumed only if it is equal. ``settings`` holds what
    may change freely between two invocations of one run.
    """

    name: str
    slug: str
    """Folder of the benchmark in the run directory; unique in a run."""
    service: str | None
    model: str | None
    simulated: bool
    solver: str
    dataset_size: int
    n_problems: int
    repeats: int
    identity: Mapping[str, Json]
    settings: PlanSettings = PlanSettings()
    digest: str = ""

    @property
    def n_rollouts(self) -> int:
        """Rollouts to be done: problems times repeats."""
        return self.n_problems * self.repeats
