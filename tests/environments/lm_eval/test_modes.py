"""How a choice is asked for, and what is read from answers: no score where an endpoint tells
something else than what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from nemo_evaluator import ConfigError
from nemo_evaluator.asked import Answer, TokenLogprob
from nemo_evaluator.environments.harness import Meeting
from nemo_evaluator.environments.lm_eval.modes import PROBE, choice_request, chosen, mode_for
from nemo_evaluator.environments.lm_eval.options import Mode
from nemo_evaluator.environments.lm_eval.replies import Asked, Doc
from nemo_evaluator.types import Generation, Json, Usage

BERLIN = TokenLogprob(token=" Berlin", logprob=-0.2, greedy=True)


@dataclass(frozen=True, slots=True)
class Told(Meeting):
    """An endpoint that tells these tokens of a prompt, and these candidates for a first token."""

    echo: tuple[TokenLogprob, ...] = ()
    first: Mapping[str, float] | None = None
    chat: bool = False

    @property
    def protocol(self) -> str | None:
        return "chat_completions" if self.chat else "completions"

    async def generate(self, prompt: str, params: Mapping[str, Json]) -> Generation:
        usage = Usage(completion_tokens=1)
        if "echo" in params:
            return Generation(text="", logprobs=self.echo, usage=usage)
        if prompt == PROBE:
            return Generation(text=" Berlin", logprobs=(BERLIN,), usage=usage)
        token = TokenLogprob(token=next(iter(self.first or {"": 0})), candidates=self.first or {})
        return Generation(text=token.token, logprobs=(token,), usage=usage)


def echo(*words: str, last: TokenLogprob = BERLIN) -> tuple[TokenLogprob, ...]:
    """The tokens of a prompt, and one that was generated."""
    first, *others = words
    told = [TokenLogprob(token=word, logprob=-1.0, greedy=False) for word in others]
    return (TokenLogprob(token=first), *told, last, TokenLogprob(token="!", logprob=-1.0))


def lacking(*words: str) -> tuple[TokenLogprob, ...]:
    """One token in the middle has no probability."""
    told = list(echo(*words))
    told[4] = TokenLogprob(token=told[4].token)
    return tuple(told)


SPELLED = PROBE.replace(" ", "| ").split("|")
LOGLIKELIHOOD, FIRST_TOKEN, GENERATE = Mode.LOGLIKELIHOOD, Mode.FIRST_TOKEN, Mode.GENERATE


@pytest.mark.parametrize(
    ("endpoint", "mode"),
    [
        (Told(echo=echo(*SPELLED)), LOGLIKELIHOOD),
        (Told(echo=echo(*(word.replace(" ", "\u0120") for word in SPELLED))), LOGLIKELIHOOD),
        (Told(echo=echo(*(f"token_id:{n}" for n, _ in enumerate(SPELLED)))), LOGLIKELIHOOD),
        # it ignores `echo`, and how many tokens are wanted
        (Told(echo=echo(" It", " is", " Berlin", " of", " course")), GENERATE),
        (Told(echo=echo(*SPELLED[4:])), GENERATE),  # a prompt that was cut
        (Told(echo=lacking(*SPELLED)), GENERATE),
        (Told(chat=True, first={"B": -0.1, "A": -3.0}), FIRST_TOKEN),
        (Told(chat=True, first={"\u0120B": -0.1, "\u0120A": -3.0}), FIRST_TOKEN),
        # letters that might have stood there say nothing of what a model thinks
        (Told(chat=True, first={"<think>": -0.01, "A": -6.0, "B": -7.0}), GENERATE),
        (Told(chat=True, first={"b": -0.1, "a": -3.0}), GENERATE),
        (Told(chat=True, first={"B": -0.1}), GENERATE),
    ],
)
async def test_what_an_endpoint_tells_decides(endpoint: Told, mode: Mode) -> None:
    assert await mode_for(endpoint, Mode.AUTO, "here") is mode


async def test_letters_that_no_answer_begins_with_are_compared_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    endpoint = Told(chat=True, first={"<think>": -0.01, "A": -6.0, "B": -7.0})
    assert await mode_for(endpoint, FIRST_TOKEN, "here") is FIRST_TOKEN
    [record] = caplog.records
    assert "begins with '<think>' and not with a letter" in record.getMessage()


async def test_whether_a_text_is_the_likeliest_must_be_told_where_a_task_asks() -> None:
    unknown = TokenLogprob(token=" Berlin", logprob=-0.2)
    endpoint = Told(echo=echo(*SPELLED, last=unknown))
    assert await mode_for(endpoint, LOGLIKELIHOOD, "here") is LOGLIKELIHOOD
    with pytest.raises(ConfigError, match="whether a token is the likeliest"):
        await mode_for(endpoint, LOGLIKELIHOOD, "here", greedy=True)


def doc(*options: str) -> Doc:
    asked = tuple(Asked(kind="loglikelihood", args=("Q?", f" {option}")) for option in options)
    return Doc(task="t", doc_id=0, choices=options, requests=asked)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("B", 1),
        ("Option B: the second", 1),
        ("The second.", 1),
        ("I think of it.\n\n**the  Second**", 1),
        ("Option A: the second", None),  # which one?
        ("the second or the first", None),
        ("A tough question, I do not know.", None),
        ("", None),
    ],
)
def test_a_written_choice_is_a_letter_or_a_whole_option(text: str, place: int | None) -> None:
    assert chosen(doc("the first", "the second"), GENERATE, Answer(text=text)) == place


def test_of_two_options_that_read_alike_none_is_taken_for_the_other() -> None:
    assert chosen(doc("Yes", "yes."), GENERATE, Answer(text="yes")) is None


def test_how_a_choice_is_written_is_set_by_gen_kwargs() -> None:
    given: dict[str, Json] = {"max_gen_toks": 4096, "until": ["\n\n"], "temperature": 0.6}
    one = choice_request(doc("x", "y"), GENERATE, messages=False, seed=1, generation=given)
    assert one.params == {"max_tokens": 4096, "temperature": 0.6, "seed": 1}
    assert one.until == ("\n\n",)
    assert one.prompt.startswith("Q?\nA. x\nB. y\n")
