"""`raise_client_errors`: a 4xx is an error of the rollout, not an answer of the model.

For runs in which a refused request means a wrong setup. 408 and 429 are excepted; 401, 403 and 404
are errors anyway. After one, the other calls of the session fail at once.
The status and the upstream's own words are kept, and no retry follows; several such errors in a row
stop the run, as wrong credentials do.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from ...config.base import ConfigRecord
from ...errors import ModelError, PermanentError
from ...types import ErrorInfo
from ..types import CallContext, Changes, Forward, Interceptor, ModelRequest, ModelResponse

MAX_SESSIONS = 100_000
"""Failed sessions that are kept; beyond that, the oldest are forgotten."""
PASSING = (408, 429)


@dataclass(frozen=True, slots=True)
class _Refusal:
    info: ErrorInfo
    upstream: object

    def error(self) -> PermanentError:
        info = self.info
        detail = info.message.removeprefix(f"HTTP {info.status}: ")
        return PermanentError(
            f"Upstream returned {info.status}: {detail}",
            kind=info.kind,
            phase=info.phase,
            peer=info.peer,
            status=info.status,
            upstream=self.upstream,
        )


class RaiseClientErrors(Interceptor):
    """Makes ModelErrors with a 4xx status PermanentErrors, and remembers them by session."""

    changes = Changes.ANSWERS

    class Options(ConfigRecord):
        """This interceptor has no options."""

    def __init__(self, options: Options) -> None:
        self._refused: OrderedDict[tuple[str, int], _Refusal] = OrderedDict()

    async def around(self, request: ModelRequest, forward: Forward) -> ModelResponse:
        """Raises PermanentError for a 4xx, now or earlier in the session."""
        context = request.context
        if refusal := self._refused.get(context.scope):
            raise refusal.error()
        try:
            return await forward(request)
        except ModelError as error:
            status = error.info.status
            if status is None or not 400 <= status < 500 or status in PASSING:
                raise
            refusal = _Refusal(error.info, error.upstream)
            if context.session:
                self._refused[context.scope] = refusal
                if len(self._refused) > MAX_SESSIONS:
                    self._refused.popitem(last=False)
            raise refusal.error() from error

    def end_session(self, context: CallContext) -> None:
        """Forget the session."""
        self._refused.pop(context.scope, None)
