"""Answers the requests of a problem, one model call each, in their order.

Requests of one rollout are asked one after the other: it is rollouts that run side by side, so
``max_concurrent`` still bounds what is in flight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from ..asked import Answer, Request, RequestKind, TokenLogprob
from ..errors import ConfigError
from ..traffic.likelihood import (
    ECHO,
    HINT,
    OF_THE_PROMPT,
    OPEN_ENDED,
    first_tokens,
    of_choices,
    of_end,
    of_last,
    tokens_of_prompt,
)
from ..traffic.types import CallContext
from ..types import Generation, Json, Message, Problem, Solution
from .together import together

if TYPE_CHECKING:
    from ..traffic.client import Model


class Asker:
    """Asks one model the requests of one problem."""

    def __init__(
        self,
        model: Model,
        context: CallContext,
        problem: Problem,
        *,
        system: str | None,
        params: Mapping[str, Json] | None,
    ) -> None:
        self._model, self._context, self._problem = model, context, problem
        self._system, self._params = system, dict(params or {})
        self._generations: list[Generation] = []
        self._finish: str | None = None
        """Why the last text ended; what is asked for probabilities is always cut off."""

    async def solution(self) -> Solution:
        """The answers, with what all calls used. Raises what a model raises."""
        requests = self._problem.requests
        answers = tuple([await self.answer(request) for request in requests])
        written = [answer.text for answer in answers if answer.text is not None]
        return Solution.of(
            self.used,
            response=written[-1] if written else _likeliest(requests, answers),
            finish_reason=self._finish,
            calls=self.calls,
            answers=answers,
        )

    @property
    def used(self) -> Generation:
        """All calls so far as one: the later text, with the sums of what they used."""
        return reduce(together, self._generations)

    @property
    def calls(self) -> int:
        """Model calls so far."""
        return len(self._generations)

    async def answer(self, request: Request) -> Answer:
        """The answer to one request. Raises what a model raises."""
        match request.kind:
            case RequestKind.GENERATE:
                return await self._generated(request)
            case RequestKind.LOGLIKELIHOOD:
                return await self._likelihood(request)
            case RequestKind.ROLLING:
                prompt = request.prompt or self._problem.prompt
                tokens = await self._of_prompt(prompt, request)
                return of_last(tokens, request.scored or len(tokens))
            case RequestKind.FIRST_TOKEN:
                return await self._first_token(request)

    async def _generated(self, request: Request) -> Answer:
        stop = {"stop": list(request.until)} if request.until else {}
        own_question = request.prompt or request.messages
        generation = await self._ask(
            request.prompt or self._problem.prompt,
            request.messages if own_question else self._problem.messages,
            {**stop, **request.params},
        )
        self._finish = generation.finish_reason
        return Answer(
            text=generation.text,
            tokens=generation.usage.completion_tokens,
            finish_reason=generation.finish_reason,
        )

    async def _first_token(self, request: Request) -> Answer:
        asked = first_tokens(self._model.protocol)
        generation = await self._ask(
            request.prompt, request.messages, {**asked, **request.params}, plain=True
        )
        return of_choices(generation, request.choices)

    async def _likelihood(self, request: Request) -> Answer:
        text = request.continuation or ""
        if request.tokens:
            return of_last(await self._of_prompt("", request), request.scored)
        own_question = request.prompt or request.messages
        messages = request.messages if own_question else self._problem.messages
        prompt = request.prompt or self._problem.prompt
        if self._model.protocol == "chat_completions":
            asked = messages or ({"role": "user", "content": prompt},)
            answer = of_end(tokens_of_prompt(await self._of_chat(asked, text, request)), text)
        elif messages:
            raise ConfigError(
                "the probability of an answer to messages cannot be asked over completions",
                hint="give the request a prompt, or use protocol chat_completions",
            )
        else:
            answer = await self._of_continuation(prompt, text, request)
        if answer is None:
            raise ConfigError(
                f"the endpoint's tokens do not spell the continuation {text!r:.60}",
                hint="a tokenizer that splits characters; use protocol completions with a prompt",
            )
        return answer

    async def _of_continuation(self, prompt: str, text: str, request: Request) -> Answer:
        """Spaces between belong to the continuation, as tokenizers take them."""
        context = prompt.rstrip()
        text = prompt[len(context) :] + text
        tokens = await self._of_prompt(context + text, request)
        if (answer := of_end(tokens, text)) is not None:
            return answer
        # Tokens that are no whole characters spell nothing: count those of the context instead.
        before = len(await self._of_prompt(context, request)) if context else 0
        if len(tokens) <= before:
            raise ConfigError(
                f"the endpoint told {len(tokens)} tokens of a prompt, {before} of its beginning",
                hint=HINT,
            )
        return of_last(tokens, len(tokens) - before)

    async def _of_prompt(self, prompt: str, request: Request) -> Sequence[TokenLogprob]:
        if self._model.protocol != "completions":
            raise ConfigError(f"cannot be asked over {self._model.protocol}", hint=HINT)
        ids = {"prompt": list(request.tokens)} if request.tokens else {}
        params = {**ECHO, **request.params, **ids}
        generation = await self._ask(prompt, (), params, plain=True)
        return tokens_of_prompt(generation, prompt, len(request.tokens))

    async def _of_chat(
        self, messages: tuple[Message, ...], text: str, request: Request
    ) -> Generation:
        reply = {"role": "assistant", "content": text}
        params = {**OF_THE_PROMPT, **OPEN_ENDED, **request.params}
        return await self._ask("", (*messages, reply), params)

    async def _ask(
        self,
        prompt: str,
        messages: tuple[Message, ...],
        params: Mapping[str, Json],
        *,
        plain: bool = False,
    ) -> Generation:
        """One call. ``plain``: the prompt is the whole text, without a system prompt."""
        generation = await self._model.generate(
            prompt=prompt,
            messages=messages,
            system=None if plain else self._system,
            params={**self._params, **params},
            context=self._context,
        )
        self._generations.append(generation)
        return generation


def _likeliest(requests: tuple[Request, ...], answers: tuple[Answer, ...]) -> str:
    """The most probable of the given texts: what the model would have chosen."""
    found = [
        (answer.logprob, request.continuation)
        for request, answer in zip(requests, answers, strict=True)
        if answer.logprob is not None and request.continuation is not None
    ]
    return max(found)[1] if found else ""
