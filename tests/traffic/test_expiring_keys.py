"""Keys that expire: read from a command or a function, renewed once when refused, never shown."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from loopback import Call, Loopback, Reply, answer, error

from nemo_evaluator.api import evaluate_async
from nemo_evaluator.config.keys import find, remember
from nemo_evaluator.config.scrubber import KNOWN
from nemo_evaluator.errors import ConfigError, InfraError, PermanentError
from nemo_evaluator.traffic import keys
from nemo_evaluator.traffic.client import ModelClient
from nemo_evaluator.traffic.keys import ExpiringKey, NoKey
from nemo_evaluator.traffic.types import CallContext

Open = Callable[..., ModelClient]
HERE = CallContext(session="b/0/0")


@pytest.fixture
def counting(tmp_path: Path) -> str:
    """A command that prints ``key-number-1``, then ``key-number-2``, ..."""
    script = tmp_path / "key.py"
    script.write_text(
        "import pathlib, sys\n"
        f"path = pathlib.Path({str(tmp_path / 'asked')!r})\n"
        "count = int(path.read_text()) + 1 if path.exists() else 1\n"
        "path.write_text(str(count))\n"
        "print(f'key-number-{count}')\n"
    )
    return shlex.join([sys.executable, "-I", str(script)])


def authorized(loopback: Loopback) -> list[str]:
    return [call.headers.get("authorization", "") for call in loopback.calls]


def only(key: str) -> Callable[[Call], Reply]:
    def script(call: Call) -> Reply:
        if call.headers.get("authorization") == f"Bearer {key}":
            return answer(call)
        return error(401, f"expired: {call.headers.get('authorization')}")(call)

    return script


async def ask(model: ModelClient) -> int:
    return (await model.generate(prompt="q", context=HERE)).tries


async def test_the_command_is_asked_once_while_its_key_is_young(
    loopback: Loopback, open_model: Open, counting: str
) -> None:
    model = open_model(loopback.url, api_key_command=counting)
    assert await model.check() is None
    assert set(await asyncio.gather(*(ask(model) for _ in range(20)))) == {1}
    assert set(authorized(loopback)) == {"Bearer key-number-1"}
    assert KNOWN("my key-number-1 is secret") == "my ********** is secret"


async def test_an_old_key_is_renewed(loopback: Loopback, open_model: Open, counting: str) -> None:
    model = open_model(loopback.url, api_key_command=shlex.split(counting), api_key_ttl=0.001)
    for _ in range(3):
        await ask(model)
        await asyncio.sleep(0.002)
    assert authorized(loopback) == [f"Bearer key-number-{number}" for number in (1, 2, 3)]


async def test_a_refused_key_is_renewed_once_for_all_who_were_refused(
    loopback: Loopback, open_model: Open, counting: str
) -> None:
    model = open_model(loopback.url, api_key_command=counting)
    await ask(model)
    loopback.script(only("key-number-2"))
    assert set(await asyncio.gather(*(ask(model) for _ in range(20)))) == {1}
    assert set(authorized(loopback)) == {"Bearer key-number-1", "Bearer key-number-2"}


async def test_a_key_that_is_refused_after_its_renewal_stops_the_run(
    loopback: Loopback, open_model: Open, counting: str
) -> None:
    loopback.script(only("another"))
    with pytest.raises(PermanentError) as caught:
        await ask(open_model(loopback.url, api_key_command=counting))
    assert len(loopback.calls) == 2
    assert "key-number" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("echo oh dear >&2; exit 3", "api_key_command failed: exit code 3: oh dear"),
        ("true", "api_key_command failed: the key is empty"),
        ("echo one two", "api_key_command failed: more than one word"),
        (["/no/such/program"], "api_key_command failed: FileNotFoundError"),
        ("sleep 9", "api_key_command failed: not done after 0.2 s"),
    ],
)
async def test_a_command_that_gives_no_key(
    loopback: Loopback,
    open_model: Open,
    monkeypatch: pytest.MonkeyPatch,
    command: str | list[str],
    text: str,
) -> None:
    monkeypatch.setattr(keys, "COMMAND_SECONDS", 0.2)
    model = open_model(loopback.url, api_key_command=command, proxy={"max_retries": 0})
    with pytest.raises(ConfigError) as refused:
        await model.check()
    with pytest.raises(InfraError) as caught:
        await ask(model)
    assert text in str(caught.value) and text in str(refused.value)
    assert not loopback.calls


async def test_an_old_key_serves_while_there_is_no_new_one() -> None:
    told = ["first-key", RuntimeError("down"), "second-key"]

    async def source() -> str:
        found = told.pop(0)
        if isinstance(found, Exception):
            raise found
        return str(found)

    key = ExpiringKey(source, 0.0)
    assert [await key.current() for _ in range(3)] == ["first-key"] * 3
    assert len(told) == 1
    assert await key.is_renewed("first-key")
    assert await key.current() == "second-key"


def give_key() -> str:
    return "key-of-a-function"


async def test_functions_give_keys_too(loopback: Loopback, open_model: Open) -> None:
    async def later() -> str:
        return "key-of-a-coroutine"

    for command in (f"python:{__name__}:give_key", remember(give_key), remember(later)):
        await ask(open_model(loopback.url, api_key_command=command))
    function = "Bearer key-of-a-function"
    assert authorized(loopback) == [function, function, "Bearer key-of-a-coroutine"]


async def test_a_run_with_a_function_and_headers(loopback: Loopback, tmp_path: Path) -> None:
    numbers = iter(range(1, 100))
    loopback.script(only("run-key-number-2"))
    result = await evaluate_async(
        bench="sample",
        model_url=loopback.url,
        model_id="m",
        max_problems=2,
        api_key=lambda: f"run-key-number-{next(numbers)}",
        headers={"X-Api-Key": "run-header-secret", "X-Team": "evaluation"},
        output_dir=tmp_path,
    )
    assert (result.exit_code, result.summary.n_rollouts) == (0, 2)
    assert {call.headers["x-api-key"] for call in loopback.calls} == {"run-header-secret"}
    assert {call.headers["x-team"] for call in loopback.calls} == {"evaluation"}
    for path in tmp_path.rglob("*.*"):
        text = path.read_bytes()
        assert b"run-header-secret" not in text and b"run-key-number" not in text
    assert "X-Team: evaluation" in (tmp_path / "config.yaml").read_text()


async def test_two_functions_of_one_name_are_two() -> None:
    one, two = (lambda key=key: key for key in ("one-of-two", "two-of-two"))
    assert remember(one) != remember(two)
    assert remember(one) == remember(one)
    assert [find(remember(each))() for each in (one, two)] == ["one-of-two", "two-of-two"]


async def test_a_function_that_gives_no_text() -> None:
    key = ExpiringKey.of(remember(lambda: 12), 1.0)  # type: ignore[arg-type, return-value]
    with pytest.raises(NoKey, match="the key is a int, not a text"):
        await key.current()


def test_a_function_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys_of_test.py"
    file.write_text("def give(): return 'key-of-the-file'\n")
    assert find(f"python:{file}:give")() == "key-of-the-file"
    file.write_text("import nothing_of_the_kind\n")
    with pytest.raises(ConfigError, match=r"keys_of_test\.py:1: cannot be loaded: ModuleNotF"):
        find(f"python:{file}:give")


@pytest.mark.parametrize("name", ["no_such_module:f", "os:no_such", "os", "os:sep", ""])
def test_functions_that_are_none(open_model: Open, name: str) -> None:
    with pytest.raises(ConfigError, match="api_key_command"):
        open_model("http://h/v1", api_key_command=f"python:{name}")
