"""A problem as one text, for agents that take nothing else."""

from __future__ import annotations

from ..errors import ConfigError
from ..traffic.dialects.contract import text_of
from ..types import Problem


def question_of(problem: Problem, who: str) -> str:
    """The problem as one text for ``who``. Raises ConfigError for what is none."""
    if problem.images or problem.requests:
        what = "images" if problem.images else "several questions"
        raise ConfigError(
            f"problem {problem.idx} has {what}; {who} takes one text", hint="use another solver"
        )
    texts = [problem.system or "", problem.prompt]
    if not problem.prompt:
        texts += [text_of(message.get("content")) for message in problem.messages]
    return "\n\n".join(filter(None, texts))
