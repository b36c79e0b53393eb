"""Prompt templates fill in fields as format strings do, reach nothing else, and leave nothing."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.environments.templates import Style, compile_template, read_template
from nemo_evaluator.errors import ConfigError

names = st.from_regex(r"[A-Za-z_]\w{0,8}", fullmatch=True)
plain = st.text(st.characters(exclude_characters="{}"), max_size=30)
ROW = {
    "question": "How much?",
    "choices": ["x", "y"],
    "more": {"a": {"b": ["deep"]}},
    "price": 2.5,
    "n": 7,
    "cat": "felix",
    "none": None,
    "nan": float("nan"),
    "answer": "SECRET",
    "Correct Answer": "yes",
    "yes": True,
}


def filled(template: str, **row: Any) -> str:
    return compile_template(template)({**ROW, **row}, "bench, row 7")


def jinja(template: str) -> Any:
    return compile_template(template, Style.JINJA)


@given(st.lists(st.tuples(plain, names, st.text(max_size=20)), max_size=5), plain)
def test_fields_are_replaced_by_their_values(parts: list[tuple[str, str, str]], last: str) -> None:
    row = {name: value for _, name, value in parts}
    template = "".join(f"{text}{{{name}}}" for text, name, _ in parts) + last
    expected = "".join(f"{text}{row[name]}" for text, name, _ in parts) + last
    assert compile_template(template)(row, "here") == expected


@given(st.text("{}ab", max_size=30))
def test_what_python_can_format_is_formatted_as_python_does(text: str) -> None:
    row = {"a": "A", "b": "B", "ab": "AB", "ba": "BA"}
    try:
        expected = text.format(**row)
    except (ValueError, IndexError, KeyError):
        return  # braces that are no template to Python: JSON and LaTeX, which stay
    if re.search(r"[{](\w+)[}]", text.replace("{{", "")):
        assert compile_template(text)(row, "here") == expected


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{choices[0]} {choices[-1]}", "x y"),
        ("{more[a][b][0]}", "deep"),
        ("{price:.2f}|{n:>4}|{n:03d}|{cat:*^7}", "2.50|   7|007|*felix*"),
        ("{cat!r} {choices!s} {none!s} {none!r}", "'felix' ['x', 'y'] None None"),
        ("{n:,}", "7"),
        ("{question} {yes}", "How much? True"),
        ("{Correct Answer}", "yes"),
        (r"{question} \boxed{{answer}}", r"How much? \boxed{answer}"),
        (r"{n} in {{{n}}} and {{}} and {{{{x}}}}", "7 in {7} and {} and {{x}}"),
        ('{n} as {{"answer": {{"v": 1}}}}', '7 as {"answer": {"v": 1}}'),
        ('{n} as {"a": {"b": 1}}', '7 as {"a": {"b": 1}}'),
        (r"\frac{1}{2} {n} {} f{-x}", r"\frac{1}{2} 7 {} f{-x}"),
    ],
)
def test_format_strings(template: str, text: str) -> None:
    assert filled(template) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{nosuch}", r"bench, row 7: .*'nosuch'.*fields of the row: question, choices"),
        ("{cost:.2f}", "'cost', which the row does not have"),
        ("{Correct Answr}", r"bench, row 7: .*not filled in — did you mean {Correct Answer}"),
        ("{ question }", "did you mean {question}"),
        ("{choices[5]}", r"row 7: .*no \[5\] in a list of 2"),
        ("{more[z]}", r"no \[z\] in an object with a"),
        ("{n[0]}", r"no \[0\] in a value of type int"),
        ("{none}", "row 7: .*the value is null — write {none!r}"),
        ("{nan}", "the value is NaN"),
        ("{choices}", r"the value is a list — write .*{choices\[0\]}"),
        ("{more}", "the value is an object"),
        ("{cat:.2f}", "row 7: .*text cannot be formatted: Unknown format code 'f'"),
        ("{choices:>9}", "a list cannot be formatted"),
        ("{cat.__class__}", "a field has no attributes"),
        ("{choices[0].upper}", "a field has no attributes"),
        ("{n:99999999999}", "is not a format of text or numbers"),
        ("{n:.99999999}", "is not a format of text or numbers"),
        ("{n:%Y}", "is not a format of text or numbers"),
        ("{n:{price}}", "a format cannot be a field itself"),
        ("{n!x}", "!x is not a conversion"),
        ("{{question}}", "puts in no field: {{question}} is literal text.*template=\"jinja\""),
        ("{{ question }}", "puts in no field"),
        ("{% if n %}a{% endif %}", "Jinja statement .*template=\"jinja\""),
    ],
)  # fmt: skip
def test_what_cannot_be_filled_in_is_an_error(template: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        filled(template)


def test_a_value_with_braces_is_not_filled_in_again() -> None:
    assert filled("{question}", question="{answer} {{answer}}") == "{answer} {{answer}}"


def test_a_constant_prompt_stays() -> None:
    assert filled("Say [x: 1, or]") == "Say [x: 1, or]"
    assert compile_template("Say {}")({}, "here") == "Say {}"


@given(st.text("{}[]!:.a0 %", max_size=60))
def test_any_text_is_a_prompt_or_an_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        compile_template(text)({"a": "A"}, "here")


def test_jinja_fills_loops_and_keeps_the_last_newline() -> None:
    render = jinja("{% for c in choices %}- {{ c }}\n{% endfor %}\n")
    assert render({"choices": ["x", "<y>"]}, "here") == "- x\n- <y>\n\n"


def test_jinja_takes_rows_with_any_column_names() -> None:
    assert jinja("{{ self_ }}")({"self_": 1, "self": 2, "High-level": 3}, "here") == "1"


def test_jinja_missing_field_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"row 3: .*'answer'.*question"):
        jinja("{{ answer }}")({"question": ""}, "row 3")


@pytest.mark.parametrize("text", ["{{ none }}", "{{ choices }}", "{{ more.a }}"])
def test_jinja_writes_no_null_and_no_list(text: str) -> None:
    with pytest.raises(ConfigError, match=r"row 3: .*use a filter"):
        jinja(text)(ROW, "row 3")
    assert jinja("{{ choices | join(', ') }} {{ none | tojson }}")(ROW, "row 3") == "x, y null"


@pytest.mark.parametrize(
    "text", ["{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}", "{{ [].append(1) }}"]
)
def test_jinja_is_sandboxed_and_its_errors_are_the_users(text: str) -> None:
    with pytest.raises(ConfigError, match="row 3"):
        jinja(text)({"question": ""}, "row 3")


def test_jinja_that_does_not_parse_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a valid template"):
        jinja("{% for %}")


def test_a_prompt_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "ask.txt").write_text("\ufeffQ: {question}\n", encoding="utf-8")
    (tmp_path / "ask.j2").write_text("Q: {{ question }}")
    for name in ("ask.txt", Path("ask.txt"), tmp_path / "ask.txt"):
        read = read_template(name, None, tmp_path, "bench")
        assert (read.text, read.style) == ("Q: {question}\n", Style.FORMAT)
    assert read_template("ask.j2", None, tmp_path, "bench").style is Style.JINJA
    assert read_template("ask.j2", Style.FORMAT, tmp_path, "bench").style is Style.FORMAT


def test_text_is_no_file(tmp_path: Path) -> None:
    for text in ("Read notes.txt", "What is {x}.txt", "a\nb.txt", "Why?", "{q}.md", ""):
        assert read_template(text, None, tmp_path, "bench").text == text
    assert read_template("Q", Style.JINJA, tmp_path, "bench").style is Style.JINJA


@pytest.mark.parametrize("given", ["ask.txt", "prompts/ask.j2", Path("ask")])
def test_a_prompt_file_that_is_missing_is_an_error(tmp_path: Path, given: Any) -> None:
    with pytest.raises(ConfigError, match=r"bench: the prompt file .* does not exist"):
        read_template(given, None, tmp_path, "bench")
