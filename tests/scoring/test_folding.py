"""Folding makes alike what looks alike, keeps what differs, and maps back."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nemo_evaluator.scoring.folding import folded, readable

FOLDED = [
    ("Answer\u200b:\u200b B", "Answer: B"),
    ("Ａｎｓｗｅｒ：Ｂ", "Answer:B"),
    ("𝐁 𝟒𝟐 Ⓑ", "B 42 B"),
    ("–5 −5 ‐5 —5", "-5 -5 -5 -5"),
    ("3–5", "3-5"),
    ("a – b", "a – b"),
    ("1½ ¾ 3⁄4 ³⁄₄", "1 1/2 3/4 3/4 3/4"),
    ("10²", "10²"),
    ("H₂O", "H₂O"),
    ("5\ufe0f\u20e3", "5"),
    ("👍🏽", "👍🏽"),
    ("👨\u200d👩", "👨\u200d👩"),
    ("می\u200cخواهم", "می\u200cخواهم"),
    ("B\u200d.", "B."),
    ("cafe\u0301", "café"),
    ("B\u00a0: x", "B : x"),
    ("1\u202f234", "1\u202f234"),
    ("\u202bParis\u202c", "Paris"),
    ("が", "が"),
    ("४२", "४२"),
]


@pytest.mark.parametrize(("raw", "plain"), FOLDED)
def test_what_is_folded(raw: str, plain: str) -> None:
    assert folded(raw) == plain


@given(st.text(max_size=40))
def test_folding_ends_and_ascii_stays(text: str) -> None:
    once = folded(text)
    assert folded(folded(once)) == folded(once)
    if text.isascii():
        assert once == text


_PIECES = ["x", "½", "1", "\u200b", "Ｂ", "e\u0301", "−", "<think>a</think>", " ", "が", "\u00a0"]


@given(st.lists(st.sampled_from(_PIECES), max_size=12))
@example(["x", "x", "<think>a</think>", "\u200b"])
def test_letters_map_back_to_where_they_stood(pieces: list[str]) -> None:
    response = "".join(pieces)
    seen = readable(response)
    for at, char in enumerate(seen.text):
        start, stop = seen.raw_span((at, at + 1))
        assert 0 <= start < stop <= len(response)
        if char in "xBが":
            assert unicodedata.normalize("NFKC", response[start:stop]) == char
