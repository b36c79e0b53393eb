"""One rollout of the loop: ask, call tools, tell, until the model is done or a limit is reached.

Whatever limit ends it, what is there is the answer: the workspace, where the problem has one. An
agent without a workspace that a budget or the clock cut off has given no answer, and has no score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from ...config.agent_solvers import ToolCallingSolverConfig
from ...errors import BudgetExceeded, InfraError, ModelError, RunBudgetExceeded
from ...finish import FinishReason
from ...traffic.client import Model
from ...types import (
    EndedBy,
    ErrorInfo,
    Failure,
    Generation,
    Json,
    Message,
    Problem,
    Solution,
)
from ..contract import SolveTools
from ..simple import to_solution
from ..time_limits import time_limit
from ..together import together
from .contract import Tool
from .conversation import Conversation
from .protocols import Ids, Native, ToolProtocol
from .recording import Record
from .text_protocol import Textual
from .timer import OutOfTime, Timer
from .toolbox import Toolbox

MOST_REMINDERS = 2
"""Replies in a row without a call and without an answer that the model is asked to go on after."""
NO_REPLY = "(empty reply)"
EMPTY = "Your last reply was empty. Go on with the task, or give your final answer."
CUT_OFF = "Your last reply was cut off by the limit of tokens. Go on, with shorter replies."
TOOLS_REFUSED = re.compile(
    r"\btools?\b|tool[ _-]?(use|choice|call)|function[ _-]?call", re.IGNORECASE
)
REFUSING = (400, 404, 422, 500, 501)


@dataclass(slots=True)
class Speech:
    """How models are spoken to of tools; what was found out is kept for all rollouts."""

    wanted: str
    """``auto``, ``native`` or ``text``."""
    _without_calls: set[str] = field(default_factory=set)

    def to(self, model: str) -> ToolProtocol:
        """The protocol for a model."""
        textual = self.wanted == "text" or model in self._without_calls
        return Textual() if textual else Native()

    def refuses(self, model: str, error: ModelError | InfraError) -> bool:
        """Whether an endpoint refused a request because of its tools, which is then known."""
        refused = error.info.status in REFUSING and bool(TOOLS_REFUSED.search(str(error)))
        if self.wanted != "auto" or not refused:
            return False
        self._without_calls.add(model)
        return True


@dataclass(frozen=True, slots=True)
class Task:
    """What a model is asked, and with what it may work."""

    problem: Problem
    messages: Sequence[Message]
    """Without the system prompt."""
    system: str | None
    toolbox: Toolbox
    offered: Sequence[Tool]


class Rollout:
    """Use once."""

    def __init__(
        self,
        config: ToolCallingSolverConfig,
        task: Task,
        tools: SolveTools,
        model: Model,
        speech: Speech,
    ) -> None:
        problem = task.problem
        self._config, self._task, self._tools, self._model = config, task, tools, model
        self._conversation = Conversation(task.messages)
        self._speech, self._protocol = speech, speech.to(model.name)
        self._timer = Timer(tools.context, time_limit(config, problem, tools))
        self._record, self._ids = Record(tools.steps), Ids()
        self._in_workspace = problem.workspace is not None and tools.workspace is not None
        self._generations: list[Generation] = []
        self._text = self._why = ""
        self._reminders = 0

    async def solution(self) -> Solution:
        """The answer. Raises InfraError, and BudgetExceeded where there is none for want of it."""
        task = self._task
        self._record.task(task.messages, self._protocol.system(task.system, task.offered))
        try:
            limit = await self._limited()
        except ModelError as error:
            return self._refused(error.info)
        return self._answer(limit)

    async def _limited(self) -> EndedBy | None:
        """The limit that ended the rollout; None where the model is done."""
        try:
            return await self._work()
        except OutOfTime as over:
            if not self._has_work:
                raise self._no_answer(over) from None
            self._why = str(over)
            return EndedBy.TIME
        except RunBudgetExceeded:
            raise
        except BudgetExceeded as over:
            if not self._has_work:
                raise
            self._why = str(over)
            return over.limit or EndedBy.TOKENS

    async def _work(self) -> EndedBy | None:
        """Until the model is done, turns or context are used up, or it goes round in circles."""
        while len(self._generations) < self._config.max_turns:
            try:
                generation = await self._next_generation()
            except ModelError as error:
                if not self._may_go_on(error):
                    raise
                if self._config.on_context_overflow == "truncate" and self._conversation.shorten():
                    continue
                if not self._has_work:
                    raise
                self._why = str(error)
                return EndedBy.CONTEXT
            self._generations.append(generation)
            if await self._turn(generation):
                return None
            if (most := self._config.max_same_calls) is not None and self._record.run >= most:
                self._why = f"the same call {self._record.run} times in a row (max_same_calls)"
                return EndedBy.LOOP
        return EndedBy.TURNS

    @property
    def _has_work(self) -> bool:
        """Whether there is a workspace in which something may have been done."""
        return self._in_workspace and bool(self._generations)

    def _may_go_on(self, error: ModelError) -> bool:
        """Whether the configuration says what follows on an error."""
        too_long = error.info.kind is Failure.CONTEXT_WINDOW
        return too_long and self._config.on_context_overflow != "error"

    async def _next_generation(self) -> Generation:
        try:
            return await self._timer.within(self._generated())
        except (ModelError, InfraError) as error:
            if self._generations or not self._speech.refuses(self._model.name, error):
                raise
            self._protocol = self._speech.to(self._model.name)
            if (system_prompt := self._protocol.system(None, self._task.offered)) is not None:
                self._record.system(system_prompt)
            return await self._timer.within(self._generated())

    async def _generated(self) -> Generation:
        config, protocol, task = self._config, self._protocol, self._task
        own = config.generation.params() if config.generation else {}
        speaking = protocol.params(task.offered, parallel=config.parallel_tool_calls)
        return await self._model.generate(
            messages=self._conversation.messages,
            system=protocol.system(task.system, task.offered),
            params={**own, **speaking},
            context=self._tools.context,
        )

    async def _turn(self, generation: Generation) -> bool:
        """Do what a reply asks for; whether it is the last one."""
        text, calls = self._protocol.read(generation, self._ids)
        self._text = text.strip() or self._text
        if not calls:
            self._record.turn(generation, text)
            return self._is_final(generation, text)
        self._reminders = 0
        try:
            left = self._timer.left
            results = await self._timer.within(self._task.toolbox.run(calls, left))
        except BaseException:
            self._record.turn(generation, text, calls)
            raise
        self._record.turn(generation, text, calls, results)
        messages = self._protocol.told(calls, results)
        self._conversation.add([self._protocol.said(generation, calls), *messages])
        return False

    def _is_final(self, generation: Generation, text: str) -> bool:
        """Whether a reply without calls is the last one. One that says nothing, or is cut off, is
        not at first: the model is asked to go on."""
        reason = FinishReason.of(generation.finish_reason)
        if reason is FinishReason.CONTENT_FILTER or (text.strip() and not reason.truncated):
            return True
        self._reminders += 1
        if self._reminders > MOST_REMINDERS:
            return True
        reminder = CUT_OFF if reason.truncated else EMPTY
        reply: Message = {"role": "assistant", "content": text.strip() or NO_REPLY}
        self._conversation.add([reply, {"role": "user", "content": reminder}])
        self._record.told(reminder)
        return False

    def _no_answer(self, over: OutOfTime) -> BudgetExceeded | InfraError:
        why = f"{over}, and there is no answer"
        if over.own:
            return BudgetExceeded(why).of(EndedBy.TIME)
        return InfraError(why, kind=Failure.SOLVE_TIMEOUT)

    def _answer(self, limit: EndedBy | None) -> Solution:
        """What the rollout ends with."""
        last = self._generations[-1]
        fields = {"response": self._text, "reasoning": last.reasoning}
        if limit is None and not last.text.strip():  # some servers answer in the reasoning
            final = to_solution(last)
            fields = {"response": final.response, "reasoning": final.reasoning}
            fields["response_source"] = final.response_source
        if self._config.response_mode == "sandbox_artifact":
            fields["response"] = ""
        return Solution.of(
            reduce(together, self._generations), **fields, **self._solution_fields(limit)
        )

    def _refused(self, error: ErrorInfo) -> Solution:
        """A refusal of the model's, with what was done before."""
        if not self._generations:
            return Solution(response="", error=error, steps=self._tools.steps.taken())
        done = reduce(together, self._generations)
        return Solution.of(done, response="", error=error, **self._solution_fields(None))

    def _solution_fields(self, limit: EndedBy | None) -> dict[str, Any]:
        """What a solution says besides its answer."""
        details: dict[str, Json] = {**self._record.details(), "tool_protocol": self._protocol.name}
        if self._why:
            details["why"] = self._why
        if self._conversation.dropped:
            details["dropped_turns"] = self._conversation.dropped
        return {
            "calls": len(self._generations),
            "steps": self._tools.steps.taken(),
            "ended_by": limit,
            "details": details,
        }
