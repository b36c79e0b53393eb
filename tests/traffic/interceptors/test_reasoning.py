"""Reasoning goes to its field, or back into the text; a stream adds up to the whole answer."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from steps import Scripted, configured

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.interceptors.opening import open_interceptors
from nemo_evaluator.traffic.interceptors.reasoning import Reasoning
from nemo_evaluator.traffic.types import ModelRequest, ModelResponse

Body = dict[str, Any]
OPEN, CLOSE = "<think>", "</think>"


def fields(content: Any, reasoning: str | None = None) -> Body:
    return {"content": content} | ({} if reasoning is None else {"reasoning_content": reasoning})


def whole(config: Body, message: Body, finish: str | None = "stop") -> Body:
    """What becomes of a message."""
    response = ModelResponse(200, {"choices": [{"message": message, "finish_reason": finish}]})
    opened(config).on_response(ModelRequest("chat_completions", {}), response)
    found: Body = response.body["choices"][0]["message"]
    return found


def opened(config: Body) -> Reasoning:
    return Reasoning(Reasoning.Options.model_validate(config))


EXAMPLES = {
    "block": (fields("<think>\n a </think>\n\nans"), fields("ans", "a")),
    "not at the beginning": (fields("x<think>a</think>b"), fields("x<think>a</think>b")),
    "not closed": (fields("<think>open only"), fields("<think>open only")),
    "field renamed": ({"content": "c", "reasoning": "r"}, fields("c", "r")),
    "field there": (
        {"reasoning_content": "q", "reasoning": "r", "content": "<think>a</think>b"},
        {"reasoning_content": "q", "reasoning": "r", "content": "<think>a</think>b"},
    ),
    "first block only": (
        fields("<think>a</think>b<think>c</think>d"),
        fields("b<think>c</think>d", "a"),
    ),
    "first closing tag ends": (
        fields("<think>a<think>b</think>c</think>d"),
        fields("c</think>d", "a<think>b"),
    ),
    "leading whitespace": (fields(" \n<think>a</think>b"), fields("b", "a")),
    "empty block": (fields("<think>\n\n</think>\n\nb"), fields("b")),
    "closing tag only": (fields("a</think>b"), fields("a</think>b")),
    "null fields are no fields": (
        {"content": "<think>a</think>b", "reasoning_content": None, "reasoning": None},
        {"content": "b", "reasoning_content": "a", "reasoning": None},
    ),
    "no content": (fields(None), fields(None)),
    "parts": (fields([{"text": "<think>a</think>"}]), fields([{"text": "<think>a</think>"}])),
}


@pytest.mark.parametrize(("message", "expected"), EXAMPLES.values(), ids=EXAMPLES)
async def test_reasoning_in_the_content_is_moved(message: Body, expected: Body) -> None:
    answer = {"choices": [{"message": message, "finish_reason": "stop"}]}
    body = await Scripted(configured("reasoning")).send({}, answer)
    assert body["choices"][0]["message"] == expected


def test_what_does_not_match_is_not_copied() -> None:
    message = fields("plain")
    assert whole({}, message) is message


IMPLICIT = {
    "closing tag only": ("\na\n</think>\n\nb", "stop", fields("b", "a")),
    "opening tag too": ("<think>a</think>b", "stop", fields("b", "a")),
    "no tag": ("b", "stop", fields("b")),
    "cut off": (" a ", "length", fields("", "a")),
    "blank": ("  ", "length", fields("  ")),
}


@pytest.mark.parametrize(("text", "finish", "expected"), IMPLICIT.values(), ids=IMPLICIT)
def test_implicit_open(text: str, finish: str, expected: Body) -> None:
    assert whole({"implicit_open": True}, fields(text), finish) == expected


def test_a_cut_off_block_is_reasoning() -> None:
    assert whole({}, fields("<think>\nso </thi"), "length") == fields("", "so </thi")


def test_other_tags() -> None:
    config = {"tag_open": "[THINK]", "tag_close": "[/THINK]"}
    assert whole(config, fields("[THINK]a[/THINK]b")) == fields("b", "a")
    assert whole(config, fields("<think>a</think>b")) == fields("<think>a</think>b")


BACK = {
    "block before the content": (fields("c", "r"), fields("<think>r</think>\nc")),
    "other field": ({"content": "c", "reasoning": "r"}, fields("<think>r</think>\nc")),
    "no content": (fields(None, "r"), fields("<think>r</think>\n")),
    "parts": (
        fields([{"type": "text", "text": "c"}], "r"),
        fields([{"type": "text", "text": "<think>r</think>\n"}, {"type": "text", "text": "c"}]),
    ),
    "none": (fields("c"), fields("c")),
}


@pytest.mark.parametrize(("message", "expected"), BACK.values(), ids=BACK)
def test_reasoning_is_moved_back_into_the_content(message: Body, expected: Body) -> None:
    assert whole({"mode": "field_to_content"}, message) == expected


@given(st.text("ab \n", min_size=1).map(str.strip).filter(bool), st.text("ab \n").map(str.lstrip))
def test_there_and_back(reasoning: str, content: str) -> None:
    text = whole({"mode": "field_to_content"}, fields(content, reasoning))
    assert whole({}, text) == fields(content, reasoning)


async def test_completions_keep_it_beside_the_text() -> None:
    answer = {"choices": [{"index": 0, "text": "<think>a</think>b", "finish_reason": "stop"}]}
    body = await Scripted(configured("reasoning")).send({}, answer, protocol="completions")
    choice = {"index": 0, "text": "b", "reasoning_content": "a", "finish_reason": "stop"}
    assert body["choices"] == [choice]
    back = Scripted(configured("reasoning", {"mode": "field_to_content"}))
    body = await back.send({}, {"choices": [choice]}, protocol="completions")
    expected = {"index": 0, "text": "<think>a</think>\nb", "finish_reason": "stop"}
    assert body["choices"] == [expected]


async def test_responses_are_left_alone() -> None:
    answer = {"output": [], "choices": [{"message": fields("<think>a</think>b")}]}
    pipeline = Scripted(configured("reasoning"))
    assert await pipeline.send({}, answer, protocol="responses") == answer
    assert pipeline.step.event_filter(ModelRequest("responses", {})) is None


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"tag_open": ""}, "must not be empty"),
        ({"tag_open": " <t>"}, "whitespace"),
        ({"tag_open": "|", "tag_close": "|"}, "must differ"),
        ({"mode": "field_to_content", "implicit_open": True}, "implicit_open is for"),
        ({"mode": "both"}, "mode"),
    ],
)
def test_wrong_options_are_refused(config: Body, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        open_interceptors([configured("reasoning", config)])


def delta(index: int = 0, finish: str | None = None, **delta: Any) -> Body:
    return {"id": "c", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def filtered(config: Body, events: list[Body], protocol: str = "chat_completions") -> list[Body]:
    events_filter = opened(config).event_filter(ModelRequest(protocol, {}))
    assert events_filter is not None
    passing = [changed for event in events for changed in events_filter.feed(event)]
    return passing + events_filter.close()


def added_up(events: list[Body]) -> dict[int, tuple[str, str]]:
    """(reasoning, text) of each choice, as a caller adds them up."""
    found: dict[int, tuple[str, str]] = defaultdict(lambda: ("", ""))
    for event in events:
        for choice in event["choices"]:
            holder = choice.get("delta", choice)
            reasoning, text = found[choice["index"]]
            reasoning += holder.get("reasoning_content") or ""
            text += holder.get("content") or holder.get("text") or ""
            found[choice["index"]] = reasoning, text
    return found


def of_message(message: Body) -> tuple[str, str]:
    return message.get("reasoning_content") or "", message.get("content") or ""


pieces = st.lists(
    st.sampled_from([OPEN, CLOSE, "<th", "ink>", "</", "think>", "<", "a", "b", " ", "\n", "é"]),
    max_size=12,
).map("".join)
finishes = st.sampled_from(["stop", "length", "tool_calls", None])
configs = st.sampled_from(
    [{}, {"implicit_open": True}, {"tag_open": "<<", "tag_close": "<"}, {"tag_close": "aba"}]
)


@st.composite
def chunked(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> list[str]:
    text = draw(texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=len(text) + 1)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def stays_open(config: Body, text: str, finish: str | None) -> bool:
    """The one exception: a block that is never closed in an answer that was not cut off."""
    options = Reasoning.Options.model_validate(config)
    start, close = text.lstrip(), options.tag_close
    begins = start.startswith(options.tag_open)
    inner = start[len(options.tag_open) :] if begins else start
    return finish != "length" and (begins or options.implicit_open) and close not in inner


@given(configs, chunked(pieces), finishes, st.booleans())
@example({}, ["<thi", "nk>a</t", "hink>b"], "stop", True)
@example({}, ["<think>a </thin"], "length", False)
@example({"implicit_open": True}, ["<th"], "length", True)
def test_a_stream_adds_up_to_the_whole(
    config: Body, parts: list[str], finish: str | None, own_end: bool
) -> None:
    text = "".join(parts)
    events = [delta(content=part) for part in parts]
    if own_end or finish is None:
        events.append(delta(finish=finish))
    else:
        events[-1] = delta(finish=finish, content=parts[-1])
    found = added_up(filtered(config, events))[0]
    expected = of_message(whole(config, fields(text), finish))
    if found != expected:
        assert stays_open(config, text, finish)
        assert found[0].strip() == found[0]
        assert found[1] == ""


@given(
    chunked(st.text("ab<", max_size=6)),
    chunked(pieces),
    finishes,
    st.sampled_from(["content_to_field", "field_to_content"]),
    st.sampled_from(["reasoning", "reasoning_content"]),
)
def test_reasoning_in_a_field_first(
    thoughts: list[str], parts: list[str], finish: str | None, mode: str, field: str
) -> None:
    thought, text = "".join(thoughts), "".join(parts)
    events = [delta(**{field: part}) for part in thoughts]
    events += [delta(content=part) for part in parts]
    events.append(delta(finish=finish))
    found = added_up(filtered({"mode": mode}, events))[0]
    message = {"content": text, field: thought}
    if not stays_open({}, text, finish) or thought:
        assert found == of_message(whole({"mode": mode}, message, finish))


@given(chunked(pieces), chunked(pieces), st.randoms())
def test_choices_do_not_mix(first: list[str], second: list[str], random: Any) -> None:
    order = [0] * len(first) + [1] * len(second)
    random.shuffle(order)
    left = [iter(first), iter(second)]
    events = [delta(index, content=next(left[index])) for index in order]
    events += [delta(0, "length"), delta(1, "length")]
    found = added_up(filtered({}, events))
    for index, parts in enumerate((first, second)):
        assert found[index] == of_message(whole({}, fields("".join(parts)), "length"))


@given(chunked(pieces))
def test_completions_stream(parts: list[str]) -> None:
    events = [{"choices": [{"index": 0, "text": p, "finish_reason": None}]} for p in parts]
    events.append({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
    found = added_up(filtered({}, events, "completions"))[0]
    assert found == of_message(whole({}, fields("".join(parts)), "length"))


async def test_live_through_the_pipeline() -> None:
    events = [
        delta(role="assistant", content=""),
        delta(content="<thi"),
        delta(content="nk>\nso"),
        delta(content=" far </th"),
        delta(content="ink>\n"),
        delta(content="\nans"),
        delta(content="wer"),
        delta(finish="stop"),
        {"choices": [], "usage": {"completion_tokens": 9}},
    ]
    found, body = await Scripted(configured("reasoning")).stream(events)
    deltas = [choice["delta"] for event in found for choice in event["choices"]]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"content": ""},
        {"content": "", "reasoning_content": "so"},
        {"content": "", "reasoning_content": " far"},
        {"content": ""},
        {"content": "ans"},
        {"content": "wer"},
        {},
    ]
    assert found[-1] == events[-1]
    message = {"role": "assistant", "content": "answer", "reasoning_content": "so far"}
    assert body["choices"][0]["message"] == message


async def test_what_is_held_goes_out_when_the_stream_just_ends() -> None:
    found, _ = await Scripted(configured("reasoning")).stream([delta(content="a <thi")])
    assert added_up(found)[0] == ("", "a <thi")
    found, _ = await Scripted(configured("reasoning")).stream([delta(content=" <thi")])
    assert added_up(found)[0] == ("", " <thi")
    assert (found[-1]["id"], found[-1]["choices"][0]["finish_reason"]) == ("c", None)


async def test_reasoning_goes_back_before_tool_calls() -> None:
    call = {"index": 0, "id": "k", "function": {"name": "f", "arguments": "{}"}}
    events = [delta(reasoning="why"), delta(tool_calls=[call]), delta(finish="tool_calls")]
    pipeline = Scripted(configured("reasoning", {"mode": "field_to_content"}))
    found, body = await pipeline.stream(events)
    assert [event["choices"][0]["delta"] for event in found] == [
        {"content": "<think>why"},
        {"content": "</think>\n", "tool_calls": [call]},
        {},
    ]
    assert body["choices"][0]["message"]["content"] == "<think>why</think>\n"


def test_untouched_events_are_the_same_objects() -> None:
    events = [delta(content="plain"), delta(content=" <think>"), delta(finish="stop")]
    assert all(new is old for new, old in zip(filtered({}, events), events, strict=True))
