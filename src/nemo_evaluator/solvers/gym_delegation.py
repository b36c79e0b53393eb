"""``gym_delegation``: a gym's own agent solves the problem, by ``POST /run``.

Invariants: the agent gets the key of the rollout's session and no other; a rollout is sent once,
unless no connection was made; what the gym says of its own verdict is never the reward unless the
configuration trusts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..config.endpoints import check_url
from ..config.solver_fields import GYM
from ..config.solvers import GymDelegationSolverConfig
from ..errors import ConfigError, InfraError, suggest
from ..services.gym_wire import GYM_SESSION, NoAnswer, read_answer, steps_in, with_usage
from ..services.json_server import JsonServer
from ..steps import Step, StepSource
from ..types import Failure, Generation, Json, Problem, Solution
from .contract import SolveTools
from .gym_bodies import FORMS, PARAMS, form_of, run_body
from .programs import judge_session

AGENTS = "responses_api_agents"
"""What NeMo Gym's head server calls servers that are agents."""
ECHOED = (PARAMS, "response", "reward", "expected_answer", "uuid", "metadata")
SPLIT_CHARS = 20_000
"""Of what the gym says beside its answer, in the details of a solution."""


class GymDelegation:
    """Sends whole problems to an agent of a gym."""

    def __init__(self, config: GymDelegationSolverConfig) -> None:
        self._config = config
        self._trusts = config.trust_reward
        self._agent: asyncio.Task[JsonServer] | None = None
        self._others: list[JsonServer] = []
        """Agents at other addresses than the service's."""

    async def solve(self, problem: Problem, tools: SolveTools) -> Solution:
        """One ``/run``. Raises InfraError where there is no answer."""
        agent = await self._agent_server(tools.servers[GYM].calls)
        endpoint = await tools.door() if tools.model is not None else None
        form = form_of(self._config.gym_agent, problem)
        body = await asyncio.to_thread(run_body, form, problem, endpoint)
        tools.steps.add(Step(source=StepSource.USER, message=_question(problem)))
        async with agent.places:
            tools.begin_waiting(agent.peer)
            try:
                reply = await agent.session().post("/run", body, seconds=tools.seconds_left())
            except InfraError as error:
                return _solution_if_limited(error, tools)
        return self._solution(reply, problem, tools, agent)

    def _solution(
        self, told: Json, problem: Problem, tools: SolveTools, agent: JsonServer
    ) -> Solution:
        answer = _answer(told, agent)
        assert isinstance(told, dict)
        response = told.get("response")
        output = response.get("output") if isinstance(response, dict) else None
        output = output if isinstance(output, list) else []
        for step in with_usage(steps_in(output), answer.usage):
            tools.steps.add(msgspec.structs.replace(step, model_name=answer.model))
        details = _details(told, problem)
        reward: Any = told.get("reward")
        if self._trusts:
            details["reward_source"] = "gym"
        else:
            details |= {"gym_reward": reward} if reward is not None else {}
            details[GYM_SESSION] = {"server": agent.url, "cookies": {}, "output": output}
        is_number = isinstance(reward, int | float) and not isinstance(reward, bool)
        return Solution.of(
            answer,
            calls=max(1, _turns(output)),
            details=details,
            reward=float(reward) if self._trusts and is_number else None,
        )

    async def _agent_server(self, head: JsonServer) -> JsonServer:
        """The agent's server: looked for once, by whoever comes first."""
        if self._agent is None or (self._agent.done() and self._agent.exception()):
            self._agent = asyncio.ensure_future(self._discovered(head))
        return await asyncio.shield(self._agent)

    async def _discovered(self, head: JsonServer) -> JsonServer:
        instances = await _instances(head)
        if instances is None:
            await _check_agent(head)
            return head
        chosen = _chosen(instances, self._config.gym_agent, head.peer)
        url = _url_of(chosen, head.peer)
        if url == head.url:
            return head
        agent = JsonServer(url, limit=head.limit, proxy=head.proxy)
        self._others.append(agent)
        return agent

    def identity(self) -> Mapping[str, Json]:
        """Which agent answers, and who says what its answers are worth."""
        identity: dict[str, Json] = {"type": "gym_delegation", "agent": self._config.gym_agent}
        if self._trusts:
            identity["trust_reward"] = True
        return identity

    async def close(self) -> None:
        """Close the connections to agents that were found."""
        if self._agent is not None:
            self._agent.cancel()
            await asyncio.gather(self._agent, return_exceptions=True)
        for other in self._others:
            await other.close()


async def _instances(head: JsonServer) -> Sequence[Mapping[str, Any]] | None:
    """The servers that a head server knows; None where this is none."""
    reply = await head.session().asked("GET", "/server_instances", None, seconds=30.0, again=True)
    if reply.status in (404, 405):
        return None
    if reply.status != 200:
        raise head.refused("/server_instances", reply)
    try:
        return msgspec.json.decode(reply.body, type=list[dict[str, Any]])
    except msgspec.ValidationError:
        raise head.unreadable("/server_instances", "is no list of servers") from None


async def _check_agent(server: JsonServer) -> None:
    """Raises ConfigError for a server that says it is no agent."""
    reply = await server.session().asked("GET", "/openapi.json", None, seconds=30.0, again=True)
    try:
        document = msgspec.json.decode(reply.body, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return
    paths = document.get("paths")
    if reply.status == 200 and isinstance(paths, dict) and "/run" not in paths:
        kind = "a resources server" if "/verify" in paths else "another server"
        raise ConfigError(
            f"is {kind} and no agent: it has no /run. gym_service needs the address of an agent, or"
            " that of NeMo Gym's head server",
            where=server.peer,
        )


def _chosen(
    instances: Sequence[Mapping[str, Any]], wanted: str | None, where: str
) -> Mapping[str, Any]:
    """The agent of a name, else the only one. Raises ConfigError."""
    agents = [one for one in instances if one.get("server_type") == AGENTS]
    if wanted is not None:
        for field in ("process_name", "name"):
            for one in instances:
                if str(one.get(field) or "").lower() == wanted.lower():
                    return one
    names = [str(one.get("process_name") or one.get("name")) for one in agents]
    if not agents:
        raise ConfigError("the gym has no agent: its head server names none", where=where)
    if wanted is not None and wanted.lower() not in FORMS:
        what = f"the gym has no agent {wanted!r}; {suggest(wanted, names)}"
        raise ConfigError(what, where=where, hint="set gym_agent of the solver")
    if len(agents) > 1:
        what = f"the gym has several agents: {', '.join(names)}"
        raise ConfigError(what, where=where, hint="set gym_agent of the solver")
    return agents[0]


def _url_of(instance: Mapping[str, Any], where: str) -> str:
    url = instance.get("url") or f"http://{instance.get('host')}:{instance.get('port')}"
    try:
        return check_url(str(url))
    except ValueError as error:
        raise ConfigError(f"the gym names an agent at {error}", where=where) from None


def _solution_if_limited(error: InfraError, tools: SolveTools) -> Solution:
    """The empty answer of an agent that failed since a limit refused its calls. Raises the error
    where that is not the reason, ModelError and BudgetExceeded as ``judge_session``."""
    limit = None if error.info.status is None else judge_session(tools, str(error))
    if limit is None:
        raise error
    return Solution(response="", ended_by=limit)


def _answer(told: Json, agent: JsonServer) -> Generation:
    """The answer of a run. Raises InfraError where there is none."""
    if not isinstance(told, dict):
        raise agent.unreadable("/run", f"is {type(told).__name__}, no object")
    response = told.get("response", told.get("output"))
    if isinstance(response, dict) and isinstance(failed := response.get("error"), dict):
        raise InfraError(
            f"{agent.peer}: the agent failed: {failed.get('message')}",
            kind=Failure.SERVER_ERROR,
            peer=agent.peer,
        )
    try:
        return read_answer(response)
    except NoAnswer as error:
        raise agent.unreadable("/run", f"holds no answer: {error}") from None


def _details(told: Mapping[str, Any], problem: Problem) -> dict[str, Json]:
    """What the gym says beside answer and reward, without what it was sent; bounded."""
    found: dict[str, Json] = {}
    for name, value in told.items():
        echoed = name in ECHOED or name in problem.metadata or str(name).startswith("_ng_")
        if not echoed and len(msgspec.json.encode(value)) <= SPLIT_CHARS:
            found[str(name)] = value
    return found


def _turns(output: Sequence[Json]) -> int:
    """How often the model was asked: turns that something was seen between."""
    turns, before = 0, True
    for item in output:
        seen = isinstance(item, dict) and item.get("type") == "function_call_output"
        turns += before and not seen
        before = seen
    return turns


def _question(problem: Problem) -> Json:
    if problem.prompt or not problem.messages:
        return problem.prompt
    content = problem.messages[-1].get("content")
    return content if isinstance(content, str) else msgspec.to_builtins(content)
