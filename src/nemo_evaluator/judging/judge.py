"""One judge: a model of a configured service, asked until its verdict can be read.

Invariant: ``ask`` returns a verdict that was read strictly, or raises InfraError. A refusal, an
empty or garbled reply, a timeout and a failing endpoint are all the same: no verdict.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from ..errors import InfraError, ModelError
from ..scoring.judged import Form, Ruling
from ..traffic.client import ModelClient
from ..traffic.types import CallContext
from ..types import Failure, Generation, Json, Message, Phase
from .ruling import instruction, read, repair, schema
from .verification import Verification

SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Manner:
    """How a judge is asked."""

    timeout: float = 120.0
    """Seconds for one reply, from when its request leaves."""
    max_retries: int = 2
    """How often the judge is asked to repeat a verdict that could not be read."""
    params: Mapping[str, Json] | None = None
    """Generation parameters that win over the service's."""
    system: str | None = None
    per_repeat: bool = False
    """Ask again for each repeat, even if the prompt is the same: the judge samples (temperature
    above 0), or the spread of its verdicts is measured."""


class Judge:
    """Asks one service. Shared by all verifications of a benchmark."""

    def __init__(self, client: ModelClient, manner: Manner, *, identity: str = "") -> None:
        self.client, self.manner = client, manner
        self._identity = identity
        self._structured = client.protocol in ("chat_completions", "responses")

    async def ask(
        self, verification: Verification, prompt: str, form: Form, *, system: str | None = None
    ) -> Ruling:
        """The verdict on the text in the prompt. Raises InfraError if the judge gives none."""
        system = system or self.manner.system
        messages: list[Message] = [{"role": "user", "content": f"{prompt}\n\n{instruction(form)}"}]
        text = ""
        for attempt in range(self.manner.max_retries + 1):
            key = self._key(messages, system, verification.repeat)
            if attempt == 0 and (kept := verification.find(key)) is not None:
                ruling = _ruling(kept, form)
                if ruling is not None:
                    verification.used(self.client, kept)
                    return ruling
            reply = await self._reply(verification, messages, form, system)
            ruling, text = _ruling(reply, form), reply.text
            # A verdict that was read after a reminder answers the first question too.
            first = key if attempt == 0 else self._key(messages[:1], system, verification.repeat)
            readable = ruling is not None
            verification.note(first if readable else key, self.client, reply, readable=readable)
            if ruling is not None:
                return ruling
            previous = [{"role": "assistant", "content": text}] if text.strip() else []
            # A number not used before: a cache would return the reply that could not be read.
            number = max(1, verification.unreadable(key))
            messages = [*messages, *previous, {"role": "user", "content": repair(form, number)}]
        shown = " ".join(text.split())[-SHOWN_CHARS:]
        raise self._failed(
            f"gave no readable verdict in {self.manner.max_retries + 1} replies; the last: "
            f"{shown!r}",
            Failure.VERIFIER,
        )

    async def _reply(
        self,
        verification: Verification,
        messages: Sequence[Message],
        form: Form,
        system: str | None,
    ) -> Generation:
        """One reply; in the form of a schema where the endpoint takes one."""
        context = verification.context(self.client)
        params = dict(self.manner.params or {})
        if self._structured:
            try:
                return await self._generate(
                    messages, system, {**params, **self._format(form)}, context
                )
            except ModelError as error:
                if error.info.kind is not Failure.BAD_REQUEST:
                    raise self._refused(error) from error
        try:
            reply = await self._generate(messages, system, params, context)
        except ModelError as error:
            raise self._refused(error) from error
        self._structured = False  # only now is it known that the schema was in the way
        return reply

    async def _generate(
        self,
        messages: Sequence[Message],
        system: str | None,
        params: Mapping[str, Json],
        context: CallContext,
    ) -> Generation:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as clock:

                def on_wait(peer: str | None) -> None:
                    if peer is not None and clock.when() is None:
                        clock.reschedule(loop.time() + self.manner.timeout)

                prompt = "" if self.client.protocol != "completions" else _as_text(messages)
                return await self.client.generate(
                    prompt=prompt,
                    messages=() if prompt else messages,
                    system=system,
                    params=params,
                    context=msgspec.structs.replace(context, on_wait=on_wait),
                )
        except TimeoutError:
            raise self._failed(
                f"did not reply within {self.manner.timeout:g} s", Failure.TIMEOUT
            ) from None
        except InfraError as error:
            error.info = msgspec.structs.replace(
                error.info, phase=Phase.VERIFY, message=f"judge {self._name}: {error}"
            )
            raise

    @property
    def _name(self) -> str:
        return self.client.service_name

    def _format(self, form: Form) -> dict[str, Json]:
        if self.client.protocol == "responses":
            verdict: dict[str, Json] = {"type": "json_schema", "name": "verdict", "strict": True}
            return {"text": {"format": {**verdict, "schema": schema(form)}}}
        verdict = {"name": "verdict", "strict": True, "schema": schema(form)}
        return {"response_format": {"type": "json_schema", "json_schema": verdict}}

    def _key(self, messages: Sequence[Message], system: str | None, repeat: int) -> str:
        params = dict(self.manner.params or {})
        own = repeat if self.manner.per_repeat else 0
        asked = (self._name, self.client.name, self._identity, system, messages, params, own)
        return hashlib.sha256(msgspec.json.encode(asked, enc_hook=str)).hexdigest()[:32]

    def _refused(self, error: ModelError) -> InfraError:
        return self._failed(f"refused: {error}", Failure.VERIFIER, status=error.info.status)

    def _failed(self, what: str, kind: Failure, *, status: int | None = None) -> InfraError:
        return InfraError(
            f"judge {self._name} {what}",
            kind=kind,
            phase=Phase.VERIFY,
            peer=self.client.endpoint.peer,
            status=status,
        )


def _ruling(reply: Generation, form: Form) -> Ruling | None:
    """Some servers put a finished verdict of a reasoning model into its reasoning: that is not
    read, since reasoning may weigh several verdicts."""
    return read(reply.text, form, truncated=reply.truncated)


def _as_text(messages: Sequence[Message]) -> str:
    """A conversation for an endpoint that only completes texts."""
    parts = [f"{message['content']}" for message in messages]
    return "\n\n".join(parts) + "\n\n"
