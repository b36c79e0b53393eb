"""What a task of lm_eval asks, as our requests; our answers, as lm_eval reads them.

Facts of lm_eval's own API models: temperature 0 and 256 tokens unless the task says otherwise, one
``seed`` for all requests, at most four stop texts over chat.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...asked import Answer, Request, RequestKind
from ...errors import ConfigError
from ...records import Json, Record

MAX_TOKENS = 256
CHAT_STOPS = 4
NO_TEXT = ""


class Asked(Record, frozen=True, kw_only=True):
    """One question of a document, as the worker tells it."""

    kind: str
    args: tuple[Any, ...]
    repeats: int = 1
    """Samples that are wanted."""
    windows: tuple[tuple[tuple[int, ...], int], ...] = ()
    """Token ids and how many of the last are scored, where the tokenizer is known."""

    @property
    def answers(self) -> int:
        """How many answers of ours make one sample."""
        return max(1, len(self.windows))


class Doc(Record, frozen=True, kw_only=True):
    """One document of a task, as the worker tells it."""

    task: str
    doc_id: int
    doc: Mapping[str, Json] = {}
    target: Json = None
    choices: tuple[str, ...] | None = None
    requests: tuple[Asked, ...] = ()


def requests_of(doc: Doc, *, messages: bool, seed: int) -> list[Request]:
    """The requests of a document, samples of one question after each other. ``messages``: asked
    over chat. Raises ConfigError."""
    return [
        msgspec.structs.replace(request, sample=sample)
        for asked in doc.requests
        for sample in range(asked.repeats)
        for request in _requests(asked, messages=messages, seed=seed)
    ]


def replies_of(doc: Doc, answers: Sequence[Answer]) -> list[list[Json]]:
    """For each of the document's questions its samples, as lm_eval has them."""
    left = iter(answers)
    return [
        [_reply(asked, [next(left) for _ in range(asked.answers)]) for _ in range(asked.repeats)]
        for asked in doc.requests
    ]


def _requests(asked: Asked, *, messages: bool, seed: int) -> Iterator[Request]:
    params: dict[str, Json] = {"seed": seed}
    if asked.kind == "generate_until":
        yield _generation(*asked.args[:2], messages=messages, seed=seed)
        return
    kind = RequestKind(asked.kind)
    for tokens, scored in asked.windows:
        yield Request(kind=kind, tokens=tokens, scored=scored, params=params)
    if asked.windows:
        return
    if kind is RequestKind.ROLLING or not asked.args[0]:
        raise ConfigError(
            f"{asked.kind} of a text with nothing before it needs a first token",
            hint="set `tokenizer` of the service (remote, a path or a hub id)",
        )
    yield Request(kind=kind, prompt=asked.args[0], continuation=asked.args[1], params=params)


def _generation(context: str, given: Mapping[str, Any], *, messages: bool, seed: int) -> Request:
    until, params = parameters(given, messages=messages, seed=seed)
    if not messages:
        return Request(prompt=context, until=until, params=params)
    history, _ = json.loads(context)
    return Request(messages=tuple(history), until=until, params=params)


def parameters(
    given: Mapping[str, Any], *, messages: bool, seed: int
) -> tuple[tuple[str, ...], dict[str, Json]]:
    """The stop texts and the parameters of a request, by lm_eval's names for them."""
    wanted = dict(given)
    wanted.pop("do_sample", None)
    until = wanted.pop("until", None) or []
    stops = [until] if isinstance(until, str) else list(until)
    most = wanted.pop("max_gen_toks", MAX_TOKENS)
    most = wanted.pop("max_tokens", most)
    params = {"max_tokens": most, "temperature": 0, "seed": seed, **wanted}
    return tuple(stops[:CHAT_STOPS] if messages else stops), params


def _reply(asked: Asked, answers: Sequence[Answer]) -> Json:
    if asked.kind == "generate_until":
        return answers[0].text or NO_TEXT
    logprob = sum(answer.logprob for answer in answers if answer.logprob is not None)
    if asked.kind == RequestKind.ROLLING:
        return logprob
    return [logprob, all(answer.greedy for answer in answers)]
