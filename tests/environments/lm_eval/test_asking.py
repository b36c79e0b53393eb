"""The order and the number of what is fetched, asked and scored; lm_eval is played by a fake."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import pytest

from nemo_evaluator.asked import Answer, Request
from nemo_evaluator.environments.harness import Finished, HarnessTools
from nemo_evaluator.environments.lm_eval.asking import FETCHED, Asking
from nemo_evaluator.environments.lm_eval.manner import Manner
from nemo_evaluator.environments.lm_eval.remote import Replies
from nemo_evaluator.environments.lm_eval.replies import Asked, Doc
from nemo_evaluator.environments.lm_eval.scores import Filtered, Graded
from nemo_evaluator.errors import InfraError, RunBudgetExceeded
from nemo_evaluator.types import RolloutKey

WHERE = "loglikelihood"


class FakeRemote:
    """Documents of two options; the score is the number of the document."""

    def __init__(self) -> None:
        self.fetched = Counter[int]()
        self.scored = 0

    async def docs(self, places: Sequence[int], *, brief: bool = False) -> list[Doc]:
        await asyncio.sleep(0)
        self.fetched.update(places)
        assert len(places) <= FETCHED
        asked = [
            tuple(Asked(kind=WHERE, args=(f"{place}:", f" {option}")) for option in "ab")
            for place in places
        ]
        return [
            Doc(task="t", doc_id=place, choices=("a", "b"), requests=requests)
            for place, requests in zip(places, asked, strict=True)
        ]

    async def grade(self, rows: Sequence[Replies]) -> list[Graded]:
        await asyncio.sleep(0)
        self.scored += len(rows)
        return [
            Graded(filters={"none": Filtered(metrics={"acc": 1.0, "place": place}, filtered=None)})
            for place, _ in rows
        ]


class FakeTools:
    """Answers everything, but for what a test says."""

    def __init__(self, concurrency: int = 8) -> None:
        self.concurrency, self.stopping = concurrency, asyncio.Event()
        self.asked: list[str] = []
        self.under_way = self.most = 0
        self.fails: dict[str, Exception] = {}

    async def call(self, key: RolloutKey, request: Request) -> Answer:
        name = f"{request.prompt}{request.continuation}"
        self.asked.append(name)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if name in self.fails:
            raise self.fails[name]
        return Answer(logprob=-float(len(self.asked)), greedy=False)


def asking(todo: Sequence[RolloutKey], remote: FakeRemote, tools: FakeTools) -> Asking:
    manner = Manner(None, messages=False, seed=1)
    return Asking(cast(Any, remote), manner, todo, cast(HarnessTools, tools), several=False)


async def collect(todo: Sequence[RolloutKey], tools: FakeTools) -> list[Finished]:
    return [one async for one in asking(todo, FakeRemote(), tools).finished()]


async def test_each_document_is_fetched_once_in_whatever_order_it_is_wanted() -> None:
    order = list(range(3 * FETCHED))
    random.Random(1).shuffle(order)
    todo = [RolloutKey(place, repeat) for place in order for repeat in range(2)]
    remote, tools = FakeRemote(), FakeTools()
    found = [one async for one in asking(todo, remote, tools).finished()]
    assert {one.key for one in found} == set(todo) and len(found) == len(todo)
    assert all(one.score and one.score.metrics["place,none"] == one.key[0] for one in found)
    assert set(remote.fetched.values()) == {1} and remote.scored == len(todo)
    assert len(tools.asked) == 2 * len(todo) and tools.most == tools.concurrency
    assert tools.asked[:4] == [f"{order[0]}: a", f"{order[0]}: b"] * 2


async def test_one_failure_costs_one_rollout_and_asks_nothing_more_of_it() -> None:
    tools = FakeTools(1)
    tools.fails = {"1: a": InfraError("is down")}
    found = {one.key[0]: one for one in await collect([RolloutKey(n, 0) for n in range(3)], tools)}
    assert [found[n].score is None for n in range(3)] == [False, True, False]
    error = found[1].error
    assert error is not None and error.message == "is down"
    assert "1: b" not in tools.asked


async def test_the_end_of_the_budget_leaves_the_rest_open() -> None:
    tools = FakeTools(1)
    tools.fails = {"2: b": RunBudgetExceeded("the run is stopping")}
    found = await collect([RolloutKey(n, 0) for n in range(9)], tools)
    assert [one.key[0] for one in found] == [0, 1]


async def test_what_is_stopping_begins_nothing() -> None:
    tools = FakeTools()
    tools.stopping.set()
    assert await collect([RolloutKey(0, 0)], tools) == [] and not tools.asked


async def test_an_error_of_ours_is_raised() -> None:
    tools = FakeTools()
    tools.fails = {"5: b": ZeroDivisionError("ours")}
    with pytest.raises(ZeroDivisionError):
        await collect([RolloutKey(n, 0) for n in range(9)], tools)
