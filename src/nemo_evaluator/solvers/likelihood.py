"""How probable a given text is, read from what an endpoint tells of a prompt's tokens.

Invariant: the sum is over exactly the tokens that spell the text (a token that reaches into it from
before counts whole); where that cannot be made out there is an error and no number.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..asked import Answer, TokenLogprob
from ..errors import ConfigError
from ..types import Generation

ONE_TOKEN = 1
"""Servers want to generate something; it is left out of the sum."""
ECHO = {"echo": True, "logprobs": 1, "max_tokens": ONE_TOKEN, "temperature": 0}
"""Asks a text completion for the probabilities of its prompt."""
OF_THE_PROMPT = {"prompt_logprobs": 1, "max_tokens": ONE_TOKEN, "temperature": 0}
"""The same of vLLM, for chats too."""
OPEN_ENDED = {"add_generation_prompt": False, "continue_final_message": True}
"""The last message is the assistant's, and is not over (vLLM, SGLang)."""
HINT = (
    "loglikelihood needs an endpoint that gives probabilities of prompt tokens: protocol "
    "completions with `echo` and `logprobs` (vLLM, SGLang), or vLLM's `prompt_logprobs`"
)


def tokens_of_prompt(generation: Generation) -> Sequence[TokenLogprob]:
    """The tokens of what was asked. Raises ConfigError where the endpoint does not tell them."""
    if generation.prompt_logprobs:
        return generation.prompt_logprobs
    generated = generation.usage.completion_tokens
    end = len(generation.logprobs) - (ONE_TOKEN if generated is None else generated)
    if end < 1:
        raise ConfigError("the endpoint told no probabilities of the prompt", hint=HINT)
    return generation.logprobs[:end]


def of_end(tokens: Sequence[TokenLogprob], text: str) -> Answer | None:
    """The answer for the last ``text`` of a prompt; None where the tokens do not spell it."""
    start, spelled = len(tokens), ""
    while start and len(spelled) < len(text):
        start -= 1
        spelled = tokens[start].token + spelled
    return of_tokens(tokens[start:]) if spelled.endswith(text) else None


def of_last(tokens: Sequence[TokenLogprob], count: int) -> Answer:
    """The answer for the last ``count`` tokens of a prompt."""
    return of_tokens(tokens[len(tokens) - count :])


def of_tokens(tokens: Sequence[TokenLogprob]) -> Answer:
    """Summed up. A first token that nothing precedes has no probability and is left out."""
    known = [token for token in tokens if token.logprob is not None]
    greedy = [token.greedy for token in known]
    return Answer(
        logprob=sum(token.logprob for token in known if token.logprob is not None),
        greedy=None if None in greedy or not greedy else all(greedy),
        tokens=len(known),
    )
