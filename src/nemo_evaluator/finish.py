"""Why a generation stopped: one vocabulary for what each family of servers writes.

``FinishReason.of`` reads any spelling, case and separator (``MAX_TOKENS``, ``maxTokens``); what no
table names is ``UNKNOWN`` and counts as a normal stop. Every reader of a finish reason, of a live
response or of an old file, asks this module: no other module compares the texts.
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SEPARATORS = re.compile(r"[^a-z]+")


class FinishReason(enum.StrEnum):
    """Why a generation stopped; the values are OpenAI's, where OpenAI has one."""

    STOP = "stop"
    LENGTH = "length"
    """Cut off by a limit of tokens."""
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    FAILED = "error"
    """The server failed or gave up while it generated: not an answer."""
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, text: str | None) -> FinishReason:
        """The reason a text names."""
        return _read(text) if text else cls.UNKNOWN

    @property
    def truncated(self) -> bool:
        """Whether the answer may lack its end."""
        return self is FinishReason.LENGTH


def canonical(text: str | None) -> str | None:
    """The text as it is recorded: a known reason by our name for it, any other as it came.

    ``MAX_TOKENS`` is ``length``; ``my_own_reason`` stays.
    """
    if not text:
        return None
    reason = _read(text)
    return text if reason is FinishReason.UNKNOWN else reason.value


# Each family's words, lower-case, words separated by one underscore.
_OPENAI = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length max_tokens max_output_tokens max_completion_tokens max_token",
    FinishReason.TOOL_CALLS: "tool_calls tool_call function_call",
    FinishReason.CONTENT_FILTER: "content_filter content_filtered",
    FinishReason.FAILED: "error failed failure cancelled canceled server_error internal_error",
}
_ANTHROPIC = {  # also Amazon Bedrock
    FinishReason.STOP: "end_turn stop_sequence",
    FinishReason.LENGTH: "model_context_window_exceeded",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal guardrail_intervened",
}
_GEMINI = {
    FinishReason.CONTENT_FILTER: "safety recitation blocklist prohibited_content spii image_safety",
}
_COHERE = {
    FinishReason.STOP: "complete",
    FinishReason.LENGTH: "error_limit",
    FinishReason.CONTENT_FILTER: "error_toxic",
    FinishReason.FAILED: "user_cancel timeout",
}
_MISTRAL = {FinishReason.LENGTH: "model_length"}
_DEEPSEEK = {FinishReason.FAILED: "insufficient_system_resource insufficient_system_resources"}
_ZHIPU = {
    FinishReason.CONTENT_FILTER: "sensitive",
    FinishReason.FAILED: "network_error",
    FinishReason.LENGTH: "model_context_window_exceed",
}
_XAI = {
    FinishReason.STOP: "reason_stop",
    FinishReason.LENGTH: "reason_max_len reason_max_context",
    FinishReason.TOOL_CALLS: "reason_tool_calls",
    FinishReason.FAILED: "reason_time_limit reason_invalid",
}
_SERVERS = {  # vLLM, SGLang, TGI, TensorRT-LLM, llama.cpp, Ollama, LM Studio, Together
    FinishReason.STOP: "eos eos_token eos_found stop_word stop_string_found normal",
    FinishReason.LENGTH: (
        "limit token_limit max_length max_new_tokens context_length context_length_reached"
        " context_length_exceeded max_predicted_tokens_reached max_output incomplete truncated"
    ),
    FinishReason.FAILED: (
        "abort aborted interrupted user_stopped model_unloaded load unload not_finished timed_out"
        " overloaded server_overloaded engine_error generation_error connection_error"
        " service_unavailable internal_server_error system_error"
    ),
}
_FAMILIES = (_OPENAI, _ANTHROPIC, _GEMINI, _COHERE, _MISTRAL, _DEEPSEEK, _ZHIPU, _XAI, _SERVERS)
_REASONS = {
    word: reason
    for family in _FAMILIES
    for reason, words in family.items()
    for word in words.split()
}


@lru_cache(maxsize=256)
def _read(text: str) -> FinishReason:
    words = _SEPARATORS.sub("_", _CAMEL.sub("_", text.strip()).lower()).strip("_")
    words = words.removeprefix("finish_reason_").removeprefix("finishreason_")
    return _REASONS.get(words, FinishReason.UNKNOWN)
