"""How often our scorers agree with recorded answers that others have graded.

    python benchmarks/scoring_truth.py [--shared ../shared] [--list] [SET ...]

Every set is graded through the public primitives. Prints one line per set: n, agreements and
their share; with --list each disagreement by id.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nemo_evaluator.scoring.drop import em_and_f1
from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.mathematics import math_equal
from nemo_evaluator.scoring.primitives import (
    answer_line,
    find_math,
    math_match,
    multichoice_regex,
    numeric_match,
    trivia_match,
)

Row = dict[str, Any]


class Case(NamedTuple):
    id: str
    agrees: bool
    ours: Any
    theirs: Any
    extracted: Any
    rule: Any


def rows(folder: Path, name: str) -> Iterator[Row]:
    packed = folder / f"{name}.jsonl.gz"
    opener = gzip.open if packed.exists() else open
    path = packed if packed.exists() else folder / f"{name}.jsonl"
    with opener(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _case(row: Row, verdict: Row, ours: Any, theirs: Any) -> Case:
    return Case(row["id"], ours == theirs, ours, theirs, verdict["extracted"], verdict["rule"])


def _number(row: Row) -> Case:
    verdict = numeric_match(ScorerInput(row["response"], row["target"]))
    return _case(row, verdict, float(verdict["correct"]), row["score"])


def _choice(row: Row) -> Case:
    verdict = multichoice_regex(ScorerInput(row["response"], row["target"]), options="ABCDE")
    return _case(row, verdict, float(verdict["correct"]), row["score"])


def _mmlu_pro(row: Row) -> Case:
    sample = ScorerInput(row["response"], row["target"])
    verdict = multichoice_regex(sample, options=row["n_options"], order="first")
    return _case(row, verdict, float(verdict["correct"]), row["score"])


def _math(row: Row) -> Case:
    verdict = math_match(ScorerInput(row["response"], row["target"]))
    return _case(row, verdict, float(verdict["correct"]), row["score"])


def _math_case(row: Row) -> Case:
    verdict = math_match(ScorerInput(row["output"], row["target"]))
    return _case(row, verdict, "C" if verdict["correct"] else "I", row["expected"])


def _pair(row: Row) -> Case:
    pred, gold = (_answer_in(row[key]) for key in ("pred", "gold"))
    judged = math_equal(pred, gold)
    found = {"extracted": pred, "rule": judged.decided_by}
    return _case(row, found, int(judged.equal), row["expected"])


def _answer_in(text: str) -> str:
    """Some cases are whole solutions; those are read as a response is."""
    found = find_math(text) if len(text) > 100 else None
    return found.value if found else text


def _bbh(row: Row) -> Case:
    sample = ScorerInput(row["response"], row["target"])
    verdict = answer_line(sample, r"(?i)the answer is (.*?)\.?\s*$")
    theirs = row["response"].rpartition("So the answer is")[2].strip().rstrip(".") == row["target"]
    return _case(row, verdict, verdict["correct"], theirs)


def _trivia(row: Row) -> Case:
    verdict = trivia_match(ScorerInput(row["response"], row["targets"]))
    return _case(row, verdict, float(verdict.get("em", 0.0)), row["em"])


def _drop(row: Row) -> Case:
    ours = em_and_f1(row["predicted"], row["gold"])
    found = {"extracted": row["predicted"], "rule": "drop"}
    return _case(row, found, ours, (row["expected_em"], row["expected_f1"]))


SETS: dict[str, Callable[[Row], Case]] = {
    "gsm8k_openai_2021": _number,
    "gsm8k_abel": _number,
    "mcq_mathgpt_abel": _choice,
    "mmlu_pro_outputs": _mmlu_pro,
    "math_qwen_8samples": _math,
    "bbh_codex_cot": _bbh,
    "triviaqa_search_r1": _trivia,
    "nq_search_r1": _trivia,
    "drop_metric_cases": _drop,
    "inspect_math_cases": _math_case,
    "math_verify_cases": _pair,
}


def agreement(folder: Path, name: str) -> list[Case]:
    """Every case of a recorded set, graded by us."""
    return [SETS[name](row) for row in rows(folder, name)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=default)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("sets", nargs="*")
    args = parser.parse_args()
    for name in args.sets or SETS:
        start = time.perf_counter()
        cases = agreement(args.shared / "data" / "recorded", name)
        micros = (time.perf_counter() - start) / len(cases) * 1e6
        good = sum(case.agrees for case in cases)
        share = f"{good / len(cases):7.2%}"
        print(f"{name:<22} n={len(cases):>5}  agree={good:>5}  {share}  {micros:8.0f} µs/row")
        for case in cases if args.list else ():
            if not case.agrees:
                verdicts = f"ours={case.ours} theirs={case.theirs}"
                print(f"    {case.id}: {verdicts} {case.extracted!r} ({case.rule})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
