"""`-O key.path[0]=value`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.overrides import apply_overrides, parse_key, parse_override, parse_value
from nemo_evaluator.config.tree import from_plain, plain
from nemo_evaluator.errors import ConfigError

from .conftest import Fails, Load, document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("Null", None),
        ("NULL", None),
        ("~", None),
        ("none", "none"),
        ("", ""),
        ("true", True),
        ("False", False),
        ("3", 3),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("nan", "nan"),
        ("'x'", "x"),
        ('"3"', "3"),
        ("[a, 2]", ["a", 2]),
        ("{a: 1, b: [x]}", {"a": 1, "b": ["x"]}),
        ("Answer: yes # really", "Answer: yes # really"),
        ("http://h/v1", "http://h/v1"),
        ("12:00:00", "12:00:00"),
        ("- x", "- x"),
        ("*x", "*x"),
    ],
)
def test_override_values_are_yaml(text: str, value: Any) -> None:
    assert parse_value(text) == value


texts = st.text(alphabet="ab\n:#'\"{}[],é😀", max_size=5)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=6,
    ).filter(lambda value: isinstance(value, list | dict))
)
def test_json_is_read_as_it_is(value: Any) -> None:
    assert parse_value(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a", ("a",)),
        ("a.b.c", ("a", "b", "c")),
        ("a[0].b", ("a", 0, "b")),
        ("a.0.b", ("a", "0", "b")),
        ("a[0][1]", ("a", 0, 1)),
        ('services["gpt-4.1"].url', ("services", "gpt-4.1", "url")),
        ("services['gpt-4.1'].url", ("services", "gpt-4.1", "url")),
    ],
)
def test_override_keys_are_paths(key: str, path: tuple[str | int, ...]) -> None:
    assert parse_key(key) == path


names = st.text(alphabet="abcxyz_-9", min_size=1, max_size=4)


@given(st.lists(names | st.integers(0, 9), min_size=1, max_size=4))
def test_a_formatted_path_is_read_back(parts: list[str | int]) -> None:
    from nemo_evaluator.config.mistakes import format_path

    path = ("root", *parts)
    assert parse_key(format_path(path)) == path


def applied(data: Any, *overrides: str) -> Any:
    return plain(apply_overrides(from_plain(data), overrides))


def test_overrides_set_add_and_remove_fields() -> None:
    data = {"a": {"b": 1}, "l": [{"x": 1}, 2]}
    assert applied(data, "a.b=2", "a.c.d=x", "l[0].x=3", "l.1=[4]", "n=null") == {
        "a": {"b": 2, "c": {"d": "x"}},
        "l": [{"x": 3}, [4]],
        "n": None,
    }
    assert data == {"a": {"b": 1}, "l": [{"x": 1}, 2]}
    assert applied({"a": None}, "a.b=1") == {"a": {"b": 1}}
    assert applied({}, "a=1", "a=2") == {"a": 2}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("services", "-O: Invalid override format 'services' — write key.path[0]=value"),
        ("=3", "-O: Invalid override format '' — write key.path[0]=value"),
        (".a=3", "-O: Invalid override key '.a' — write key.path[0]=value"),
        ("a[x]=3", "-O: Invalid override key 'a[x]' — write key.path[0]=value"),
        ("l[5]=3", "-O l[5]: Cannot index list with '5': it has 1 entries"),
        ("l.name=3", "-O l.name: Cannot index list with 'name'"),
        ("s.x=3", "-O s.x: 'x' cannot be set below a single value"),
        (
            "s=[a",
            "-O s: not valid YAML: did not find expected ',' or ']'"
            " — close the bracket or quote, or quote the whole value",
        ),
    ],
)
def test_what_cannot_be_set(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        applied({"l": [1], "s": "text"}, override)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["=", "<<", "12:30:00", "2025-01-01"])
def test_yaml_1_1_oddities_stay_text(text: str) -> None:
    assert parse_override(f"a={text}") == (("a",), text)
    assert parse_override(f"a=[{text}]") == (("a",), [text])


@given(st.text(alphabet="ab.[]='\"{}0 :", max_size=30))
def test_any_override_is_read_or_refused(text: str) -> None:
    try:
        path, _ = parse_override(text)
    except ConfigError:
        return
    assert path


def test_overrides_reach_the_configuration(loads: Load) -> None:
    config = loads(
        document(),
        "benchmarks[0].repeats=3",
        "services.m.generation.stop=['a', 'b']",
        "services.m.price={prompt: 1, completion: 2}",
        "benchmarks.0.label='7'",
        "benchmarks[0].shuffle_seed=null",
    ).config
    benchmark, service = config.benchmarks[0], config.services["m"]
    assert (benchmark.repeats, benchmark.label, benchmark.shuffle_seed) == (3, "7", None)
    assert service.generation.stop == ["a", "b"]
    assert service.price.completion == 2


def test_a_wrong_override_is_told_as_one(fails: Fails) -> None:
    assert (
        fails(document(), "services.m.acuracy=1")
        == "-O: services.m.acuracy: unknown field — did you mean 'accuracy'?"
    )
