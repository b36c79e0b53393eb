"""How probable a given text is, read from what an endpoint tells of a prompt's tokens.

Invariant: the sum is over exactly the tokens that spell the text (a token that reaches into it from
before counts whole); where that cannot be made out there is an error and no number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..asked import Answer, TokenLogprob
from ..errors import ConfigError
from ..types import Generation, Json

ONE_TOKEN = 1
"""Servers want to generate something; it is left out of the sum."""
ECHO = {"echo": True, "logprobs": 1, "max_tokens": ONE_TOKEN, "temperature": 0}
"""Asks a text completion for the probabilities of its prompt."""
OF_THE_PROMPT = {"prompt_logprobs": 1, "max_tokens": ONE_TOKEN, "temperature": 0}
"""The same of vLLM, for chats too."""
CANDIDATES = 20
"""Most candidates for a token that servers tell."""
AROUND = " \t\n\u0120\u010a\u2581()[].:*"
"""What stands around a letter in a token. The three signs by number are how vocabularies write a
blank, the end of a line, and a blank."""
OPEN_ENDED = {"add_generation_prompt": False, "continue_final_message": True}
"""The last message is the assistant's, and is not over (vLLM, SGLang)."""
FIRST_HINT = "an endpoint with `top_logprobs` (chat) or `logprobs` (completions), or mode: generate"
HINT = (
    "loglikelihood needs an endpoint that gives probabilities of prompt tokens: protocol "
    "completions with `echo` and `logprobs` (vLLM, SGLang), or vLLM's `prompt_logprobs`"
)


def tokens_of_prompt(
    generation: Generation, prompt: str = "", count: int = 0
) -> Sequence[TokenLogprob]:
    """The tokens of what was asked: a text, or ``count`` token ids. Some servers leave the token
    out that they generated. Raises ConfigError where the endpoint does not tell them."""
    if generation.prompt_logprobs:
        return generation.prompt_logprobs
    tokens = generation.logprobs
    generated = generation.usage.completion_tokens
    end = len(tokens) - (ONE_TOKEN if generated is None else generated)
    if count and len(tokens) >= count:
        end = count
    elif prompt and (spelled := _spelling(tokens, prompt)):
        end = spelled
    if end < 1 or end < count:
        raise ConfigError("the endpoint told no probabilities of the prompt", hint=HINT)
    return generation.logprobs[:end]


def _spelling(tokens: Sequence[TokenLogprob], prompt: str) -> int:
    """How many of the tokens spell a prompt, after what stands for its beginning; 0 where they do
    not. What a server generated is in none of them, whatever it says of its number."""
    text = "".join(token.token for token in tokens)
    found, end = 0, len(tokens)
    if prompt not in text:
        return 0
    while end and len(text) >= len(prompt):
        found = end if text.endswith(prompt) else found
        end -= 1
        text = text[: len(text) - len(tokens[end].token)]
    return found


def of_end(tokens: Sequence[TokenLogprob], text: str) -> Answer | None:
    """The answer for the last ``text`` of a prompt; None where the tokens do not spell it."""
    start, spelled = len(tokens), ""
    while start and len(spelled) < len(text):
        start -= 1
        spelled = tokens[start].token + spelled
    return _of_tokens(tokens, start) if spelled.endswith(text) else None


def of_last(tokens: Sequence[TokenLogprob], count: int) -> Answer:
    """The answer for the last ``count`` tokens of a prompt. Raises ConfigError."""
    return _of_tokens(tokens, len(tokens) - count)


def _of_tokens(tokens: Sequence[TokenLogprob], start: int) -> Answer:
    """Summed up from there on. The first token of a prompt, which nothing precedes, has no
    probability and is left out; one that lacks further on is no sum. Raises ConfigError."""
    missing = next((one for one in tokens[max(1, start) :] if one.logprob is None), None)
    if missing is not None:
        raise ConfigError(
            f"the endpoint returned no probability for the token {missing.token!r} of a prompt",
            hint=HINT,
        )
    known = [token for token in tokens[start:] if token.logprob is not None]
    greedy = [token.greedy for token in known]
    return Answer(
        logprob=sum(token.logprob for token in known if token.logprob is not None),
        greedy=None if None in greedy or not greedy else all(greedy),
        tokens=len(known),
    )


def first_tokens(protocol: str, candidates: int = CANDIDATES) -> dict[str, Json]:
    """Asks for the most probable first tokens of an answer. Raises ConfigError."""
    if protocol == "chat_completions":
        return {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": candidates}
    if protocol == "completions":
        return {"max_tokens": 1, "temperature": 0, "logprobs": candidates}
    raise ConfigError(f"first tokens are not told over {protocol}", hint=FIRST_HINT)


def of_choices(generation: Generation, choices: Sequence[str]) -> Answer:
    """How probable each choice is as the first token, however it is written (`letter_of`): all of
    its tokens together; None for those that are not among the candidates. Raises ConfigError where
    the endpoint told none."""
    if not generation.logprobs or not generation.logprobs[0].candidates:
        raise ConfigError("the endpoint told no candidates for the first token", hint=FIRST_HINT)
    first = generation.logprobs[0]
    found: dict[str, list[float]] = {}
    for token, logprob in first.candidates.items():
        blank = token.strip()
        found.setdefault(blank if blank in choices else letter_of(token), []).append(logprob)
    return Answer(
        text=first.token,
        choices=tuple(_together(found[one]) if one in found else None for one in choices),
    )


def _together(logprobs: Sequence[float]) -> float:
    """Of any of several tokens."""
    most = max(logprobs)
    return most + math.log(sum(math.exp(one - most) for one in logprobs))


def letter_of(token: str) -> str:
    """What a token names as a choice: blanks (also as vocabularies write them), brackets and the
    full stop after it aside.

    >>> [letter_of(token) for token in (" A", "\u0120A", "\u2581A", "(A", "A.", "**A")]
    ['A', 'A', 'A', 'A', 'A', 'A']
    """
    return token.strip(AROUND)
