"""Which answers are worth keeping: whole ones that say something."""

from __future__ import annotations

from typing import Any

from ...finish import FinishReason
from ..dialects import DIALECTS
from ..dialects.contract import as_dict, as_tokens, dicts
from ..interceptors.finish_reason import token_cap
from ..types import ModelRequest, ModelResponse


def worth_keeping(request: ModelRequest, response: ModelResponse, *, truncated: bool) -> bool:
    """Whether to answer the same request with it again. Failures, filtered and empty answers are
    not worth it, cut-off ones only if ``truncated``; of several choices every one must be."""
    body = response.body
    if not 200 <= response.status < 300 or not DIALECTS[request.protocol].has_answer(body):
        return False
    if request.protocol == "embeddings":
        return bool(body["data"])
    if not truncated and _reached_cap(request.body, body):
        return False
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) == 1:
        return _is_good(request.protocol, body, truncated)
    alone = ({**body, "choices": [choice]} for choice in choices)
    return all(
        DIALECTS[request.protocol].has_answer(one) and _is_good(request.protocol, one, truncated)
        for one in alone
    )


def _is_good(protocol: str, body: dict[str, Any], truncated: bool) -> bool:
    """Whether an answer is whole and says something; of several choices the first is looked at."""
    reply = DIALECTS[protocol].parse(body)
    reason = FinishReason.of(reply.finish_reason)
    if reason is FinishReason.CONTENT_FILTER or (reason.truncated and not truncated):
        return False
    if reply.text.strip() or reply.tool_calls:
        return True
    choice = next(dicts(body.get("choices")), {})
    message = as_dict(choice.get("message"))
    return bool(message.get("function_call") or message.get("audio"))


def _reached_cap(asked: dict[str, Any], body: dict[str, Any]) -> bool:
    """Whether the only choice used all tokens it might, whatever its finish reason says."""
    cap, choices = token_cap(asked), body.get("choices")
    if cap is None or not isinstance(choices, list) or len(choices) != 1:
        return False
    used = as_tokens(as_dict(body.get("usage")).get("completion_tokens"))
    return used is not None and used >= cap
