"""What may be shown of a URL, and what is taken out of one."""

from __future__ import annotations

from nemo_evaluator.http.urls import peer_name, split_credentials


def test_peer_shows_no_credentials_path_or_query() -> None:
    assert peer_name("https://user:pass@host:8443/v1?key=secret") == "https://host:8443"
    assert peer_name("http://[::1]:8000/v1") == "http://[::1]:8000"


def test_credentials_are_taken_out_of_a_url() -> None:
    clean, credentials = split_credentials("https://me:p%40ss@host:1/v1?q=1")
    assert (clean, credentials) == ("https://host:1/v1?q=1", ("me", "p@ss"))
    assert split_credentials("https://host/v1") == ("https://host/v1", None)
