"""Replies of judges: each is paid for once, and used as it was written or not at all."""

from __future__ import annotations

import resource
from pathlib import Path

import msgspec
import pytest

from nemo_evaluator.results.judgements import Judgement, JudgementFile, judge_totals
from nemo_evaluator.types import Generation, Usage


def judgement(number: int, *, readable: bool = True) -> Judgement:
    usage = Usage(prompt_tokens=10, completion_tokens=number)
    reply = Generation(text=f"reply {number} " + "x" * 300, usage=usage)
    return Judgement(
        key=f"key{number}", session="s", service="judge", readable=readable, reply=reply
    )


def test_what_was_written_is_found_by_this_file_and_the_next(tmp_path: Path) -> None:
    file = JudgementFile(tmp_path / "judgements.jsonl")
    file.append(judgement(1))
    file.append(judgement(2, readable=False))
    for found in (file, JudgementFile(tmp_path / "judgements.jsonl")):
        assert found.judgement("key1") == judgement(1)
        assert found.find("key2") is None and found.unreadable("key2") == 1
    file.close()
    assert judge_totals(tmp_path / "judgements.jsonl").completion_tokens == 3


def test_a_damaged_reply_is_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "judgements.jsonl"
    file = JudgementFile(path)
    file.append(judgement(1))
    file.append(judgement(2))
    file.close()
    path.write_bytes(path.read_bytes().replace(b"reply 1", b"reply 7") + b'{"key":"key3"')
    again = JudgementFile(path)
    assert again.find("key1") is None and again.find("key2") == judgement(2).reply
    again.append(judgement(4))
    again.close()
    assert JudgementFile(path).find("key4") == judgement(4).reply


def test_replies_without_checksums_are_read(tmp_path: Path) -> None:
    path = tmp_path / "judgements.jsonl"
    path.write_bytes(msgspec.json.encode(judgement(1)) + b"\n")
    assert JudgementFile(path).find("key1") == judgement(1).reply


def test_a_reply_that_the_disk_refuses_is_written_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "judgements.jsonl"
    file = JudgementFile(path)
    file.append(judgement(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            file.append(judgement(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.find("key2") == judgement(2).reply
    file.append(judgement(3))
    file.close()
    assert [JudgementFile(path).find(f"key{n}") for n in (1, 2, 3)] == [
        judgement(n).reply for n in (1, 2, 3)
    ]
