"""How a multiple choice is asked where an endpoint does not tell the probability of a given text.

Either the letters of the options are compared as the first token of the answer, or the answer is
written and its letter is read. The task's own prompt is kept; options that are texts are listed
below it under letters. Invariant: what was not answered is never taken for a choice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from ...asked import Answer, Request, RequestKind
from ...errors import ConfigError, InfraError, ModelError, NelError
from ...records import Json
from ...scoring.choices import choice
from ...traffic.likelihood import ECHO, HINT, first_tokens, tokens_of_prompt
from ..harness import Meeting
from .options import Mode
from .replies import Doc

WRITTEN = "Answer with the letter of the correct option."
CHOSEN, OTHERS = 0.0, -100.0
"""Stand for log-likelihoods where only the choice is known."""
CLOSE = 0.05
"""Most that two ways to learn one log-probability may differ."""
PROBE = "The capital of France is Paris. The capital of Germany is"
LETTERS = "A. Paris\nB. Berlin\nThe capital of Germany is option"
MAX_TOKENS = 256


async def mode_for(meeting: Meeting, wanted: Mode, where: str) -> Mode:
    """The wanted mode, if the endpoint can do it; of ``auto`` the first that it can. Raises
    ConfigError, also where the endpoint fails: then nothing is known of what it can do."""
    try:
        return await _possible(meeting, wanted, where)
    except InfraError as error:
        raise ConfigError(
            f"the endpoint failed when it was asked how it answers: {error}",
            where=where,
            hint="try again when it answers, or name the mode: generate needs no probe",
        ) from None


async def _possible(meeting: Meeting, wanted: Mode, where: str) -> Mode:
    if wanted in (Mode.LOGLIKELIHOOD, Mode.AUTO):
        wrong = await _unlike(meeting)
        if wrong is None:
            return Mode.LOGLIKELIHOOD
        if wanted is Mode.LOGLIKELIHOOD:
            raise ConfigError(f"mode loglikelihood: {wrong}", where=where, hint=HINT)
    if wanted in (Mode.FIRST_TOKEN, Mode.AUTO):
        wrong = await _no_candidates(meeting)
        if wrong is None:
            return Mode.FIRST_TOKEN
        if wanted is Mode.FIRST_TOKEN:
            raise ConfigError(f"mode first_token: {wrong}", where=where, hint="mode: generate")
    return Mode.GENERATE


async def _unlike(meeting: Meeting) -> str | None:
    """Why the probabilities of a prompt cannot be had, or not believed."""
    if meeting.protocol != "completions":
        return f"the protocol {meeting.protocol} gives no probabilities of a prompt's tokens"
    try:
        written = await meeting.generate(PROBE, {"max_tokens": 1, "temperature": 0, "logprobs": 1})
        said = written.logprobs[0] if written.logprobs else None
        whole = PROBE + written.text
        echoed = tokens_of_prompt(await meeting.generate(whole, ECHO), whole)
    except (ConfigError, ModelError) as error:
        return str(error)
    if said is None or said.logprob is None:
        return None if echoed else "it tells no probabilities"
    last = echoed[-1]
    if last.logprob is None:
        return "it tells no probability of a prompt's last token"
    if last.token == said.token and not math.isclose(last.logprob, said.logprob, abs_tol=CLOSE):
        return (
            f"its echo says {last.logprob:.3f} of the token {last.token!r} that it generates with "
            f"{said.logprob:.3f}: the probabilities of its prompts are not in their places"
        )
    return None


async def _no_candidates(meeting: Meeting) -> str | None:
    try:
        generation = await meeting.generate(LETTERS, first_tokens(str(meeting.protocol)))
    except InfraError:
        raise
    except NelError as error:
        return str(error)
    if not generation.logprobs or len(generation.logprobs[0].candidates) < 2:
        return "the endpoint tells no candidates for the first token"
    return None


def letters_of(doc: Doc) -> str:
    """The letters of a document's options."""
    return ascii_uppercase[: len(doc.choices or ())]


def choice_request(doc: Doc, mode: Mode, *, messages: bool, seed: int) -> Request:
    """The one question of a multiple choice. Raises ConfigError where it cannot be asked so."""
    contexts = {asked.args[0] for asked in doc.requests}
    if len(contexts) != 1 or not doc.choices or len(doc.choices) > len(ascii_uppercase):
        raise ConfigError(
            f"{doc.task} has no single question with options",
            where=f"mode {mode}",
            hint="mode: loglikelihood",
        )
    [context] = contexts
    below = _option_lines(doc.choices, mode)
    params: dict[str, Json] = {"seed": seed}
    if mode is Mode.GENERATE:
        params |= {"temperature": 0, "max_tokens": MAX_TOKENS}
    history = _with(json.loads(context)[0], below) if messages else ()
    prompt = "" if messages else context + below
    kind = RequestKind.FIRST_TOKEN if mode is Mode.FIRST_TOKEN else RequestKind.GENERATE
    letters = tuple(letters_of(doc)) if mode is Mode.FIRST_TOKEN else ()
    return Request(kind=kind, prompt=prompt, messages=history, params=params, choices=letters)


def chosen(doc: Doc, mode: Mode, answer: Answer) -> int | None:
    """The place of the option that was chosen; None where none was."""
    if mode is Mode.FIRST_TOKEN:
        known = [(value, -place) for place, value in enumerate(answer.choices) if value is not None]
        return -max(known)[1] if known else None
    found = choice(answer.text or "", letters_of(doc))
    return None if found is None else letters_of(doc).index(str(found.value))


def as_replies(doc: Doc, place: int | None) -> list[list[Json]]:
    """The choice as lm_eval reads it: that option is certain. ``None``: no option was chosen."""
    return [
        [None if place is None else [CHOSEN if place == number else OTHERS, place == number]]
        for number in range(len(doc.requests))
    ]


def _option_lines(choices: Sequence[str], mode: Mode) -> str:
    letters = ascii_uppercase[: len(choices)]
    asked = f"\n{WRITTEN}" if mode is Mode.GENERATE else ""
    if [option.strip() for option in choices] == list(letters):
        return asked  # the task's prompt lists them under these letters
    options = "".join(
        f"\n{letter}. {option.strip()}" for letter, option in zip(letters, choices, strict=True)
    )
    return f"\n{options.strip()}{asked or f'{chr(10)}{WRITTEN}'}\nAnswer:"


def _with(history: Sequence[dict[str, Any]], below: str) -> tuple[dict[str, Any], ...]:
    """The chat with something below its last question."""
    *before, last = history
    if last.get("role") == "assistant":  # a beginning of the answer; the question is before it
        *before, question = before
        return (*before, {**question, "content": question["content"] + below})
    return (*before, {**last, "content": last["content"] + below})
