"""How others grade the recorded sets: rules re-implemented from their published descriptions.

``original`` is NeMo Evaluator 0.4.0 as its behaviour was described and measured (first match,
strings, substrings). ``reference`` is the rule of EleutherAI's lm-evaluation-harness or of
OpenAI's simple-evals for the same set; each says which. Regular expressions are facts of those
rules. Every rule returns its verdict on one recorded row.
"""

from __future__ import annotations

import re
import string
from typing import Any

Row = dict[str, Any]


# --- the original


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.IGNORECASE)
    return None if match is None else match[1].strip()


def original_number(row: Row) -> float:
    """The words after the first "The answer is", as a string without comma and full stop."""
    said = _first(r"the answer is\s*:?\s*(\S+)", row["response"])
    return float(said is not None and said.rstrip(".").replace(",", "") == row["target"])


def original_letter(row: Row) -> float:
    """The first ``Answer: X``, also where X begins a word; no bold, no brackets."""
    return float(_first(r"answer\s*:\s*([A-J])", row["response"]) == row["target"])


def original_math(row: Row) -> float:
    """The first answer line, compared as a string."""
    return float(_first(r"answer\s*:\s*([^\n]+)", row["response"]) == row["target"])


def original_math_case(row: Row) -> str:
    return "C" if original_math({"response": row["output"], "target": row["target"]}) else "I"


def original_pair(row: Row) -> int:
    return int(row["pred"].strip() == row["gold"].strip())


def _plain(text: str) -> str:
    text = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def original_fuzzy(row: Row) -> float:
    """Substring either way, of the answer (in its tags) or the first line without them."""
    said = _plain(row["extracted"] or row["response"].split("\n")[0])
    return float(any((gold := _plain(t)) in said or said in gold for t in row["targets"]))


def original_drop(row: Row) -> tuple[float, float]:
    """Substring either way; it knows no F1, so its verdict stands for both."""
    said, gold = (_plain(" ".join(_listed(row[key]))) for key in ("predicted", "gold"))
    verdict = float(said in gold or gold in said)
    return verdict, verdict


def _listed(answer: Any) -> list[str]:
    return [answer] if isinstance(answer, str) else list(map(str, answer))


# --- lm-evaluation-harness and simple-evals

_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")


def _lm_eval_number_text(text: str) -> str:
    for pattern in (",", r"\$", r"(?s).*#### ", r"\.$"):
        text = re.sub(pattern, "", text)
    return text.lower().strip()


def lm_eval_gsm8k(row: Row) -> float:
    """lm-eval ``gsm8k``, filter ``flexible-extract`` (the more generous of its two): the last
    match, compared as a string after removing commas, dollars and a final stop."""
    found = [first or second for first, second in _FLEXIBLE.findall(row["response"])]
    said = found[-1] if found else "[invalid]"
    return float(_lm_eval_number_text(said) == _lm_eval_number_text(row["target"]))


def simple_evals_letter(row: Row) -> float:
    """simple-evals' multiple choice: the first ``Answer: X``, with a dollar sign at most."""
    said = _first(r"Answer[ \t]*:[ \t]*\$?([A-E])\$?", row["response"])
    return float(said is not None and said.upper() == row["target"])


def lm_eval_mmlu_pro(row: Row) -> float:
    """lm-eval ``mmlu_pro``, filter ``custom-extract``: the first ``answer is (X)``."""
    match = re.search(r"answer is \(?([ABCDEFGHIJ])\)?", row["response"])
    return float(match is not None and match[1] == row["target"])


def _math_verify(said: str, gold: str) -> bool:
    from math_verify import parse, verify

    wrapped = gold if "$" in gold or "\\boxed" in gold else f"${gold}$"
    return bool(verify(parse(wrapped), parse(said)))


def lm_eval_math(row: Row) -> float:
    """lm-eval ``minerva_math``, metric ``math_verify``: the library on the raw response."""
    return float(_math_verify(row["response"], row["target"]))


def lm_eval_math_case(row: Row) -> str:
    return "C" if _math_verify(row["output"], row["target"]) else "I"


def lm_eval_pair(row: Row) -> int:
    return int(_math_verify(row["pred"], row["gold"]))


def lm_eval_bbh(row: Row) -> bool:
    """lm-eval ``bbh_cot_fewshot``: what follows the first "the answer is ", less its last
    character, compared as a string."""
    match = re.search(r"(?<=the answer is )(.*)(?=.)", row["response"])
    return match is not None and match[0].strip() == row["target"]


def _lm_eval_short(text: str, *, articles: bool) -> str:
    if articles:
        text = re.sub(r"\b(?:The |the |An |A |The |a |an )", "", text)
    return text.lower().translate(str.maketrans("", "", string.punctuation)).strip()


def lm_eval_trivia(row: Row) -> float:
    """lm-eval ``triviaqa``: generation stops at a line break, full stop or comma; equal to an
    alias without case and punctuation. Given the answer in its tags, which it would not find."""
    return _lm_eval_exact(row, articles=False)


def lm_eval_nq(row: Row) -> float:
    """lm-eval ``nq_open``: as ``triviaqa``, articles removed."""
    return _lm_eval_exact(row, articles=True)


def _lm_eval_exact(row: Row, *, articles: bool) -> float:
    said = re.split(r"[\n.,]", (row["extracted"] or "").strip())[0]
    mine = _lm_eval_short(said, articles=articles)
    return float(any(mine == _lm_eval_short(t, articles=articles) for t in row["targets"]))
