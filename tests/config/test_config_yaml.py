"""Reading YAML: what is refused, what is read otherwise than YAML 1.1 would, and where it stood."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.tree import plain
from nemo_evaluator.config.yaml_file import parse_yaml, scalar
from nemo_evaluator.errors import ConfigError


def read(text: str) -> object:
    return plain(parse_yaml(text, "f"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3: the key 'a' appears twice — remove one"),
        ("a: {b: 1, b: 2}\n", "f:1: the key 'b' appears twice — remove one"),
        ("a:\n  1: x\n", 'f:2: keys must be text — quote it: "1"'),
        ("no: x\n", 'f:1: keys must be text — quote it: "no"'),
        (
            "a:\n\t- b\n",
            "f:2: not valid YAML: found character that cannot start any token"
            " — indent with spaces, not tabs",
        ),
        (
            "a: {b: ${X}}\n",
            "f:1: not valid YAML: did not find expected ',' or '}'"
            ' — quote references inside { } and [ ]: "${NAME}"',
        ),
        ("a: &a [*a]\n", "f:1: an anchor contains itself"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!set {x}", "f:1: the tag set is not supported — leave it out"),
        (
            "a: !python/object/apply:os.system ['true']",
            "f:1: the tag !python/object/apply:os.system is not supported — leave it out",
        ),
        (
            "a: !env NAME",
            "f:1: not valid YAML: could not determine a constructor for the tag '!env'"
            " — tags (!name) are not supported",
        ),
    ],
)
def test_tags_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value) == message


def test_a_character_yaml_forbids() -> None:
    with pytest.raises(ConfigError, match=r"^f: holds a character YAML forbids"):
        read("a: \x00\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:30:00", "12:30:00"),
        ("2025-01-02", "2025-01-02"),
        ("1e3", 1000.0),
        ("1e-3", 0.001),
        ("'1e3'", "1e3"),
        ("0.5", 0.5),
        ("17", 17),
        ("true", True),
        ("~", None),
        ("none", "none"),
        ("nan", "nan"),
        ("v1.10", "v1.10"),
    ],
)
def test_scalars_have_their_types(text: str, value: object) -> None:
    assert read(f"a: {text}\n") == {"a": value}


def test_merge_keys_and_anchors() -> None:
    text = "base: &b {x: 1, y: 2}\nown: {<<: *b, y: 3}\n"
    assert read(text) == {"base": {"x": 1, "y": 2}, "own": {"x": 1, "y": 3}}


def test_marks_are_the_lines_of_the_keys() -> None:
    root = parse_yaml("a:\n  b:\n    - c\n    - d: 1\n", "f")
    assert root.value["a"].mark == "f:1"
    assert root.value["a"].value["b"].mark == "f:2"
    assert root.value["a"].value["b"].value[1].value["d"].mark == "f:4"


@given(st.text(alphabet="abc :#-\n{}[]'\"&*!|>%@`$\t0", max_size=40))
def test_any_text_is_read_or_refused_with_a_message(text: str) -> None:
    try:
        plain(parse_yaml(text, "f"))
    except ConfigError as error:
        assert str(error).startswith("f")


@given(st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_number_is_read_back(value: float) -> None:
    assert scalar(str(value).lower()) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "x.yaml: there is no such file"),
        (b"\xff\xfe\xfa", "x.yaml: is not UTF-8 text: invalid start byte"),
        (b"", "x.yaml: is empty — it needs services and benchmarks"),
        (b"# nothing\n", "x.yaml: is empty — it needs services and benchmarks"),
        (b"- a\n", "x.yaml:1: must be a mapping, not a list"),
        (b"text\n", "x.yaml:1: must be a mapping, not a single value"),
    ],
)
def test_files_that_are_no_document(tmp_path: Path, content: bytes | None, message: str) -> None:
    from nemo_evaluator.config.load import load

    if content is not None:
        (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load("x.yaml")
    assert str(caught.value) == message
