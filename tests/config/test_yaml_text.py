from __future__ import annotations

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from nemo_evaluator.config.yaml_text import to_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)


@given(DATA)
@example({"a": ["\x85", "x\u2028y", " \u2029 "]})
def test_what_is_written_reads_back_as_the_same(data: object) -> None:
    assert yaml.safe_load(to_yaml({"data": data})) == {"data": data}
    assert list(yaml.safe_load_all(to_yaml(data, 1))) == [data, 1]


def test_letters_stay_readable() -> None:
    assert to_yaml({"text": "Grüße 你好"}) == "text: Grüße 你好\n"
