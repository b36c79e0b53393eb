"""Reward models: a number for a conversation, in whatever shape the server gives it.

The number is read from the only item of ``data`` (of vLLM's ``/score``, ``/pooling`` and
``/classify``: its ``score``, its ``data``, or the only one of its ``probs``), from a top-level
``score``, ``scores``, ``reward``, ``rewards`` or ``logits``, or from the text of a completion
(``3.2``, or ``helpfulness:3.2,...``).
Invariant: what is not one finite number within ``score_range`` is an InfraError.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ..errors import InfraError, ModelError
from ..scoring.judged import Graded
from ..scoring.reasoning import visible
from ..traffic.client import SIMULATED, ModelClient
from ..traffic.types import ModelRequest
from ..types import Failure, Generation, Json, Message, Phase, Problem, Usage
from .metrics import digest
from .verification import Verification

TOP = ("score", "scores", "reward", "rewards", "logits")
_NUMBER = r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,15})?(?:[eE][+-]?[0-9]{1,2})?"
_ASPECT = re.compile(rf"([A-Za-z][\w -]{{0,40}}?)\s*[:=]\s*({_NUMBER})")


@dataclass(frozen=True, slots=True)
class RewardMetric:
    """A reward model's score, as a share of its range."""

    name: str
    client: ModelClient
    score_range: tuple[float, float] = (0.0, 1.0)
    threshold: float = 0.5
    """The share from which an answer counts as right."""
    aspect: str | None = None
    """Which of several named scores."""
    timeout: float = 120.0
    max_retries: int = 2
    pair: bool = False
    """The endpoint takes two texts (vLLM's ``/score``), not a conversation."""
    about: Mapping[str, Json] | None = None

    async def grade(self, problem: Problem, answer: str, verification: Verification) -> Graded:
        """The share, whether it reaches the threshold, and the raw score."""
        if not answer.strip():
            return Graded(0.0, {"empty": True, "correct": False})
        messages = [*_prompt_messages(problem), {"role": "assistant", "content": answer}]
        key = digest(self.name, self.client.service_name, self.client.name, messages)
        kept = verification.find(key)
        if kept is not None:
            verification.used(self.client, kept)
            score = float(kept.text)
        else:
            score = await self._scored(messages, key, verification)
        low, high = self.score_range
        share = (score - low) / (high - low)
        return Graded(share, {"score": score, "correct": share >= self.threshold})

    def identity(self) -> Mapping[str, Json]:
        """The model and how its scores are read."""
        return {
            "type": "reward_model",
            "model": dict(self.about or {}),
            "score_range": list(self.score_range),
            "threshold": self.threshold,
            "aspect": self.aspect,
        }

    async def _scored(self, messages: list[Message], key: str, verification: Verification) -> float:
        body: Mapping[str, object] = {}
        for _ in range(self.max_retries + 1):
            body, reply = await self._reply(messages, verification)
            score = read_reward(body, aspect=self.aspect)
            low, high = self.score_range
            readable = score is not None and low <= score <= high
            if score is not None and readable:
                text = repr(score)
                reply = msgspec.structs.replace(reply, text=text)
                verification.note(key, self.client, reply, readable=True)
                return score
            verification.note(key, self.client, reply, readable=False)
        raise self._failed(f"gave no score within {self.score_range}: {str(body)[:200]}")

    async def _reply(
        self, messages: list[Message], verification: Verification
    ) -> tuple[Mapping[str, object], Generation]:
        context = verification.context(self.client)
        body: dict[str, object] = {"model": self.client.name, "messages": messages}
        if self.pair:
            body = {"model": self.client.name, **_pair(messages)}
        request = ModelRequest(self.client.protocol, body, context=context)
        try:
            async with asyncio.timeout(self.timeout):
                response = await self.client.pipeline(request)
        except TimeoutError:
            raise self._failed(f"did not reply within {self.timeout:g} s") from None
        except ModelError as error:
            raise self._failed(f"refused: {error}") from error
        except InfraError as error:
            message = f"reward model {self.client.service_name}: {error}"
            error.info = msgspec.structs.replace(error.info, phase=Phase.VERIFY, message=message)
            raise
        reply = response.reply
        generation = Generation(
            text=reply.text if reply else "",
            model=reply.model if reply else None,
            usage=reply.usage if reply else Usage(),
            latency_ms=round(response.latency_ms, 3),
            tries=response.tries,
            cost_usd=self.client.cost(reply.usage) if reply else None,
            cached=response.source == "cache",
            simulated=response.body.get("system_fingerprint") == SIMULATED,
        )
        return response.body, generation

    def _failed(self, what: str) -> InfraError:
        return InfraError(
            f"reward model {self.client.service_name} {what}",
            kind=Failure.VERIFIER,
            phase=Phase.VERIFY,
            peer=self.client.endpoint.peer,
        )


def read_reward(body: Mapping[str, object], *, aspect: str | None = None) -> float | None:
    """The score a reply states, or None.

    >>> read_reward({"data": [{"score": 0.9}]}), read_reward({"logits": [[1.5]]})
    (0.9, 1.5)
    """
    data = body.get("data")
    if isinstance(data, list) and len(data) == 1 and isinstance(data[0], Mapping):
        return _of_item(data[0], aspect)
    choices = body.get("choices")
    if isinstance(choices, list) and choices:
        first = choices[0] if isinstance(choices[0], Mapping) else {}
        message = first.get("message")
        text = message.get("content") if isinstance(message, Mapping) else first.get("text")
        return _of_text(text, aspect) if isinstance(text, str) else None
    return _of_item(body, aspect)


def _of_item(item: Mapping[str, object], aspect: str | None) -> float | None:
    for name in (*TOP, "data"):
        if name in item:
            value = item[name]
            if isinstance(value, Mapping):
                return _number(value.get(aspect)) if aspect else None
            return None if aspect else _single_number(value)
    if aspect and aspect in item:
        return _number(item[aspect])
    probs = item.get("probs")
    if isinstance(probs, list) and len(probs) == 1 and not aspect:
        return _number(probs[0])
    return None


def _of_text(text: str, aspect: str | None) -> float | None:
    shown = visible(text).text.strip()
    if aspect is None:
        return float(shown) if re.fullmatch(_NUMBER, shown) else None
    found = {float(value) for name, value in _ASPECT.findall(shown) if name.strip() == aspect}
    return found.pop() if len(found) == 1 else None


def _single_number(value: object) -> float | None:
    """The number in lists of one; of a list by tokens (vLLM's step rewards) none is taken."""
    while isinstance(value, list):
        if len(value) != 1:
            return None
        value = value[0]
    return _number(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _pair(messages: list[Message]) -> dict[str, str]:
    texts = [f"{message['content']}" for message in messages]
    return {"text_1": "\n\n".join(texts[:-1]), "text_2": texts[-1]}


def _prompt_messages(problem: Problem) -> list[Message]:
    if problem.messages:
        return list(problem.messages)
    system = [{"role": "system", "content": problem.system}] if problem.system else []
    return [*system, {"role": "user", "content": problem.prompt}]
