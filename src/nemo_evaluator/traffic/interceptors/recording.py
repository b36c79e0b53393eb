"""`record` and `replay`: a run's traffic in a file, and a run without a network out of it.

A call is known by its request, its rollout and attempt, and by how many equal requests that attempt
made before. The service counts by its name and model, not by its address: a local server may get
another port tomorrow. List `record` first, and it notes what callers get: answers, from the cache
too, and failures.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any, Literal
from weakref import WeakSet

import msgspec
from pydantic import Field

from ...config.base import ConfigRecord
from ...errors import BudgetExceeded, ConfigError, InfraError, ModelError, PermanentError
from ...types import ErrorInfo, Failure
from ..errors import TransportError
from ..store.keys import Keys
from ..store.recording_file import Head, Occurrences, Recording, RecordingWriter, Scope
from ..types import (
    CallContext,
    Changes,
    Ended,
    Forward,
    Interceptor,
    ModelRequest,
    ModelResponse,
    Place,
    when_ended,
)
from ..wire import encode

ERRORS: dict[str, type[ModelError | InfraError | BudgetExceeded]] = {
    "ModelError": ModelError,
    "InfraError": InfraError,
    "PermanentError": PermanentError,
    "BudgetExceeded": BudgetExceeded,
}
_open: WeakSet[Record | Replay] = WeakSet()


class Record(Interceptor):
    """Writes how every call ended."""

    changes = Changes.NOTHING

    class Options(ConfigRecord):
        """Where to."""

        path: str = Field(min_length=1)
        """File of JSON lines; one that is there already is continued."""

    def __init__(self, options: Options) -> None:
        self.path = Path(options.path)
        self._seen = Occurrences()
        self._writer: RecordingWriter | None = None

    def open(self, place: Place) -> None:
        """Begin to write. Raises ConfigError for a path that cannot be, or is being replayed."""
        _refuse_both(self, Replay)
        self._place, self._keys = place, _keys(place)
        self._writer = RecordingWriter(self.path)
        _open.add(self)

    async def around(self, request: ModelRequest, forward: Forward) -> ModelResponse:
        """Note the answer or the error on its way out."""
        if self._writer is None:
            return await forward(request)
        head, started = self._head(request), time.perf_counter()
        ended = partial(self._ended, head, started)
        try:
            response = await forward(request)
        except BaseException as error:
            ended(error)
            raise
        when_ended(response, ended)
        return response

    def end_session(self, context: CallContext) -> None:
        """Forget the session's counts."""
        self._seen.forget(context)

    async def close(self) -> None:
        """Write what is left."""
        _open.discard(self)
        if self._writer is not None:
            self._writer.close()

    def _head(self, request: ModelRequest) -> dict[str, object]:
        form, scope = request.form(), Scope.of(request.context)
        key = self._keys(request.protocol, form)
        return {
            "key": key.hex(),
            "scope": scope,
            "n": self._seen.next(scope, key),
            "service": self._place.service,
            "protocol": request.protocol,
            "fields": form.digests(),
        }

    def _ended(self, head: dict[str, Any], started: float, ended: Ended) -> None:
        assert self._writer is not None
        if isinstance(ended, ModelResponse):
            outcome = {
                "status": ended.status,
                "latency_ms": ended.latency_ms,
                "ttft_ms": ended.ttft_ms,
                "tries": ended.tries,
            }
            body = self._place.scrub.encoded_body(ended.body)
            line = b'%b,"body":%b}' % (encode({**head, **outcome})[:-1], body)
        else:
            error = self._error(ended, time.perf_counter() - started)
            line = encode({**head, "error": error})
        self._writer.add(line)

    def _error(self, error: BaseException, seconds: float) -> dict[str, Any]:
        kinds = (kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ERRORS)
        info = getattr(error, "info", None)
        if not isinstance(info, ErrorInfo):
            info = _unattributed(error, seconds)
        row: dict[str, object] = {"class": next(kinds, "InfraError")}
        row["info"] = self._place.scrub.json(msgspec.to_builtins(info))
        upstream = getattr(error, "upstream", None)
        if isinstance(upstream, ModelResponse):
            row |= {"status": upstream.status, "body": self._place.scrub.body(upstream.body)}
        return row


class Replay(Interceptor):
    """Answers out of a recording."""

    changes = Changes.NOTHING

    class Options(ConfigRecord):
        """Where from."""

        path: str = Field(min_length=1)
        """A file that `record` wrote."""
        on_missing: Literal["error", "forward"] = "error"
        """A request that was not recorded stops the run, or is sent on to the endpoint."""

    def __init__(self, options: Options) -> None:
        self.path = Path(options.path)
        self._forward = options.on_missing == "forward"
        self.offline = not self._forward
        self._seen = Occurrences()
        self._recording: Recording | None = None

    def open(self, place: Place) -> None:
        """Read the index. Raises ConfigError if there is none, or if it is being written."""
        _refuse_both(self, Record)
        self._place, self._keys = place, _keys(place)
        self._recording = Recording(self.path)
        _open.add(self)

    async def around(self, request: ModelRequest, forward: Forward) -> ModelResponse:
        """The recorded answer, or the recorded error again."""
        if self._recording is None:
            return await forward(request)
        key, scope = self._keys(request.protocol, request.form()), Scope.of(request.context)
        n = self._seen.next(scope, key)
        line = self._recording.find(key.hex(), scope, n)
        if line is None:
            if self._forward:
                return await forward(request)
            text = f"not in the recording {self.path}: {self._difference(request, key.hex())}"
            raise PermanentError(text, kind=Failure.NOT_FOUND, peer=self._place.peer)
        if error := line.get("error"):
            raise _error_of(error)
        return ModelResponse(
            line["status"],
            line["body"],
            latency_ms=line["latency_ms"],
            ttft_ms=line["ttft_ms"],
            tries=line["tries"],
            source="replay",
        )

    def end_session(self, context: CallContext) -> None:
        """Forget the session's counts."""
        self._seen.forget(context)

    async def close(self) -> None:
        """Close the file."""
        _open.discard(self)
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()

    def _difference(self, request: ModelRequest, key: str) -> str:
        """What sets a request apart from the closest one of its rollout."""
        assert self._recording is not None
        scope = Scope.of(request.context)
        rollout = "/".join(map(str, scope[:3])) if scope.problem_idx >= 0 else "a session"
        heads = list(self._recording.heads(scope))
        if not heads:
            return f"it has no request of {rollout}"
        same = [head for head in heads if head.key == key]
        if times := sum(head.scope == scope for head in same):
            return f"{rollout} made this request only {times} times"
        if same:
            return f"{rollout} made this request only in attempt {same[-1].scope.attempt}"
        fields = request.form().digests()
        fields |= {"service": self._place.service, "protocol": request.protocol}
        different = min((_different(fields, head) for head in reversed(heads)), key=len)
        return f"the closest request of {rollout} differs in {', '.join(different)}"


def _different(fields: dict[str, str], head: Head) -> list[str]:
    recorded = {**head.fields, "service": head.service, "protocol": head.protocol}
    names = sorted({*fields, *recorded})
    return [name for name in names if fields.get(name) != recorded.get(name)]


def _error_of(error: dict[str, Any]) -> ModelError | InfraError | BudgetExceeded:
    info = msgspec.convert(error["info"], ErrorInfo)
    upstream = ModelResponse(error["status"], error["body"]) if "status" in error else None
    return ERRORS[error["class"]](
        info.message,
        kind=info.kind,
        phase=info.phase,
        peer=info.peer,
        status=info.status,
        upstream=upstream,
    )


def _unattributed(error: BaseException, seconds: float) -> ErrorInfo:
    """A broken stream, a bug, or a caller that went away: a replay must not wait for that."""
    if isinstance(error, TransportError):
        return ErrorInfo(kind=error.kind, message=str(error))
    if isinstance(error, Exception):
        return ErrorInfo(kind=Failure.BUG, message=f"{type(error).__name__}: {error}")
    message = f"the caller gave this call up after {seconds:.1f} s when it was recorded"
    return ErrorInfo(kind=Failure.TIMEOUT, message=message)


def _keys(place: Place) -> Keys:
    return Keys("recording", place.service, place.model)


def _refuse_both(step: Record | Replay, other: type[Record | Replay]) -> None:
    path = os.path.realpath(step.path)
    if any(isinstance(one, other) and os.path.realpath(one.path) == path for one in _open):
        hint = "give `record` a file of its own"
        raise ConfigError("is recorded and replayed at once", where=f"recording {path}", hint=hint)
