"""Reading a judge: what is a verdict, and all that is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nemo_evaluator.judging.ruling import allowed, instruction, read, schema
from nemo_evaluator.scoring.judged import Form, Labels, Scale

FIVE = Scale(5)
ABC = Labels(("A", "B", "C"), {"correct": "A", "incorrect": "B", "not attempted": "C"})
YES = Labels(("yes", "no"), field="met")

READABLE: list[tuple[str, Form, float | str]] = [
    ('{"reasoning": "good", "score": 4}', FIVE, 4.0),
    ('{"score": 0}', FIVE, 0.0),
    ('{"score": 3.5, "extra": {"a": 1}}', FIVE, 3.5),
    ('{"score": "4"}', FIVE, 4.0),
    ('{"score": "4/5"}', FIVE, 4.0),
    ('```json\n{"score": 4}\n```', FIVE, 4.0),
    ('My verdict:\n{"reasoning": "a } b { c", "score": 2}\nThank you.', FIVE, 2.0),
    ('{"reasoning": "the \\"score\\" is 9", "score": 2}', FIVE, 2.0),
    ('{"score": 4} and again {"score": 4}', FIVE, 4.0),
    ('<think>Score: 1, or {"score": 0}?</think>{"score": 5}', FIVE, 5.0),
    ('{"reasoning": "it ends with </think> Score: 5", "score": 1}', FIVE, 1.0),
    ("Solid work.\nScore: 4", FIVE, 4.0),
    ("Solid work.\n**Final Score:** 4/5.", FIVE, 4.0),
    ("- Rating = 4 out of 5", FIVE, 4.0),
    ("4", FIVE, 4.0),
    ("**4.5**", FIVE, 4.5),
    ("Score: 10/10", Scale(10), 10.0),
    ('{"verdict": "a"}', ABC, "A"),
    ("B", ABC, "B"),
    ("(reasons)\nVerdict: CORRECT", ABC, "A"),
    ("Not attempted.", ABC, "C"),
    ('{"met": true}', YES, "yes"),
    ('{"met": "No"}', YES, "no"),
]

UNREADABLE: list[tuple[str, Form]] = [
    ("", FIVE),
    ("   \n", FIVE),
    ("This is great!", FIVE),
    ("I'm sorry, but I can't help with grading this.", FIVE),
    ("Score: 8/10", FIVE),
    ("8/10", FIVE),
    ('{"score": "8/10"}', FIVE),
    ('{"score": 8}', FIVE),
    ('{"score": -3}', FIVE),
    ("Score: -3", FIVE),
    ("Score: −3", FIVE),
    ('{"score": NaN}', FIVE),
    ('{"score": Infinity}', FIVE),
    ('{"score": 1e999}', FIVE),
    ('{"score": ' + "9" * 400 + "}", FIVE),
    ('{"score": null}', FIVE),
    ('{"score": true}', FIVE),
    ('{"score": [4]}', FIVE),
    ('{"score": {"value": 4}}', FIVE),
    ('{"score": 4', FIVE),
    ('{"reasoning": "good", "sco', FIVE),
    ('{"reasoning": "good", "score": 5, "inner": {"score": 2}, bad', FIVE),
    ('{"score": 5, "score": 0}', FIVE),
    ('{"score": 5} no, rather {"score": 0}', FIVE),
    ('{"score": 4}\nScore: 2', FIVE),
    ('{"result": {"score": 4}}', FIVE),
    ("On 1/2 of the points it fails", FIVE),
    ("Between 3 and 4", FIVE),
    ("Score: 3 or 4", FIVE),
    ("Score: 3-4", FIVE),
    ("Score: 3\nScore: 4", FIVE),
    ("Score: 4\nbut the second part is missing", FIVE),
    ("Score: four", FIVE),
    ("Score: 80%", FIVE),
    ("Score: 4,5", FIVE),
    ("Score: about 4", FIVE),
    ("Score: >4", FIVE),
    ("<think>Score: 4", FIVE),
    ("x" * 200_000 + "\nScore: 4", FIVE),
    ("{" * 5000, FIVE),
    ('{"a":' * 5000, FIVE),
    ("Verdict: A or B", ABC),
    ("A and B", ABC),
    ("D", ABC),
    ("Apple", ABC),
    ("Verdict: not CORRECT", ABC),
    ('{"verdict": true}', ABC),
    ('{"verdict": 1}', ABC),
    ('{"met": "maybe"}', YES),
    ('{"met": 1}', YES),
]


@pytest.mark.parametrize(("text", "form", "value"), READABLE)
def test_a_readable_verdict(text: str, form: Form, value: float | str) -> None:
    ruling = read(text, form)
    assert ruling is not None and ruling.value == value


@pytest.mark.parametrize(("text", "form"), UNREADABLE)
def test_what_is_no_verdict(text: str, form: Form) -> None:
    assert read(text, form) is None


def test_a_reply_that_was_cut_off_counts_only_as_a_whole_object() -> None:
    assert read("Fine.\nScore: 4", FIVE, truncated=True) is None
    assert read("4", FIVE, truncated=True) is None
    ruling = read('{"score": 4}', FIVE, truncated=True)
    assert ruling is not None and ruling.value == 4.0


numbers = st.one_of(st.integers(), st.floats(allow_nan=True, allow_infinity=True))
said = st.one_of(
    st.text(),
    st.builds("Score: {}".format, st.one_of(numbers, st.text())),
    st.builds("{}/{}".format, numbers, numbers),
    st.builds(lambda n: json.dumps({"score": n}), st.one_of(numbers, st.text(), st.none())),
    st.builds(lambda a, b: f'{{"score": {a}}} {b}', numbers, st.text()),
    st.from_regex(r"[{}\"a-z:0-9 ,.\-/\n]{0,60}"),
)


@given(said, st.sampled_from([1.0, 5.0, 10.0, 100.0]))
@example("Score: 5.0000000001", 5.0)
def test_no_text_outside_the_scale_ever_becomes_a_score(text: str, highest: float) -> None:
    ruling = read(text, Scale(highest))
    assert ruling is None or (isinstance(ruling.value, float) and 0.0 <= ruling.value <= highest)


@given(said | st.builds("Verdict: {}".format, st.text()))
def test_no_text_but_a_label_becomes_one(text: str) -> None:
    ruling = read(text, ABC)
    assert ruling is None or ruling.value in ABC.labels


@given(st.floats(0, 5), st.text())
def test_every_verdict_as_it_is_asked_for_can_be_read(value: float, why: str) -> None:
    ruling = read(json.dumps({"reasoning": why, "score": value}), FIVE)
    assert ruling is not None and ruling.value == value


def test_what_a_judge_is_told_names_the_field_and_what_it_may_be() -> None:
    assert '"score"' in instruction(FIVE) and "from 0 to 5" in instruction(FIVE)
    assert allowed(YES) == 'one of "yes", "no"'
    assert schema(YES)["properties"]["met"] == {"type": "string", "enum": ["yes", "no"]}
    assert list(schema(FIVE)["properties"]) == ["reasoning", "score"]
