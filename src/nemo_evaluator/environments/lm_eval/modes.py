"""How a multiple choice is asked where an endpoint does not tell the probability of a given text.

Either the letters of the options are compared as the first token of the answer, or the answer is
written and its letter is read. The task's own prompt is kept; options that are texts are listed
below it under letters. Invariant: what was not answered is never taken for a choice.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from ...asked import Answer, Request, RequestKind, TokenLogprob
from ...errors import ConfigError, InfraError, ModelError, NelError
from ...records import Json
from ...scoring.choices import choice
from ...traffic.likelihood import ECHO, HINT, first_tokens, letter_of, tokens_of_prompt
from ..harness import Meeting
from .options import Mode
from .replies import Doc, parameters

log = logging.getLogger(__name__)

WRITTEN = "Answer with the letter of the correct option."
CHOSEN, OTHERS = 0.0, -100.0
"""Stand for log-likelihoods where only the choice is known."""
CLOSE = 0.05
"""Most that two ways to learn one log-probability may differ."""
PROBE = "The capital of France is Paris. The capital of Germany is"
LETTERS = f"The capital of Germany is\nA. Paris\nB. Berlin\n{WRITTEN}\nAnswer:"
TOKEN_ID = "token_id:"
"""How vLLM writes tokens as numbers."""
_WRITTEN = re.compile(r"[^A-Za-z.]")
_LABEL = re.compile(r"(?:(?:option|choice|answer)\s*)?\(?([A-Z])[).:]+\s*", re.IGNORECASE)


async def mode_for(meeting: Meeting, wanted: Mode, where: str, *, greedy: bool = False) -> Mode:
    """The wanted mode, if the endpoint can do it; of ``auto`` the first that it can. ``greedy``: a
    task asks whether a text is the likeliest. Raises ConfigError, also where the endpoint fails:
    then nothing is known of what it can do."""
    try:
        return await _possible(meeting, wanted, where, greedy=greedy)
    except InfraError as error:
        raise ConfigError(
            f"the endpoint failed when it was asked how it answers: {error}",
            where=where,
            hint="try again when it answers, or name the mode: generate needs no probe",
        ) from None


async def _possible(meeting: Meeting, wanted: Mode, where: str, *, greedy: bool) -> Mode:
    if wanted in (Mode.LOGLIKELIHOOD, Mode.AUTO):
        wrong = await _why_no_probabilities(meeting, greedy=greedy)
        if wrong is None:
            return Mode.LOGLIKELIHOOD
        if wanted is Mode.LOGLIKELIHOOD:
            raise ConfigError(f"mode loglikelihood: {wrong}", where=where, hint=HINT)
    if wanted in (Mode.FIRST_TOKEN, Mode.AUTO):
        candidates = await _candidates(meeting)
        if isinstance(candidates, str):
            if wanted is Mode.FIRST_TOKEN:
                raise ConfigError(
                    f"mode first_token: {candidates}", where=where, hint="mode: generate"
                )
            return Mode.GENERATE
        likeliest = max(candidates, key=lambda token: candidates[token])
        if letter_of(likeliest) in tuple("ABCD"):
            return Mode.FIRST_TOKEN
        # Letters that might stand there instead say little (of a model that thinks first, say).
        if wanted is Mode.FIRST_TOKEN:
            log.warning(
                "%s: mode first_token, but an answer begins with %r and not with a letter; "
                "mode: generate reads written answers",
                where,
                likeliest,
            )
            return Mode.FIRST_TOKEN
    return Mode.GENERATE


async def _why_no_probabilities(meeting: Meeting, *, greedy: bool) -> str | None:
    """Why the probabilities of a prompt cannot be had, or not believed."""
    if meeting.protocol != "completions":
        return f"the protocol {meeting.protocol} gives no probabilities of a prompt's tokens"
    try:
        written = await meeting.generate(PROBE, {"max_tokens": 1, "temperature": 0, "logprobs": 1})
        first_token = written.logprobs[0] if written.logprobs else None
        whole = PROBE + written.text
        echoed = tokens_of_prompt(await meeting.generate(whole, ECHO), whole)
    except (ConfigError, ModelError) as error:
        return str(error)
    if not _spells(echoed, PROBE):
        return "the tokens that it returns with `echo` are not those of the prompt"
    if any(token.logprob is None for token in echoed[1:]):
        return "it returns no probability for some tokens of a prompt"
    if greedy and echoed[-1].greedy is None:
        return "it does not report whether a token is the likeliest (`top_logprobs` of the echo)"
    if first_token is None or first_token.logprob is None:
        return None if echoed else "it tells no probabilities"
    last = echoed[-1]
    if (
        last.logprob is not None
        and last.token == first_token.token
        and not math.isclose(last.logprob, first_token.logprob, abs_tol=CLOSE)
    ):
        return (
            f"its echo says {last.logprob:.3f} of the token {last.token!r} that it generates with "
            f"{first_token.logprob:.3f}: the probabilities of its prompts are not in their places"
        )
    return None


def _spells(tokens: Sequence[TokenLogprob], text: str) -> bool:
    """Whether a text is in them, however a vocabulary writes blanks. Tokens that are told as
    numbers spell nothing, and are believed."""
    told = "".join(token.token for token in tokens)
    return TOKEN_ID in told or _WRITTEN.sub("", text) in _WRITTEN.sub("", told)


async def _candidates(meeting: Meeting) -> Mapping[str, float] | str:
    """How probable tokens are as the first of an answer, or why that is not known."""
    try:
        generation = await meeting.generate(LETTERS, first_tokens(str(meeting.protocol)))
    except InfraError:
        raise
    except NelError as error:
        return str(error)
    if not generation.logprobs or len(generation.logprobs[0].candidates) < 2:
        return "the endpoint tells no candidates for the first token"
    return generation.logprobs[0].candidates


def letters_of(doc: Doc) -> str:
    """The letters of a document's options."""
    return ascii_uppercase[: len(doc.choices or ())]


def choice_request(
    doc: Doc, mode: Mode, *, messages: bool, seed: int, generation: Mapping[str, Json]
) -> Request:
    """The one question of a multiple choice; ``generation``: how an answer is written, by lm_eval's
    names. Raises ConfigError where it cannot be asked so."""
    contexts = {asked.args[0] for asked in doc.requests}
    if len(contexts) != 1 or not doc.choices or len(doc.choices) > len(ascii_uppercase):
        raise ConfigError(
            f"{doc.task} has no single question with options",
            where=f"mode {mode}",
            hint="mode: loglikelihood",
        )
    [context] = contexts
    below = _option_lines(doc.choices, mode)
    history = _with_text_below(json.loads(context)[0], below) if messages else ()
    prompt = "" if messages else context + below
    if mode is Mode.GENERATE:
        until, params = parameters(generation, messages=messages, seed=seed)
        return Request(prompt=prompt, messages=history, params=params, until=until)
    return Request(
        kind=RequestKind.FIRST_TOKEN,
        prompt=prompt,
        messages=history,
        params={"seed": seed},
        choices=tuple(letters_of(doc)),
    )


def chosen(doc: Doc, mode: Mode, answer: Answer) -> int | None:
    """The place of the option that was chosen; None where none was."""
    if mode is Mode.FIRST_TOKEN:
        known = [(value, -place) for place, value in enumerate(answer.choices) if value is not None]
        return -max(known)[1] if known else None
    found = choice(answer.text or "", letters_of(doc))
    if found is None:
        return _written_out(doc.choices or (), answer.text or "")
    return letters_of(doc).index(str(found.value))


def _written_out(options: Sequence[str], text: str) -> int | None:
    """The place of the option that a whole answer, or its last line, is."""
    for line in (text, (text.strip().splitlines() or [""])[-1]):
        label = _LABEL.match(line.strip())
        said = _plain(line.strip()[label.end() :] if label else line)
        places = [place for place, option in enumerate(options) if _plain(option) == said]
        if (
            said
            and len(places) == 1
            and (not label or label[1].upper() == ascii_uppercase[places[0]])
        ):
            return places[0]
    return None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .*\"'`")


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


def _with_text_below(history: Sequence[dict[str, Any]], below: str) -> tuple[dict[str, Any], ...]:
    """The chat with something below its last question."""
    *before, last = history
    if last.get("role") == "assistant":  # a beginning of the answer; the question is before it
        *before, question = before
        return (*before, {**question, "content": question["content"] + below})
    return (*before, {**last, "content": last["content"] + below})
