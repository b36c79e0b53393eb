"""One rollout of the loop: ask, call tools, tell, until the model is done or a limit is reached.

Whatever limit ends it, what is there is the answer: the workspace, where the problem has one. An
agent without a workspace that a budget or the clock cut off has given no answer, and has no score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

from ...config.solvers import ToolCallingSolverConfig
from ...errors import BudgetExceeded, InfraError, ModelError, RunBudgetExceeded
from ...finish import FinishReason
from ...steps import AgentEnd
from ...traffic.client import Model
from ...types import ErrorInfo, Failure, Generation, Json, Message, Problem, Solution
from ..contract import SolveTools
from ..simple import to_solution
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
TOOLS_REFUSED = re.compile(r"\btools?\b|tool[ _-]?(use|choice|call)|function[ _-]?call", re.IGNORECASE)
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


class Rollout:
    """Use once."""

    def __init__(
        self,
        config: ToolCallingSolverConfig,
        problem: Problem,
        tools: SolveTools,
        model: Model,
        task: Sequence[Message],
        system: str | None,
        toolbox: Toolbox,
        offered: Sequence[Tool],
        speech: Speech,
    ) -> None:
        self._config, self._tools, self._model = config, tools, model
        self._conversation, self._task, self._system = Conversation(task), task, system
        self._toolbox, self._offered, self._speech = toolbox, offered, speech
        self._protocol = speech.to(model.name)
        self._timer = Timer(tools.context, config.run_timeout)
        self._record, self._ids = Record(tools.steps), Ids()
        self._in_workspace = problem.workspace is not None and tools.workspace is not None
        self._generations: list[Generation] = []
        self._text = self._why = ""
        self._reminders = 0

    async def solution(self) -> Solution:
        """The answer. Raises InfraError, and BudgetExceeded where there is none for want of it."""
        self._record.task(self._task, self._system)
        try:
            end = await self._worked()
        except ModelError as error:
            return self._refused(error.info)
        return self._answer(end)

    async def _worked(self) -> AgentEnd:
        """Until the model is done, or a limit is reached."""
        while len(self._generations) < self._config.max_turns:
            try:
                generation = await self._asked()
                self._generations.append(generation)
                if (end := await self._turn(generation)) is not None:
                    return end
            except OutOfTime as over:
                self._why = str(over)
                if not self._in_workspace:
                    raise self._no_answer(over) from None
                return AgentEnd.TIME
            except RunBudgetExceeded:
                raise
            except BudgetExceeded as over:
                self._why = str(over)
                if not self._in_workspace:
                    raise
                return AgentEnd.BUDGET
            except ModelError as error:
                if not self._may_stop(error):
                    raise
                if self._config.on_context_overflow == "stop" or not self._conversation.shorten():
                    self._why = str(error)
                    return AgentEnd.CONTEXT
        return AgentEnd.TURNS

    def _may_stop(self, error: ModelError) -> bool:
        """Whether an error is one that the configuration says how to go on after."""
        if error.info.kind is not Failure.CONTEXT_WINDOW:
            return False
        mode = self._config.on_context_overflow
        return mode == "truncate" or (mode == "stop" and self._in_workspace)

    async def _asked(self) -> Generation:
        try:
            return await self._timer.within(self._generated())
        except (ModelError, InfraError) as error:
            if self._generations or not self._speech.refuses(self._model.name, error):
                raise
            self._protocol = self._speech.to(self._model.name)
            return await self._timer.within(self._generated())

    async def _generated(self) -> Generation:
        config, protocol = self._config, self._protocol
        own = config.generation.params() if config.generation else {}
        speaking = protocol.params(self._offered, parallel=config.parallel_tool_calls)
        return await self._model.generate(
            messages=self._conversation.messages,
            system=protocol.system(self._system, self._offered),
            params={**own, **speaking},
            context=self._tools.context,
        )

    async def _turn(self, generation: Generation) -> AgentEnd | None:
        """What follows on a reply: None if another one is wanted."""
        text, calls = self._protocol.read(generation, self._ids)
        self._text = text.strip() or self._text
        if not calls:
            self._record.turn(generation, text)
            return self._ended(generation, text)
        self._reminders = 0
        try:
            left = self._timer.left
            results = await self._timer.within(self._toolbox.run(calls, left))
        except BaseException:
            self._record.turn(generation, text, calls)
            raise
        self._record.turn(generation, text, calls, results)
        told = self._protocol.told(calls, results)
        self._conversation.add([self._protocol.said(generation, calls), *told])
        return None

    def _ended(self, generation: Generation, text: str) -> AgentEnd | None:
        """Why a reply without calls is the last one; None if the model is asked to go on."""
        reason = FinishReason.of(generation.finish_reason)
        if reason is FinishReason.CONTENT_FILTER or (text.strip() and not reason.truncated):
            return AgentEnd.ANSWER
        self._reminders += 1
        if self._reminders > MOST_REMINDERS:
            return AgentEnd.ANSWER if text.strip() or generation.reasoning else AgentEnd.EMPTY
        reminder = CUT_OFF if reason.truncated else EMPTY
        said: Message = {"role": "assistant", "content": text.strip() or NO_REPLY}
        self._conversation.add([said, {"role": "user", "content": reminder}])
        self._record.told(reminder)
        return None

    def _no_answer(self, over: OutOfTime) -> BudgetExceeded | InfraError:
        if over.own:
            return BudgetExceeded(f"{over} is over, and there is no answer")
        return InfraError(f"{over} is over, and there is no answer", kind=Failure.SOLVE_TIMEOUT)

    def _answer(self, end: AgentEnd) -> Solution:
        """What the rollout ends with."""
        if not self._generations:
            # Nothing was said before the end: a workspace as it was given is no answer.
            raise InfraError(f"no reply before the end: {self._why}", kind=Failure.SOLVE_TIMEOUT)
        last = self._generations[-1]
        final = to_solution(last)
        response = final.response if end is AgentEnd.ANSWER and not last.tool_calls else self._text
        if self._protocol.name == "text":
            response = self._text
        if self._config.response_mode == "sandbox_artifact":
            response = ""
        return Solution.of(
            reduce(together, self._generations),
            response=response,
            reasoning=final.reasoning,
            response_source=final.response_source,
            finish_reason=last.finish_reason,
            calls=len(self._generations),
            steps=self._tools.steps.taken(),
            details=self._details(end.value),
        )

    def _refused(self, error: ErrorInfo) -> Solution:
        """A refusal of the model's, with what was done before."""
        if not self._generations:
            return Solution(response="", error=error, steps=self._tools.steps.taken())
        return Solution.of(
            reduce(together, self._generations),
            response="",
            error=error,
            calls=len(self._generations),
            steps=self._tools.steps.taken(),
            details=self._details("refused"),
        )

    def _details(self, end: str) -> dict[str, Json]:
        more: dict[str, Json] = {"ended_by": end, **({"why": self._why} if self._why else {})}
        if self._conversation.dropped:
            more["dropped_turns"] = self._conversation.dropped
        return {**more, **self._record.details(), "tool_protocol": self._protocol.name}
