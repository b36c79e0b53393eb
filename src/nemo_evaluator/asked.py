"""Questions that are not one chat: what a problem asks, and what came back.

A problem may have several questions, or one about the probability of a given text. Data only: the
solver asks, the environment reads the answers in the order of the questions.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from .records import Json, Record


class RequestKind(enum.StrEnum):
    """What a request asks for."""

    GENERATE = "generate"
    """A text."""
    LOGLIKELIHOOD = "loglikelihood"
    """How probable ``continuation`` is after ``prompt`` (or ``messages``)."""
    ROLLING = "loglikelihood_rolling"
    """How probable the whole ``prompt`` is, each token after those before it."""
    FIRST_TOKEN = "first_token"
    """How probable each of ``choices`` is as the first token of an answer."""


class Request(Record, frozen=True, kw_only=True):
    """One question of a problem."""

    kind: RequestKind = RequestKind.GENERATE
    prompt: str = ""
    """Empty: the problem's own prompt, or messages."""
    messages: tuple[dict[str, Any], ...] = ()
    """Chat messages; they win over ``prompt``."""
    continuation: str | None = None
    until: tuple[str, ...] = ()
    """Texts that end a generation."""
    params: Mapping[str, Json] = {}
    """Generation parameters of this question; they win over the solver's."""
    choices: tuple[str, ...] = ()
    """What the first token may be."""
    tokens: tuple[int, ...] = ()
    """The prompt and ``continuation`` as token ids, for completions; they win over the texts."""
    scored: int = 0
    """How many of the last ``tokens`` the probability is about."""
    sample: int = 0
    """Which of several samples of the same question: each is asked on its own."""


class Answer(Record, frozen=True, kw_only=True):
    """What came back for one question."""

    text: str | None = None
    """What was generated."""
    logprob: float | None = None
    """Natural logarithm of the probability, summed over tokens."""
    greedy: bool | None = None
    """Whether each of those tokens was the most probable one; None: the endpoint does not say."""
    tokens: int | None = None
    """Tokens that ``logprob`` is a sum over, or that were generated."""
    finish_reason: str | None = None
    """Why the text ended."""
    choices: tuple[float | None, ...] = ()
    """Of a first token: for each of the request's ``choices`` the natural logarithm of its
    probability; None where it is not among the candidates."""


class TokenLogprob(Record, frozen=True, kw_only=True):
    """One token and its probability."""

    token: str
    logprob: float | None = None
    """None for the first token of a prompt, which nothing precedes."""
    greedy: bool | None = None
    """Whether no other token was more probable; None: unknown."""
    candidates: Mapping[str, float] = {}
    """What else might have stood here, and how probable it was; empty: unknown."""
