"""Nothing in a text is markup, whatever format it stands in."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.reports.escape import (
    anchor,
    csv_text,
    latex,
    markdown,
    markdown_code,
    one_line,
    visible,
)
from nemo_evaluator.reports.tables import (
    csv_table,
    html_table,
    latex_table,
    markdown_table,
    number_columns,
    text_table,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def cells(line: str) -> list[str]:
    """As a reader of GitHub tables splits a row: at pipes that are not escaped."""
    return re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]


@given(TEXT, TEXT)
def test_a_markdown_row_has_its_cells(one: str, other: str) -> None:
    *_, row = markdown_table(("A", "B"), [(one, other)])
    assert len(cells(row)) == 2 and "\n" not in row
    *_, row = markdown_table(("A", "B"), [(one, other)], code=(0, 1))
    assert len(cells(row)) == 2 and "\n" not in row


@given(TEXT)
def test_markdown_without_its_escapes_is_the_text(text: str) -> None:
    shown = markdown(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*<>~$|]", shown)
    plain = re.sub(r"\\([\\`*_|<>~$&\[\]])", r"\1", shown)
    assert plain == one_line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pass_rate of a_b", "pass_rate of a_b"),
        ("__init__", r"\_\_init\_\_"),
        ("[0.59, 0.69]", "[0.59, 0.69]"),
        ("[click](http://x.example)", r"\[click\](http://x.example)"),
        ("a\nb | c", r"a b \| c"),
        ("&lt; R&D", r"\&lt; R&D"),
        ("2 * 3 * 4", r"2 \* 3 \* 4"),
    ],
)
def test_markdown_texts(text: str, shown: str) -> None:
    assert markdown(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@all `x`", "`` @all `x` ``"),
        ("a|b", r"`a\|b`"),
        ("<b>", "`<b>`"),
        ("", ""),
    ],
)
def test_words_of_a_model_are_code(text: str, shown: str) -> None:
    assert markdown_code(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"_ % & # $ { }", r"\_ \% \& \# \$ \{ \}"),
        ("~ ^ \\", r"\textasciitilde{} \textasciicircum{} \textbackslash{}"),
        ("pass^4", r"pass\textasciicircum{}4"),
        ("[0.1, 0.2]", "{}[0.1, 0.2]"),
        ("*", "{}*"),
    ],
)
def test_latex_texts(text: str, shown: str) -> None:
    assert latex(text) == shown


@given(TEXT)
def test_latex_has_no_bare_marks(text: str) -> None:
    rest = re.sub(r"\\text\w+\{\}|\\ldots\{\}|\$[-\\]\w*\$|\\[&%$#_{}]|^\{\}", "", latex(text))
    assert not re.search(r"[&%$#_{}~^\\]", rest)


def test_a_latex_table_has_a_column_for_each_cell() -> None:
    lines = list(latex_table(("A & B", "n"), [("x_y", "1"), ("[z]", "2")]))
    assert lines[0] == r"\begin{tabular}{lr}" and lines[-1] == r"\end{tabular}"
    assert lines[4] == r"x\_y & 1 \\" and lines[5] == r"{}[z] & 2 \\"


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
def test_csv_gives_back_what_went_in(rows: list[tuple[str, str]]) -> None:
    text = csv_table(("a", "b"), rows)
    got = list(csv.reader(io.StringIO(text, newline="")))
    assert [tuple(row) for row in got[1:]] == [(csv_text(a), csv_text(b)) for a, b in rows]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", '=HYPERLINK("http://x")'])
def test_no_spreadsheet_takes_a_text_for_a_formula(text: str) -> None:
    assert csv_text(text) == "'" + text
    assert csv_table(("a",), [(-0.5,), (None,), (True,)]).split() == [
        "a",
        "-0.500000",
        '""',
        "true",
    ]


@given(TEXT, TEXT)
def test_html_has_no_tags_of_the_text(one: str, other: str) -> None:
    shown = html_table(("<A>", "B"), [(one, other), (other, one)], code=(1,))
    tags = set(re.findall(r"</?([^\s>]*)", str(shown)))
    assert tags == {"div", "table", "thead", "tbody", "tr", "th", "td", "code"}


def test_columns_of_numbers_stand_to_the_right() -> None:
    rows = [("1", "0.5 %", "x", "12 ms"), ("2", "—", "1", "[0.1, 0.2]")]
    assert number_columns(rows) == [False, True, False, True]
    assert list(text_table(("a", "score"), [("x", "0.5"), ("yy", "10.25")])) == [
        "a   score",
        "x     0.5",
        "yy  10.25",
    ]


def test_anchors_are_lower_case_words() -> None:
    assert anchor("GSM8K: by level") == "gsm8k-by-level" and anchor("数学") == "part"


def test_words_of_a_model_stand_under_their_name_even_if_they_are_numbers() -> None:
    columns, rows = ("Problem", "Score", "Expected"), [("a", "0.5", "42"), ("b", "0.7", "7")]
    page = html_table(columns, rows, code=(2,))
    assert '<th scope="col" class="number">Score</th>' in page
    assert '<th scope="col">Expected</th>' in page
    assert list(markdown_table(columns, rows, code=(2,)))[1] == "| --- | ---: | --- |"


@pytest.mark.parametrize("obeyed", list("\0\x07\x0b\x1b\x7f\x85\x9b\u200e\u202e\u2066"))
def test_a_terminal_obeys_nothing_of_a_text(obeyed: str) -> None:
    assert visible(f"ü\t{obeyed}\n") == f"ü\t\\u{ord(obeyed):04x}\n"


def test_texts_without_orders_are_shown_as_they_are() -> None:
    assert visible("a → “数学”\tb\n\nc") == "a → “数学”\tb\n\nc"
    assert visible("a\r\nb") == "a\nb"
