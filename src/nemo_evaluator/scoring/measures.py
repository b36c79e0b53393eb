"""Scorers that measure how close a text is, where there is no right or wrong: a reward in 0..1.

Each takes the best over the target and its aliases. An answer that is empty has the reward 0.
"""

from __future__ import annotations

from collections.abc import Callable

from ..types import Extraction
from .extract import clean, final_answer, whole_text
from .grade import Grade, aliases_of, unmeasured
from .input import ScorerInput
from .overlap import bleu as corpus_bleu
from .overlap import chrf as corpus_chrf
from .overlap import edit_similarity
from .overlap import rouge_l as rouge_l_of
from .reasoning import Visible, visible
from .text import f1_over_aliases


def f1(sample: ScorerInput) -> Grade:
    """Token F1 as in SQuAD, of the announced answer or else the whole response."""
    seen = visible(sample.response)
    found = final_answer(seen.text) or whole_text(seen.text)
    if found is None:
        return unmeasured(seen)
    return _measured(seen, found, f1_over_aliases(clean(found.value), aliases_of(sample)))


def rouge_l(sample: ScorerInput) -> Grade:
    """ROUGE-L of the whole response: F-measure of the longest common subsequence of words."""
    return _best(sample, rouge_l_of)


def edit_distance(sample: ScorerInput) -> Grade:
    """1 minus the Levenshtein distance over the longer length, of the whole response."""
    return _best(sample, edit_similarity)


def bleu(sample: ScorerInput) -> Grade:
    """Sentence BLEU by sacrebleu, as a share; all references count together."""
    return _against_all(sample, lambda said, golds: corpus_bleu([said], [golds]))


def chrf(sample: ScorerInput) -> Grade:
    """chrF2 by sacrebleu, as a share; the best reference counts."""
    return _against_all(sample, lambda said, golds: corpus_chrf([said], [golds]))


def _best(sample: ScorerInput, measure: Callable[[str, str], float]) -> Grade:
    seen = visible(sample.response)
    found = whole_text(seen.text)
    if found is None:
        return unmeasured(seen)
    scores = (measure(found.value, alias.strip()) for alias in aliases_of(sample))
    return _measured(seen, found, max(scores, default=0.0))


def _against_all(sample: ScorerInput, measure: Callable[[str, list[str]], float]) -> Grade:
    seen = visible(sample.response)
    found = whole_text(seen.text)
    if found is None:
        return unmeasured(seen)
    golds = aliases_of(sample)
    reward = min(1.0, measure(found.value, golds) / 100) if golds else 0.0
    return _measured(seen, found, reward)


def _measured(seen: Visible, found: Extraction, reward: float) -> Grade:
    return {
        "reward": reward,
        "extracted": found.value,
        "rule": found.rule,
        "span": list(seen.raw_span(found.span)),
    }
