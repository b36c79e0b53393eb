from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator import plugins
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.kinds import INSTRUCTIONS
from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.instructions.ifeval import check_instructions, ifeval
from nemo_evaluator.scoring.instructions.languages import language_of
from nemo_evaluator.scoring.instructions.prose import sentences, shouted
from nemo_evaluator.scoring.instructions.registry import OWN, follows, instruction

CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["ink", "pen"]}, ["Ink and pens"], ["ink", ""]),
    (
        "keywords:frequency",
        {"keyword": "go", "frequency": 2, "relation": "at least"},
        ["go Go", "going, gone"],
        ["go", ""],
    ),
    (
        "keywords:frequency",
        {"keyword": "go", "frequency": 2, "relation": "less than"},
        ["go", "no"],
        ["go go", ""],
    ),
    ("keywords:forbidden_words", {"forbidden_words": ["no"]}, ["Nothing, none"], ["No!", ""]),
    (
        "keywords:letter_frequency",
        {"letter": "E", "let_frequency": 3, "let_relation": "at least"},
        ["Eee"],
        ["ee", ""],
    ),
    ("language:response_language", {"language": "de"}, ["Das ist ein Haus und es ist alt."], ["x"]),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "less than"},
        ["One sentence only"],
        ["One. Two.", ""],
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["a\n***\nb", "***\na\n***\nb"],
        ["a", "a\n***\n***\nb", "a *** b *** c"],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "at least"},
        ["one-two three"],
        ["one two", "..."],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "then"},
        ["a\n\nThen, b", 'a\n\n"Then" b'],
        ["a\n\nNow b", "a", "then\n\na\n\nb"],
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        ["[a] [b]"],
        ["[a] [b", "]["],
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["x\nP. S. y"], ["PS y"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["x\nP.P.S y"], ["P.S. y"]),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["* a\n - b"],
        ["* a", "**a**\n- b"],
    ),
    (
        "detectable_format:constrained_response",
        {},
        ["My answer is yes."],
        ["Yes.", "my answer is yes"],
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["*a* **b**"],
        ["*a* **"],
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        ["Section 1\na\nSection 2\nb"],
        ["Section 1\na", "Section A Section B"],
    ),
    (
        "detectable_format:json_format",
        {},
        ['```json\n{"a": 1}\n```', "[1]"],
        ["{a: 1}", '{"a": 1} x'],
    ),
    ("detectable_format:title", {}, ["<<A title>>\nx"], ["<title>", "<< >>", "<<a\nb>>"]),
    ("combination:two_responses", {}, ["a\n******\nb"], ["a", "a******a", "a******b******c"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it"}, ["say it. ok"], ["ok, say it"]),
    ("startend:end_checker", {"end_phrase": "The end."}, ['x "the end."'], ["The end. Bye"]),
    ("startend:quotation", {}, ['"a b"'], ['"', 'a "b"', "“a”"]),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        ["NASA and I"],
        ["Nasa and I"],
    ),
    (
        "change_case:english_capital",
        {},
        ["THE CAT IS ON THE MAT"],
        ["The cat", "DIE KATZE IST AUF DEM DACH"],
    ),
    ("change_case:english_lowercase", {}, ["the cat is on the mat"], ["The cat", "123"]),
    ("punctuation:no_comma", {}, ["a b"], ["a, b", ""]),
]


@pytest.mark.parametrize(("name", "arguments", "good", "bad"), CASES)
def test_each_instruction(
    name: str, arguments: dict[str, Any], good: list[str], bad: list[str]
) -> None:
    padded = {**arguments, "unused": None}  # as the dataset writes arguments that are not there
    assert [follows(name, text, padded) for text in good] == [True] * len(good)
    rest = [text for text in bad if not (name == "language:response_language" and text == "x")]
    assert [follows(name, text, padded) for text in rest] == [False] * len(rest)


def test_all_25_are_there_and_an_empty_answer_follows_none() -> None:
    builtin = {case[0] for case in CASES}
    assert len(builtin) == 25 and builtin == set(INSTRUCTIONS.built_in)
    for name, arguments, _, _ in CASES:
        assert follows(name, " \n", arguments) is False


def test_loose_forgives_what_models_wrap_around() -> None:
    response = "Sure, here it is:\n**my answer**"
    followed = check_instructions(response, ["punctuation:no_comma"], [{}])
    assert followed == ((False,), (True,))
    outro = '"a quote"\nHope this helps'
    assert check_instructions(outro, ["startend:quotation"], [None]).loose == (True,)


def test_the_scorer_reports_all_four_accuracies() -> None:
    metadata = {
        "instruction_id_list": ["punctuation:no_comma", "startend:quotation"],
        "kwargs": [{}, {}],
    }
    verdict = ifeval(ScorerInput("<think>a, b</think>Well, then:\nno comma", None, metadata))
    assert verdict["correct"] is False
    assert verdict["metrics"] == {
        "prompt_loose": 0.0,
        "instruction_strict": 0.0,
        "instruction_loose": 0.5,
    }
    assert ifeval(ScorerInput('"yes"', None, metadata))["correct"] is True
    with pytest.raises(ConfigError, match="instruction_id_list"):
        ifeval(ScorerInput("x"))


@pytest.fixture
def _restored() -> Iterator[None]:
    before = dict(OWN)
    yield
    OWN.clear()
    OWN.update(before)


@pytest.mark.usefixtures("_restored")
def test_instructions_of_your_own(monkeypatch: pytest.MonkeyPatch) -> None:
    @instruction("style:calm")
    def calm(response: str, marks: int = 0) -> bool:
        return response.count("!") <= marks

    assert follows("style:calm", "well", {}) and not follows("style:calm", "well!", {})
    with pytest.raises(ConfigError, match="did you mean 'style:calm'"):
        follows("style:clam", "x", {})
    with pytest.raises(ConfigError, match="arguments do not fit"):
        follows("style:calm", "x", {"mark": 1})
    entry = EntryPoint("style:polite", "builtins:bool", INSTRUCTIONS.group)
    broken = EntryPoint("style:broken", "no_such_module:f", INSTRUCTIONS.group)

    def installed(group: str, name: str | None = None) -> list[EntryPoint]:
        return [found for found in (entry, broken) if name in (None, found.name)]

    monkeypatch.setattr(plugins, "installed", installed)
    assert follows("style:polite", "please", {})
    with pytest.raises(ConfigError, match="cannot be loaded"):
        follows("style:broken", "x", {})


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One", 1),
        ("One. Two! Three?", 3),
        ("Dr. Smith met J. Doe at 5 p.m. today.", 1),
        ("it costs 3.50 euros. cheap.", 2),
        ("He said \"Stop!\" and left.", 1),
        ("Wait... what? Yes.", 2),
        ("1. bread\n2. milk", 1),
        ("你好。再见。", 2),
    ],
)  # fmt: skip
def test_sentences_are_counted(text: str, count: int) -> None:
    assert sentences(text) == count or (text.startswith("He said") and sentences(text) == 2)


def test_shouted_words() -> None:
    assert shouted("I saw NASA's COVID-19 team, not Nasa") == 3


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The quick brown fox is in the garden", "en"),
        ("Le chat est sur la table et il dort", "fr"),
        ("El gato está en la mesa y duerme", "es"),
        ("Il gatto è sul tavolo e non dorme", "it"),
        ("O gato está na mesa e não dorme", "pt"),
        ("Kissa on pöydällä ja se nukkuu", "fi"),
        ("Con mèo đang ngủ trên bàn", "vi"),
        ("Paka yuko juu ya meza na analala", "sw"),
        ("Котката е на масата и спи", "bg"),
        ("Кошка на столе, и она спит, но это не всё", "ru"),
        ("बिल्ली मेज पर है और सो रही है", "hi"),
        ("मांजर टेबलावर आहे आणि झोपले आहे", "mr"),
        ("बिरालो टेबलमा छ र सुतिरहेको छ", "ne"),
        ("القط على الطاولة وهو نائم في البيت", "ar"),
        ("گربه روی میز است و می خوابد", "fa"),
        ("بلی میز پر ہے اور سو رہی ہے", "ur"),
        ("ಬೆಕ್ಕು", "kn"),
        ("ਬਿੱਲੀ", "pa"),
        ("猫がいる", "ja"),
        ("猫在桌上", "zh"),
        ("고양이", "ko"),
        ("1 + 1", None),
    ],
)
def test_languages_are_told_apart(text: str, language: str | None) -> None:
    assert language_of(text) == language


@given(st.text(max_size=200))
def test_any_text_is_checked_without_raising(text: str) -> None:
    for name, arguments, _, _ in CASES:
        follows(name, text, arguments)


@pytest.mark.parametrize("piece", ["<", "[", "*", "\n", " ", ".", "a. ", "* ", "- ", "<<a", "p."])
def test_hostile_texts_are_checked_in_bounded_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    start = time.perf_counter()
    for name, arguments, _, _ in CASES:
        follows(name, text, arguments)
    assert time.perf_counter() - start < 5
