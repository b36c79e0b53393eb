"""A run as a test report: what passed, what failed, what has no verdict."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from agent_run import agent_run
from commands import Nel
from published import write_results


def suites(folder: str) -> list[ElementTree.Element]:
    [path] = Path(folder).glob("*.junit.xml")
    return ElementTree.parse(path).getroot().findall("testsuite")


def test_a_case_per_rollout(nel: Nel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    agent_run(nel, tmp_path)
    assert nel("export", "run", "-d", "junit", "--output-dir", "out")[0] == 0
    [suite] = suites("out")
    assert [suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped")] == [
        *("words", "8", "2", "2", "0")
    ]
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert not list(cases["problem 0 repeat 1"])
    [failure] = cases["problem 1 repeat 0"]
    assert failure.tag == "failure" and "expected 2; got" in (failure.get("message") or "")
    [error] = cases["problem 2 repeat 0"]
    assert error.tag == "error" and error.get("message") == "the tool's server is gone"
    values = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert values["pass@1"] == "0.666667" and values["coverage"] == "0.75"


def test_grades_pass_from_a_reward_on_and_no_text_breaks_the_file(nel: Nel, tmp_path: Path) -> None:
    rows = {"extracted_answer": '\x00\x1b[31m <b>&" \ud800 \uffff', "scoring_details": {}}
    write_results(tmp_path / "x/b", {0: [0.4], 1: [0.7], 2: [1.0]}, rows=rows, name='<a & "b">')
    words = ("export", str(tmp_path / "x"), "-d", "junit", "--output-dir", str(tmp_path / "out"))
    assert nel(*words)[0] == 0
    [suite] = suites(str(tmp_path / "out"))
    assert suite.get("failures") == "2" and suite.get("name") == '<a & "b">'
    assert nel(*words, "-o", "least_reward=0.5")[0] == 0
    assert suites(str(tmp_path / "out"))[0].get("failures") == "1"
