"""What every environment promises; see `environments.contract`.

```python
class TestMine(EnvironmentContract):
    @pytest.fixture
    async def environment(self):
        made = MyEnvironment()
        await made.prepare()
        yield made
        await made.close()

    def right(self, problem):
        return f"The answer is {problem.target}"
```
"""

from __future__ import annotations

import asyncio
import math

import msgspec

from ..environments.contract import Environment, Needs, VerifyTools
from ..types import Problem, Solution

MANY = 16


def answered(text: str) -> Solution:
    """A solution that says so, as a model would."""
    return Solution(response=text, finish_reason="stop")


class EnvironmentContract:
    """Subclass it with a fixture ``environment``, prepared; say with ``right`` what is right."""

    tools: VerifyTools = VerifyTools()
    """What verification gets: sandboxes or a judge, for an environment that needs them."""

    def right(self, problem: Problem) -> str | None:
        """A response that answers a problem; None where none can be written down."""
        return None

    async def test_it_has_problems_and_a_name(self, environment: Environment) -> None:
        """At least one problem, and something to call it by."""
        assert isinstance(environment, Environment)
        assert environment.name and await environment.size() > 0
        assert isinstance(environment.needs, Needs)

    async def test_a_problem_is_the_same_each_time(self, environment: Environment) -> None:
        """The same index gives the same problem, under that index, whoever asks at once."""
        last = await environment.size() - 1
        for idx in {0, last // 2, last}:
            first, second = await asyncio.gather(environment.seed(idx), environment.seed(idx))
            assert first == second and first.idx == idx
            assert first.prompt or first.messages or first.requests or first.workspace

    async def test_a_problem_can_be_journaled(self, environment: Environment) -> None:
        """A problem is plain data."""
        problem = await environment.seed(0)
        assert msgspec.json.encode(problem, enc_hook=str)

    async def test_its_identity_is_plain_and_steady(self, environment: Environment) -> None:
        """The identity is JSON, says something, and does not change."""
        identity = environment.identity()
        assert identity and dict(identity) == dict(environment.identity())
        assert msgspec.json.decode(msgspec.json.encode(dict(identity), enc_hook=str))

    async def test_a_right_answer_is_worth_more_than_none(self, environment: Environment) -> None:
        """The right answer scores higher than an empty one; both scores are finite numbers."""
        for idx in range(min(MANY, await environment.size())):
            problem = await environment.seed(idx)
            if (text := self.right(problem)) is None:
                continue
            right = await environment.verify(problem, answered(text), self.tools)
            empty = await environment.verify(problem, answered(""), self.tools)
            assert math.isfinite(right.reward) and math.isfinite(empty.reward)
            assert right.reward > empty.reward and right.correct is not False
            assert empty.correct is not True

    async def test_verdicts_do_not_mix(self, environment: Environment) -> None:
        """Many verifications at once give what they give one by one."""
        problems = [await environment.seed(i) for i in range(min(MANY, await environment.size()))]
        asked = [(problem, answered(self.right(problem) or "no idea")) for problem in problems]
        alone = [await environment.verify(*one, self.tools) for one in asked]
        found = await asyncio.gather(*(environment.verify(*one, self.tools) for one in asked))
        assert [score.reward for score in found] == [score.reward for score in alone]

    async def test_it_can_be_closed_twice(self, environment: Environment) -> None:
        """Closing again does nothing."""
        await environment.close()
        await environment.close()
