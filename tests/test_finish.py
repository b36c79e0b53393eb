"""Every family of servers has its own words for why a generation stopped; we have one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.finish import FinishReason, canonical
from nemo_evaluator.types import Generation, Solution

WORDS = {
    FinishReason.STOP: "stop STOP end_turn eos eos_token COMPLETE eosFound FINISH_REASON_STOP",
    FinishReason.LENGTH: (
        "length LENGTH max_tokens MAX_TOKENS maxTokens Max-Tokens model_length ERROR_LIMIT"
        " max_output_tokens REASON_MAX_LEN contextLengthReached FinishReason.MAX_TOKENS"
    ),
    FinishReason.TOOL_CALLS: "tool_calls tool_use function_call",
    FinishReason.CONTENT_FILTER: "content_filter SAFETY RECITATION sensitive refusal ERROR_TOXIC",
    FinishReason.FAILED: (
        "error network_error NETWORK_ERROR insufficient_system_resource abort cancelled Failed"
        " ERROR timeout"
    ),
    FinishReason.UNKNOWN: "whatever 停止",
}


@pytest.mark.parametrize(
    ("word", "reason"),
    [(word, reason) for reason, words in WORDS.items() for word in words.split()],
)
def test_servers_words_for_the_end_have_one_meaning(word: str, reason: FinishReason) -> None:
    assert FinishReason.of(word) is reason
    assert reason.truncated is (reason is FinishReason.LENGTH)
    assert canonical(word) == (word if reason is FinishReason.UNKNOWN else reason.value)


def test_no_word_is_no_reason() -> None:
    assert FinishReason.of(None) is FinishReason.of("") is FinishReason.UNKNOWN
    assert canonical(None) is None
    assert canonical("") is None


@given(st.text())
def test_any_text_can_be_read_and_reading_twice_changes_nothing(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once
    assert FinishReason.of(once) is FinishReason.of(text)


@pytest.mark.parametrize("word", ["length", "MAX_TOKENS", "model_length", "max_tokens"])
def test_what_was_cut_off_says_so(word: str) -> None:
    assert Generation(text="", finish_reason=word).truncated
    assert Solution(response="", finish_reason=word).truncated
    assert not Solution(response="", finish_reason="stop").truncated
    assert not Solution(response="").truncated
