"""The simulated model: what it answers, when, and what goes wrong, all decided by hashing.

An answer depends on the question (and the rollout that asks it), never on the try; a fault of the
connection depends on the try as well, so that a retry gets through. ``empty`` and ``length`` are
the model's own: they belong to the answer. No I/O.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from ...config.services import SimulatedService
from ...traffic.types import CallContext
from ...types import Json
from .answers import guess, right_answer, wrong_answer
from .draws import Draws, Keys, draws, lognormal, share
from .likelihoods import echoed
from .prose import CHARS_PER_TOKEN, filler
from .questions import Asked, read, target_of
from .structured import schema_of, structured
from .tools import tool_call

REASONING_SHARE = 2
"""Characters of reasoning per character of the answer."""
SHORTEST_FILLER = 40


class Fault(enum.StrEnum):
    """A fault below the answer, drawn again for each try."""

    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    DROP = "drop"
    HANG = "hang"
    INVALID_JSON = "invalid_json"
    TRUNCATED_JSON = "truncated_json"


class Turn(NamedTuple):
    """What happens to one request."""

    key: bytes
    """Decides the answer."""
    fault: Fault | None
    variant: bool
    """Which of two forms the fault takes (500 or 503; dropped before or amid the answer)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One simulated answer, free of any protocol."""

    id: str
    text: str
    reasoning: str | None
    finish_reason: str
    """``stop``, ``length`` or ``tool_calls``."""
    prompt_tokens: int
    completion_tokens: int
    """Reasoning included."""
    reasoning_tokens: int
    tool_call: dict[str, Any] | None = None
    logprobs: dict[str, Any] | None = None
    """Of the tokens of ``text``, which begins with the prompt where that was to be echoed."""


class SimulatedModel:
    """Answers questions according to one configuration.

    ``targets`` tells right answers by prompt, for callers that do not say the target. With
    ``vary_repeats`` a question that no rollout asks gets another answer each time it is answered.
    """

    def __init__(
        self,
        config: SimulatedService,
        targets: Mapping[str, Json] | None = None,
        *,
        vary_repeats: bool = False,
    ) -> None:
        self.config = config
        self._targets = targets or {}
        self._keys = Keys(config.seed)
        bounds = accumulate(getattr(config.faults, fault) for fault in Fault)
        self._faults = list(zip(bounds, Fault, strict=True))
        self._faultless = self._faults[-1][0] == 0
        self._tries: dict[bytes, int] = {}
        self._answered: dict[bytes, int] | None = {} if vary_repeats else None

    def turn(self, body: dict[str, object], context: CallContext) -> Turn:
        """Count a try of a request, and decide which fault, if any, it meets."""
        key = question = self._keys.of(body, context)
        answered = self._answered if context.problem_idx < 0 else None
        if answered is not None and (nth := answered.get(question, 0)):
            key = hashlib.blake2b(key + b"%d" % nth, digest_size=16).digest()
        fault, variant = None, False
        if not self._faultless:
            fault, variant = self._fault(key, context.attempt)
        if fault is None and answered is not None:
            answered[question] = answered.get(question, 0) + 1
        return Turn(key, fault, variant)

    def answer(self, body: dict[str, Any], key: bytes, target: Json = None) -> Answer:
        """The answer to a request body, given its key. Without a target it is looked up."""
        config, drawn, asked = self.config, draws(key), read(body)
        if target is None and self._targets:
            target = target_of(asked.prompt, self._targets)
        if body.get("echo") and isinstance(body.get("prompt"), str):
            return self._echo(body["prompt"], drawn, key, target)
        if asked.tools and share(drawn.tool) < config.tool_call_rate:
            return self._tool_call(asked, drawn, key)
        answer_text = self._answer_text(asked, drawn, target)
        mean, sigma = config.completion_tokens.mean, config.completion_tokens.sigma
        tokens = lognormal(drawn.tokens, mean, sigma)
        last = f"Answer: {answer_text}"
        chars = int(tokens * CHARS_PER_TOKEN) - len(last) - 2
        text = f"{filler(drawn.prose, chars)}\n\n{last}" if chars >= SHORTEST_FILLER else last
        if asked.stop:
            text = _stopped(text, last, asked.stop)
        if (schema := schema_of(body)) is not None:
            text = structured(schema, key)
        reasoning = filler(drawn.which, REASONING_SHARE * len(text)) if config.reasoning else None
        finish, cut = "stop", share(drawn.cut)
        if cut < config.faults.empty:
            text = ""
        elif cut < config.faults.empty + config.faults.length:
            text, finish = text[: (len(text) - len(last)) // 2], "length"
        if asked.limit is not None:
            reasoning, text, finish = _within(asked.limit, reasoning, text, finish)
        return _answer(key, asked, text, reasoning, finish)

    def seconds(self, key: bytes) -> float:
        """How long the answer takes."""
        latency = self.config.latency
        ms = latency.mean_ms
        if ms and latency.distribution == "uniform":
            ms *= 1 + latency.sigma * (2 * share(draws(key).latency) - 1)
        elif ms and latency.distribution == "lognormal":
            ms = lognormal(draws(key).latency, ms, latency.sigma)
        if latency.max_ms is not None:
            ms = min(ms, latency.max_ms)
        return max(0.0, ms) / 1000

    def _fault(self, key: bytes, attempt: int) -> tuple[Fault | None, bool]:
        nth = self._tries.get(key, 0)
        drawn = draws(key + b"%d/%d" % (attempt, nth))
        chance = share(drawn.cut)
        for bound, fault in self._faults:
            if chance < bound:
                self._tries[key] = nth + 1
                return fault, bool(drawn.which & 1)
        # Answered: a further request starts again, and nothing piles up.
        self._tries.pop(key, None)
        return None, False

    def _answer_text(self, asked: Asked, drawn: Draws, target: Json) -> str:
        right = right_answer(target, asked.prompt)
        if right is None:
            return guess(asked.prompt, drawn.wrong)
        if share(drawn.right) < self.config.accuracy:
            return right
        return wrong_answer(target, right, asked.prompt, drawn.wrong)

    def _echo(self, prompt: str, drawn: Draws, key: bytes, target: Json) -> Answer:
        """The prompt and one token, with their probabilities."""
        right, end = right_answer(target, prompt), " end"
        known = bool(right) and prompt.endswith(right or "")
        sure = len(right or "") if known and share(drawn.right) < self.config.accuracy else 0
        logprobs = echoed(prompt, key, sure=sure)
        for name, value in (("tokens", end), ("token_logprobs", -1.0), ("top_logprobs", None)):
            logprobs[name].append(value)
        logprobs["text_offset"].append(len(prompt))
        return Answer(
            id=key.hex(),
            text=prompt + end,
            reasoning=None,
            finish_reason="length",
            prompt_tokens=len(logprobs["tokens"]) - 1,
            completion_tokens=1,
            reasoning_tokens=0,
            logprobs=logprobs,
        )

    def _tool_call(self, asked: Asked, drawn: Draws, key: bytes) -> Answer:
        call = tool_call(asked.tools, drawn.which)
        return Answer(
            id=key.hex(),
            text="",
            reasoning=None,
            finish_reason="tool_calls",
            prompt_tokens=_tokens(asked.chars),
            completion_tokens=_tokens(len(call["function"]["arguments"]) + 16),
            reasoning_tokens=0,
            tool_call=call,
        )


def _answer(key: bytes, asked: Asked, text: str, reasoning: str | None, finish: str) -> Answer:
    thought = _tokens(len(reasoning)) if reasoning else 0
    return Answer(
        id=key.hex(),
        text=text,
        reasoning=reasoning,
        finish_reason=finish,
        prompt_tokens=_tokens(asked.chars),
        completion_tokens=thought + _tokens(len(text)),
        reasoning_tokens=thought,
    )


def _tokens(chars: int) -> int:
    return -(-chars // CHARS_PER_TOKEN)


def _stopped(text: str, last: str, stop: Sequence[str]) -> str:
    """The text up to the first stop text. Filler that would end it early is left out."""
    if any(mark and mark in text for mark in stop):
        text = last
        for mark in stop:
            text = text.partition(mark)[0] if mark else text
    return text


def _within(
    limit: int, reasoning: str | None, text: str, finish: str
) -> tuple[str | None, str, str]:
    """Reasoning and text cut to this many tokens; reasoning comes first."""
    left = limit * CHARS_PER_TOKEN
    thought = None if reasoning is None else reasoning[:left]
    left -= _tokens(len(thought or "")) * CHARS_PER_TOKEN
    shown = text[: max(0, left)]
    return thought, shown, finish if (thought, shown) == (reasoning, text) else "length"
