"""Problems of several questions, and of the probability of a given text."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Call, Loopback, Reply, json_reply

from nemo_evaluator import ConfigError, evaluate, evaluate_async
from nemo_evaluator.asked import TokenLogprob
from nemo_evaluator.results.journal import ProblemSeeded, Solved, events
from nemo_evaluator.results.result_row import read_rows
from nemo_evaluator.traffic.likelihood import of_end
from nemo_evaluator.types import Solution

CHOICES = """
from nemo_evaluator import Request, ScorerInput, SeedResult, benchmark, scorer

ROWS = [
    {"question": f"What comes after {n}?", "choices": ["none", str(n + 1), "all"]}
    for n in range(8)
]


def seed(row: dict, idx: int) -> SeedResult:
    return SeedResult(
        prompt=f"{row['question']} Answer:",
        expected_answer=row["choices"][1],
        metadata=row,
        requests=[Request(kind="loglikelihood", continuation=f" {c}") for c in row["choices"]],
    )


@benchmark(name="choices", dataset=ROWS, prompt="", seed_fn=seed, endpoint_type="completion")
@scorer
def choices(sample: ScorerInput) -> dict:
    found = [answer.logprob for answer in sample.answers]
    best = found.index(max(found))
    return {
        "correct": sample.metadata["choices"][best] == sample.target,
        "extracted": sample.metadata["choices"][best],
        "metrics": {"greedy": bool(sample.answers[best].greedy)},
    }
"""
ONE = """
from nemo_evaluator import Request, ScorerInput, SeedResult, benchmark, scorer


def seed(row: dict, idx: int) -> SeedResult:
    return SeedResult(prompt="Caf\\u00e9 au", expected_answer="", requests=[%s])


@benchmark(name="one", dataset=[{}], prompt="", seed_fn=seed)
@scorer
def one(sample: ScorerInput) -> dict:
    return {"reward": sample.answers[0].logprob or 0.0, "text": sample.answers[0].text}
"""
LIKELIHOOD = 'Request(kind="loglikelihood", continuation=" lait")'


def document(folder: Path, text: str, **service: Any) -> dict[str, Any]:
    (folder / "b.py").write_text(text)
    given = {"type": "simulated", "protocol": "completions", "accuracy": 1.0, **service}
    if given["type"] != "simulated":
        del given["accuracy"]
    return {
        "services": {"m": given},
        "benchmarks": [{"name": str(folder / "b.py"), "max_system_retries": 1}],
        "output": {"dir": str(folder / "r")},
    }


def api(loopback: Loopback, protocol: str = "completions") -> dict[str, Any]:
    return {"type": "api", "url": loopback.url, "protocol": protocol, "model": "m"}


def solutions(folder: Path) -> list[Solution]:
    return [event.solution for event in events(folder) if isinstance(event, Solved)]


@pytest.mark.parametrize("stream", [False, True])
def test_the_most_probable_choice(tmp_path: Path, stream: bool) -> None:
    result = evaluate(document(tmp_path, CHOICES, stream=stream))
    (summary,) = result.summary.benchmarks
    assert summary.metrics["pass@1"].value == 1.0 and summary.metrics["greedy"].value == 1.0
    assert summary.truncated == 0
    journal = list(events(tmp_path / "r" / "choices" / "journal.jsonl"))
    solved = [event for event in journal if isinstance(event, Solved)]
    solution = next(event.solution for event in solved if event.problem_idx == 3)
    assert (solution.calls, len(solution.answers), solution.response) == (3, 3, " 4")
    assert solution.usage.total_tokens == summary.runtime.total_tokens / 8
    assert [row.extracted_answer for row in read_rows(tmp_path / "r" / "choices")][3] == "4"
    seeded = next(event for event in journal if isinstance(event, ProblemSeeded))
    assert len(seeded.problem().requests) == 3


def test_a_model_that_knows_nothing_chooses_by_chance(tmp_path: Path) -> None:
    (summary,) = evaluate(document(tmp_path, CHOICES, accuracy=0.0)).summary.benchmarks
    assert summary.metrics["pass@1"].value < 1.0


def echo(*tokens: str, logprobs: bool = True, generated: str = "!") -> Any:
    """A server whose tokenizer cuts its prompt like this; every token has probability 1/2."""

    def script(call: Call) -> Reply:
        own = [token for token in tokens if not call.prompt.endswith(" au") or token != " lait"]
        half = math.log(0.5)
        body = {
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "text": call.prompt + generated,
                    "finish_reason": "length",
                    "logprobs": {
                        "tokens": [*own, generated],
                        "token_logprobs": [None, *([half] * (len(own) - 1)), -9.0],
                        "top_logprobs": [None] * (len(own) + 1),
                    }
                    if logprobs
                    else None,
                }
            ],
            "usage": {"prompt_tokens": len(own), "completion_tokens": 1},
        }
        return json_reply(body)

    return script


async def test_tokens_before_the_text_do_not_count(tmp_path: Path, loopback: Loopback) -> None:
    loopback.script(echo("<s>", "Caf", "é", " au", " la", "it"))
    result = await evaluate_async(document(tmp_path, ONE % LIKELIHOOD, **api(loopback)))
    (solution,) = solutions(tmp_path / "r" / "one" / "journal.jsonl")
    assert solution.answers[0].logprob == pytest.approx(2 * math.log(0.5))
    assert solution.answers[0].tokens == 2 and solution.answers[0].greedy is None
    assert result.summary.benchmarks[0].metrics["mean_reward"].value < 0
    assert loopback.count("Café au lait") == 1  # one request is enough


@pytest.mark.parametrize(
    ("beginning", "generated", "counted"),
    [("<s>", False, 1), ("", False, 1), ("<s>", True, 0), ("<s>", True, 2), ("", True, 0)],
)
async def test_what_was_generated_does_not_count_whatever_its_number_is_said_to_be(
    tmp_path: Path, loopback: Loopback, beginning: str, generated: bool, counted: int
) -> None:
    def script(call: Call) -> Reply:
        whole = ["Caf", "é", " au", " la", "it"]
        prompt = whole if call.prompt.endswith("it") else whole[:3]
        tokens = [*([beginning] if beginning else []), *prompt]
        values = [None, *(-float(place) for place, _ in enumerate(tokens[1:], 1))]
        if generated:
            tokens, values = [*tokens, " x"], [*values, -90.0]
        logprobs = {"tokens": tokens, "token_logprobs": values, "top_logprobs": None}
        choice = {"index": 0, "text": "", "finish_reason": "length", "logprobs": logprobs}
        return json_reply({"choices": [choice], "usage": {"completion_tokens": counted}})

    loopback.script(script)
    await evaluate_async(document(tmp_path, ONE % LIKELIHOOD, **api(loopback)))
    (solution,) = solutions(tmp_path / "r" / "one" / "journal.jsonl")
    assert solution.answers[0].logprob == (-9.0 if beginning else -7.0)
    assert loopback.count("Café au lait") == 1


async def test_tokens_that_spell_nothing_are_counted(tmp_path: Path, loopback: Loopback) -> None:
    """Half a character is shown as a sign for the unknown: then the context is asked alone."""
    loopback.script(echo("Caf", "\ufffd", "\ufffd", " au", " l\ufffd", " lait"))
    request = LIKELIHOOD.replace(" lait", " l\\u00e9 lait")
    loopback.script(echo("Caf", "\ufffd", " au", " l", "\ufffd", "\ufffd", " lait"))

    def script(call: Call) -> Reply:
        whole = ["Caf", "\ufffd", " au", " l", "\ufffd", "\ufffd lait"]
        return echo(*(whole[:3] if call.prompt.endswith(" au") else whole))(call)

    loopback.script(script)
    await evaluate_async(document(tmp_path, ONE % request, **api(loopback)))
    (solution,) = solutions(tmp_path / "r" / "one" / "journal.jsonl")
    assert solution.answers[0].tokens == 3 and solution.calls == 2


async def test_tokens_that_are_not_those_of_the_prompt_are_no_probability(
    tmp_path: Path, loopback: Loopback
) -> None:
    """An endpoint that ignores `echo` and tells as many tokens of anything."""
    loopback.script(echo(" x", " y", " z", " y"))
    result = await evaluate_async(document(tmp_path, ONE % LIKELIHOOD, **api(loopback)))
    (example,) = result.summary.benchmarks[0].examples
    assert "told 4 tokens of a prompt, 4 of its beginning" in example.error


async def test_a_probability_that_lacks_is_an_error_and_no_part_of_a_sum(
    tmp_path: Path, loopback: Loopback
) -> None:
    def script(call: Call) -> Reply:
        reply = json.loads(echo("Caf", "é", " au", " la", "it")(call).body)
        reply["choices"][0]["logprobs"]["token_logprobs"][3] = None
        return json_reply(reply)

    loopback.script(script)
    result = await evaluate_async(document(tmp_path, ONE % LIKELIHOOD, **api(loopback)))
    (example,) = result.summary.benchmarks[0].examples
    assert "no probability for the token ' la'" in example.error


async def test_all_tokens_of_a_letter_count_together(tmp_path: Path, loopback: Loopback) -> None:
    """``A`` and `` A`` are one answer; a vocabulary's own blanks are blanks."""

    def script(_: Call) -> Reply:
        told = {"B": 0.4, "A": 0.3, " A": 0.2, "\u0120A.": 0.05}
        tops = [{"token": token, "logprob": math.log(share)} for token, share in told.items()]
        choice = {"index": 0, "message": {"content": "B"}, "finish_reason": "length"}
        content = [{**tops[0], "top_logprobs": tops}]
        return json_reply({"choices": [{**choice, "logprobs": {"content": content}}]})

    loopback.script(script)
    request = 'Request(kind="first_token", choices=["A", "B", "C"])'
    service = api(loopback, "chat_completions")
    await evaluate_async(document(tmp_path, ONE % request, **service))
    (solution,) = solutions(tmp_path / "r" / "one" / "journal.jsonl")
    first, second, third = solution.answers[0].choices
    assert first == pytest.approx(math.log(0.55)) and second == pytest.approx(math.log(0.4))
    assert third is None


async def test_a_whole_text(tmp_path: Path, loopback: Loopback) -> None:
    loopback.script(echo("Caf", "é", " au"))
    request = 'Request(kind="loglikelihood_rolling")'
    await evaluate_async(document(tmp_path, ONE % request, **api(loopback)))
    (solution,) = solutions(tmp_path / "r" / "one" / "journal.jsonl")
    assert solution.answers[0].tokens == 2  # nothing precedes the first
    assert solution.answers[0].logprob == pytest.approx(2 * math.log(0.5))


async def test_an_endpoint_without_probabilities(tmp_path: Path, loopback: Loopback) -> None:
    loopback.script(echo("Caf", "é", " au", " lait", logprobs=False))
    result = await evaluate_async(document(tmp_path, ONE % LIKELIHOOD, **api(loopback)))
    (example,) = result.summary.benchmarks[0].examples
    assert "told no probabilities of the prompt" in example.error
    assert result.summary.benchmarks[0].runtime.total_tokens == 5  # paid for all the same


async def test_a_chat_tells_prompt_logprobs(tmp_path: Path, loopback: Loopback) -> None:
    def entry(token: str, logprob: float, rank: int) -> dict[str, Any]:
        best = {"7": {"logprob": -0.1, "rank": 1, "decoded_token": "x"}} if rank > 1 else {}
        return {"5": {"logprob": logprob, "rank": rank, "decoded_token": token}, **best}

    def script(call: Call) -> Reply:
        assert call.body["messages"][-1] == {"role": "assistant", "content": " lait"}
        assert call.body["continue_final_message"] is True
        assert call.body["add_generation_prompt"] is False
        choice = {"index": 0, "message": {"role": "assistant", "content": "!"}}
        told = [None, entry("user", -3, 9), entry(" la", -0.5, 1), entry("it", -0.25, 2)]
        usage = {"prompt_tokens": 4, "completion_tokens": 1}
        body = {"choices": [{**choice, "finish_reason": "length"}], "prompt_logprobs": told}
        return json_reply({**body, "usage": usage})

    loopback.script(script)
    service = api(loopback, "chat_completions")
    await evaluate_async(document(tmp_path, ONE % LIKELIHOOD, **service))
    (solution,) = solutions(tmp_path / "r" / "one" / "journal.jsonl")
    answer = solution.answers[0]
    assert (answer.logprob, answer.greedy, answer.tokens) == (-0.75, False, 2)


async def test_texts_with_their_own_ends(tmp_path: Path, loopback: Loopback) -> None:
    request = 'Request(prompt="One"), Request(until=("\\n",), params={"max_tokens": 9})'
    bodies: list[dict[str, Any]] = []

    def script(call: Call) -> Reply:
        bodies.append(call.body)
        choice = {"index": 0, "text": f"to {call.prompt}", "finish_reason": "stop"}
        return json_reply({"choices": [choice], "usage": {"completion_tokens": 4}})

    loopback.script(script)
    await evaluate_async(document(tmp_path, ONE % request, **api(loopback)))
    (solution,) = solutions(tmp_path / "r" / "one" / "journal.jsonl")
    assert [answer.text for answer in solution.answers] == ["to One", "to Café au"]
    assert (solution.response, solution.finish_reason, solution.calls) == ("to Café au", "stop", 2)
    assert "stop" not in bodies[0] and bodies[1]["stop"] == ["\n"] and bodies[1]["max_tokens"] == 9


def test_a_request_without_what_it_asks_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="request 0 has no continuation"):
        evaluate(document(tmp_path, ONE % 'Request(kind="loglikelihood")'))


@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=20), st.data())
def test_the_sum_is_over_the_tokens_that_spell_the_text(tokens: list[str], data: Any) -> None:
    text = "".join(tokens)
    start = data.draw(st.integers(0, len(text) - 1))
    told = [TokenLogprob(token=token, logprob=-(2.0**i)) for i, token in enumerate(tokens)]
    expected, at = 0.0, 0
    for i, token in enumerate(tokens):
        at += len(token)
        expected -= 2.0**i if at > start else 0
    answer = of_end(told, text[start:])
    assert answer is not None and answer.logprob == expected
    assert of_end(told, text + "?") is None


SOLVER = """
from nemo_evaluator.types import Solution


class Ignores:
    async def solve(self, problem, tools):
        return Solution(response="an essay")

    def identity(self):
        return {}

    async def close(self): ...
"""


def test_a_solver_that_answers_no_requests_is_no_wrong_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ignores.py").write_text(SOLVER)
    monkeypatch.syspath_prepend(tmp_path)
    given = document(tmp_path, ONE % LIKELIHOOD)
    solver = {"type": "custom", "class_path": "ignores:Ignores"}
    given["benchmarks"][0]["solver"] = solver
    result = evaluate(given)
    (example,) = result.summary.benchmarks[0].examples
    assert result.exit_code == 3 and "answered 0 of the 1 requests" in example.error
