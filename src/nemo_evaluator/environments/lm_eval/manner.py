"""How the documents of a benchmark are asked, and how their answers are read: both belong
together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...asked import Answer, Request
from ...records import Json
from ..scored import ScoredProblem
from .modes import as_replies, choice_request, chosen
from .options import Mode
from .replies import Doc, replies_of, requests_of
from .scores import MODE


def asked_by(rows: Sequence[ScoredProblem]) -> Mode:
    """The mode in which the choices of these rows were asked for, as their verdicts tell."""
    modes = (row.score.details.get(MODE) for row in rows)
    return next((Mode(str(mode)) for mode in modes if mode is not None), Mode.LOGLIKELIHOOD)


@dataclass(frozen=True, slots=True)
class Manner:
    """What was decided for a whole benchmark."""

    mode: Mode | None
    """How choices are asked for; None where the tasks have none."""
    messages: bool
    """Asked over chat."""
    seed: int
    """Of every request."""
    generation: Mapping[str, Json] = field(default_factory=dict)
    """How a choice is written, where one is."""

    def choosing(self, doc: Doc) -> Mode | None:
        """The mode in which a document's options are asked for, where lm_eval asks otherwise."""
        loglikelihood = self.mode in (None, Mode.LOGLIKELIHOOD)
        return None if loglikelihood or doc.choices is None else self.mode

    def requests(self, doc: Doc) -> list[Request]:
        """What a document asks. Raises ConfigError where it cannot be asked so."""
        if (mode := self.choosing(doc)) is not None:
            one = choice_request(
                doc, mode, messages=self.messages, seed=self.seed, generation=self.generation
            )
            return [one]
        return requests_of(doc, messages=self.messages, seed=self.seed)

    def replies(self, doc: Doc, answers: Sequence[Answer]) -> list[list[Json]]:
        """For each of the document's questions its samples, as lm_eval has them."""
        mode = self.choosing(doc)
        if mode is None:
            return replies_of(doc, answers)
        return as_replies(doc, chosen(doc, mode, answers[0]))
