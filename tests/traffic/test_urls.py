"""Whatever way a user writes an address, requests go to one place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.traffic.urls import (
    PATHS,
    endpoint_url,
    models_url,
)

CHAT = "https://host/v1/chat/completions"


@pytest.mark.parametrize(
    ("written", "posted_to"),
    [
        ("https://host", CHAT),
        ("https://host/", CHAT),
        ("https://host/v1", CHAT),
        ("https://host/v1/", CHAT),
        (CHAT, CHAT),
        (CHAT + "/", CHAT),
        ("https://host/v1/completions", CHAT),
        ("https://host/v1/responses", CHAT),
        ("https://host:8443/api/v2", "https://host:8443/api/v2/chat/completions"),
        ("https://host/v1?api-version=1", CHAT + "?api-version=1"),
        (CHAT + "?api-version=1", CHAT + "?api-version=1"),
        ("https://host/v1#part", CHAT),
        ("http://[::1]:8000", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_chat_url(written: str, posted_to: str) -> None:
    assert endpoint_url(written, "chat_completions") == posted_to


def test_other_protocols() -> None:
    assert endpoint_url("http://h/v1", "completions") == "http://h/v1/completions"
    assert endpoint_url("http://h/v1", "responses") == "http://h/v1/responses"


def test_models_are_listed_beside_the_endpoint() -> None:
    assert models_url(CHAT + "?k=v") == "https://host/v1/models?k=v"
    assert models_url("http://h/v1/completions") == "http://h/v1/models"


@given(
    path=st.lists(
        st.sampled_from(["", "v1", "chat/completions", "completions", "responses", "a"]), max_size=5
    ),
    query=st.sampled_from(["", "?a=b"]),
    protocol=st.sampled_from(sorted(PATHS)),
)
def test_joining_is_idempotent_and_never_doubles(
    path: list[str], query: str, protocol: str
) -> None:
    once = endpoint_url("http://h/" + "/".join(path) + query, protocol)
    assert endpoint_url(once, protocol) == once
    assert once.endswith(PATHS[protocol] + query)
