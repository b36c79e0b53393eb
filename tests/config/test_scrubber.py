"""Secrets are found in every encoding and where they are cut; ordinary text stays as it is."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.scrubber import KNOWN, MASK, Scrubber, encoded
from nemo_evaluator.config.secrecy import (
    hidden_urls,
    masked,
    secret_field,
    secret_variable,
    secrets_in,
    variable_secrets,
)
from nemo_evaluator.traffic.scrub import StreamScrubber, without_secret_places

KEY = "sk-9f8e7d6c5b4a3928"
CHARACTERS = st.characters(min_codepoint=33, max_codepoint=0x2FF)
SECRETS = st.text(CHARACTERS, min_size=10, max_size=40).map(lambda text: f"9#aB{text}")


@pytest.mark.parametrize("around", ["{}", "key={}", "Bearer {}!", '"{}"', "x{}y", "({})"])
def test_a_secret_is_masked_wherever_it_stands(around: str) -> None:
    text = around.format(KEY)
    assert Scrubber([KEY])(text) == text.replace(KEY, MASK)


@given(SECRETS, st.text(max_size=5), st.text(max_size=5))
def test_every_encoding(secret: str, before: str, after: str) -> None:
    clean = Scrubber([secret])
    for text in (
        *(secret, quote(secret), quote(secret, safe=""), quote(secret, safe="~")),
        *(json.dumps(secret), json.dumps(json.dumps(secret)), json.dumps({"a": [secret]})),
    ):
        assert text.strip('"') not in clean(f"{before} {text} {after}")
    whole = (before + secret + after).encode()
    start = len(before.encode())
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(whole).decode()
        first, last = -(-start * 8 // 6), (start + len(secret.encode())) * 8 // 6
        assert text[first:last] not in clean(text)


@pytest.mark.parametrize("end", ["", "...", "…", "'", '"', " (gave up)", "****3928", "\n", "<"])
@pytest.mark.parametrize("length", [8, 9, 15, len(KEY) - 1])
def test_cut_keys(end: str, length: int) -> None:
    assert KEY[:8] not in Scrubber([KEY])(f"Incorrect API key provided: {KEY[:length]}{end}")


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("none", "none of them"),
        ("EMPTY", "EMPTY"),
        ("test", "a test"),
        ("simulated", "the model is simulated"),
        ("password", "the password"),
        ("sk-1234", "sk-1234"),
        ("required", "an answer is required"),
        ("xxxxxxxxxxxx", "xxxxxxxxxxxx"),
        ("deepseek-4f5a6b7c8d", "deepseek-r1 deepseek deepseek-"[:20]),
        ("password-4f5a6b7c8d", "a password and password-protected files"),
        ("eyJhbGciOiJIUzI1NiJ9.mine.x", "eyJhbGciOiJIUzI1NiJ9xyz"),
    ],
)
def test_ordinary_text_stays(secret: str, text: str) -> None:
    assert Scrubber([secret])(text) == text
    assert not Scrubber([secret]).touches(text.encode()) or secret not in text


def test_longer_secrets_win_and_later_ones_are_learned() -> None:
    clean = Scrubber(["abc-12345"])
    clean.learn("abc-12345-678901")
    assert clean("abc-12345-678901 abc-12345") == f"{MASK} {MASK}"
    assert not Scrubber() and Scrubber()("x") == "x"


def test_json_keeps_its_shape() -> None:
    clean = Scrubber([KEY, "7316482905"])
    row = {"n": 7316482905, "text": f"{KEY} 7316482905", "key_of": [{KEY: None}], "t": True}
    assert clean.json(row) == {
        "n": 7316482905,
        "text": f"{MASK} {MASK}",
        "key_of": [{MASK: None}],
        "t": True,
    }


def test_a_record_that_holds_a_secret_is_written_without_it_and_can_be_read() -> None:
    KNOWN.learn("problem_idx_", '"},{"a":"', KEY)
    row = {"problem_idx_": 1, "text": f'{KEY} "}},{{"a":" end'}
    data = encoded(row, msgspec.json.encode)
    assert msgspec.json.decode(data) == {"problem_idx_": 1, "text": f"{MASK} {MASK} end"}


def test_it_costs_little_where_nothing_is_found() -> None:
    KNOWN.learn(*(f"sk-{n}-9f8e7d6c5b4a3928-{n}" for n in range(5)))
    row = {"text": "The quick brown fox jumps over the lazy dog. " * 50}
    started = time.process_time()
    for _ in range(2000):
        encoded(row, msgspec.json.encode)
    assert (time.process_time() - started) / 2000 < 0.001  # about 10 us on an idle machine


@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.booleans())
def test_streams_cut_anywhere(sizes: list[int], long_tail: bool) -> None:
    KNOWN.learn(KEY)
    data = f"data: ü {KEY} and {KEY}{KEY[:5]}{'…' * long_tail}".encode()
    clean, out = StreamScrubber(), b""
    for size in sizes:
        out += clean.feed(data[:size])
        data = data[size:]
    out += clean.feed(data) + clean.close()
    assert out.decode() == f"data: ü {MASK} and {MASK}{KEY[:5]}{'…' * long_tail}"


def test_streams_of_bytes_that_are_no_text() -> None:
    KNOWN.learn(KEY)
    clean, data = StreamScrubber(), bytes(range(256)) * 3
    assert b"".join([clean.feed(data[:300]), clean.feed(data[300:]), clean.close()]) == data


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((n, True) for n in ("sig", "x-amz-signature", "apiKey", "clientSecret", "api_keys")),
        *((n, True) for n in ("X-Amz-Credential", "set-cookie", "passphrase", "sas", "pwd")),
        *((n, False) for n in ("end_reasoning_token", "stop_token", "eos_token", "signal")),
        *((n, False) for n in ("author", "tokens", "assignment", "designs")),
    ],
)
def test_fields_that_hold_secrets_are_known_by_name(name: str, secret: bool) -> None:
    assert secret_field(name) is secret


@pytest.mark.parametrize(("name", "secret"), [("SIG", True), ("AUTH", True), ("AUTHOR", False)])
def test_variables_that_hold_secrets_are_known_by_name(name: str, secret: bool) -> None:
    assert secret_variable(name) is secret


def test_what_a_configuration_tells() -> None:
    found = set(
        secrets_in(
            {
                "url": "https://user:p%40ss@h/v1?sig=s-1&version=2024-01-01",
                "headers": {"Authorization": f"Basic {base64.b64encode(b'u:pw').decode()}"},
                "credentials": {"who": "w-1"},
                "answer_key": "final_answer",
                "my_key": "k-1",
            }
        )
    )
    assert {"p%40ss", "p@ss", "user:p@ss", "s-1", "pw", "u:pw", "w-1", "k-1"} <= found
    assert not found & {"2024-01-01", "final_answer"}
    assert "hidden-path" in set(variable_secrets("https://host/hidden-path/v1/completions"))
    assert not {"host", "completions"} & set(variable_secrets("https://host/x/completions"))


def test_secrets_in_urls_are_masked() -> None:
    url = "see https://u:pw@h/v1?a=1&api-key=x#f or http://tok@h"
    assert hidden_urls(url, "*") == "see https://u:*@h/v1?a=1&api-key=*#f or http://*@h"
    assert hidden_urls("harbor://suite@2.0: missing", "*") == "harbor://suite@2.0: missing"
    assert hidden_urls("http://${U}:${P}@h?sig=${S}", "*") == "http://${U}:${P}@h?sig=${S}"


def test_secret_places_of_bodies_and_documents() -> None:
    body = {"messages": [{"token": "x"}], "auth": {"a": ["b", 1, None]}, "n": [{"apiKey": "s"}]}
    assert without_secret_places(body) == {
        "messages": [{"token": "x"}],
        "auth": {"a": [MASK, MASK, None]},
        "n": [{"apiKey": MASK}],
    }
    assert masked({"credentials": {"user": "x"}, "answer_key": "a_b"}) == {
        "credentials": {"user": MASK},
        "answer_key": "a_b",
    }
