"""What a reward file says; and how tests that could not start are told from tests that failed."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.environments.harbor.rewards import of_json, of_text
from nemo_evaluator.environments.harbor.startup import Start, judged


@pytest.mark.parametrize(
    ("text", "reward"), [(b"1", 1), (b" 0.5\n", 0.5), (b"0", 0), (b"1e-3", 0.001)]
)
def test_one_number(text: bytes, reward: float) -> None:
    assert of_text(text).reward == reward


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "empty"),
        (b"nan", "finite"),
        (b"inf", "finite"),
        (b"2", "not from 0 to 1"),
        (b"-0.1", "not from 0 to 1"),
        (b"yes", "no number but 'yes'"),
        (b"\xff\x00", "no number"),
    ],
)
def test_what_is_no_reward(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        of_text(text)


def test_numbers_by_name() -> None:
    assert of_json(b'{"reward": 0.5, "speed": 12}').reward == 0.5
    assert of_json(b'{"reward": 0.5, "speed": 12}').metrics == {"reward": 0.5, "speed": 12.0}
    assert of_json(b'{"accuracy": 1}').reward == 1
    assert of_json(b'{"a": 1, "b": 0}').reward == 0.5
    assert of_json(b"true").reward == 1
    assert of_json(b"0.25").by_name == {"reward": 0.25}


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[1]", b'{"a": "1"}', b'{"a": null}', b"{", b'{"reward": 7}', b"[" * 5000]
)
def test_json_that_is_no_reward(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        of_json(text)


@given(st.binary(max_size=40))
def test_any_file_is_a_reward_or_a_reason(data: bytes) -> None:
    for read in (of_text, of_json):
        try:
            found = read(data)
        except ValueError as error:
            assert str(error)
        else:
            assert math.isfinite(found.reward)
            assert 0 <= found.reward <= 1


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.floats(0, 1), min_size=1, max_size=4))
def test_every_number_is_kept(numbers: dict[str, float]) -> None:
    found = of_json(json.dumps(numbers).encode())
    assert all(math.isclose(found.by_name.get(k, found.reward), v) for k, v in numbers.items())


PYTEST = "collected 2 items\n\ntest_x.py .F\n=========== 1 failed, 1 passed in 0.03s ===========\n"


@pytest.mark.parametrize(
    ("output", "code", "reward", "start"),
    [
        (PYTEST, 1, 0.0, Start.STARTED),
        ("", 0, 0.0, Start.STARTED),
        ("expected 42, got 41\n", 1, 0.0, Start.STARTED),
        ("/tests/test.sh: line 7: uvx: command not found\n", 0, 0.0, Start.ABSENT),
        ("/tests/test.sh: line 7: uvx: command not found\n", 0, 1.0, Start.STARTED),
        ("/usr/bin/python3: No module named pytest\n", 0, 0.0, Start.ABSENT),
        ("/tests/test.sh: 3: python: not found\n", 127, None, Start.ABSENT),
        ("bash: /tests/test.sh: /bin/zsh: bad interpreter: No such file or directory", 126, None,
         Start.ABSENT),
        ("", 127, None, Start.ABSENT),
        ("curl: (6) Could not resolve host: example.invalid\n", 0, 0.0, Start.FAILED),
        ("E: Failed to fetch http://x  Temporary failure resolving 'x'\n", 0, 0.0, Start.FAILED),
        ("ERROR: No matching distribution found for pytest\n", 0, 0.0, Start.FAILED),
        ("ERROR: No matching distribution found for numpy\n" + PYTEST, 0, 0.0, Start.STARTED),
        ("curl: (7) Failed to connect to localhost port 80: Connection refused", 1, 0.0,
         Start.STARTED),
        ("./agents-program: command not found\n", 127, 0.0, Start.STARTED),
        ('  File "/usr/lib/python3/dist-packages/_pytest/compat.py", line 20, in <module>\n'
         "    import py\nModuleNotFoundError: No module named 'py'\n", 0, 0.0, Start.ABSENT),
        ("ok 1 - it works\nnot ok 2 - it is fast\nuv: command not found\n", 1, 0.0, Start.STARTED),
    ],
)  # fmt: skip
def test_tests_that_could_not_start(
    output: str, code: int, reward: float | None, start: Start
) -> None:
    found, line = judged(output, code, reward)
    assert found is start
    assert bool(line) is (start is not Start.STARTED)
