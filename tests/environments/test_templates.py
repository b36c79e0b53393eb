"""Prompt templates fill in fields, and touch nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.environments.templates import FIELD, compile_template
from nemo_evaluator.errors import ConfigError

names = st.from_regex(r"[A-Za-z_]\w{0,8}", fullmatch=True)
plain = st.text(st.characters(exclude_characters="{}"), max_size=30)


@given(st.lists(st.tuples(plain, names, st.text(max_size=20)), max_size=5), plain)
def test_fields_are_replaced_by_their_values(parts: list[tuple[str, str, str]], last: str) -> None:
    row = {name: value for _, name, value in parts}
    template = "".join(f"{text}{{{name}}}" for text, name, _ in parts) + last
    expected = "".join(f"{text}{row[name]}" for text, name, _ in parts) + last
    assert compile_template(template)(row, "here") == expected


@given(st.text("{}ab .:\"'\\$0!", max_size=40).filter(lambda t: "{{" not in t and "{%" not in t))
def test_braces_around_no_name_stay(text: str) -> None:
    row = dict.fromkeys(FIELD.findall(text), "V")
    filled = compile_template(text)(row, "here")
    assert filled == re.sub(r"\{[A-Za-z_]\w*\}", "V", text)


@pytest.mark.parametrize(
    "text", ['{"a": 1}', r"\frac{1}{2}", "{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{ a }", "f{-x}"]
)
def test_json_latex_and_expressions_stay(text: str) -> None:
    assert compile_template(text)({"a": "A", "x": "X"}, "here") == text


def test_a_value_with_braces_is_not_filled_in_again() -> None:
    assert compile_template("{a}")({"a": "{b}", "b": "no"}, "here") == "{b}"


def test_a_missing_field_names_row_field_and_fields() -> None:
    with pytest.raises(ConfigError, match=r"bench, row 7: .*'answer'.*question, idx"):
        compile_template("{answer}")({"question": "", "idx": 1}, "bench, row 7")


def test_jinja_fills_loops_and_keeps_the_last_newline() -> None:
    render = compile_template("{% for c in choices %}- {{ c }}\n{% endfor %}\n")
    assert render({"choices": ["x", "<y>"]}, "here") == "- x\n- <y>\n\n"


def test_jinja_takes_rows_with_any_column_names() -> None:
    assert compile_template("{{ self_ }}")({"self_": 1, "self": 2, "High-level": 3}, "here") == "1"


def test_jinja_missing_field_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"row 3: .*'answer'.*question"):
        compile_template("{{ answer }}")({"question": ""}, "row 3")


@pytest.mark.parametrize(
    "text", ["{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}", "{{ [].append(1) }}"]
)
def test_jinja_is_sandboxed_and_its_errors_are_the_users(text: str) -> None:
    with pytest.raises(ConfigError, match="row 3"):
        compile_template(text)({"question": ""}, "row 3")


def test_jinja_that_does_not_parse_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a valid template"):
        compile_template("{% for %}")
