"""How often our scorers agree with recorded answers that others have graded.

    python benchmarks/scoring_truth.py [--shared ../shared] [--list] [SET ...]

Every set is graded through the public primitives. Prints one line per set: n, agreements and their
share, beside the shares of the original's rule and of lm-eval's or simple-evals' for the same set
(``scoring_rules``; a dash where there is none), against the labels as recorded and as ``JUDGED``;
with --list each of our disagreements by id.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import scoring_rules as rules

from nemo_evaluator.benchmarks.xstest import refuses
from nemo_evaluator.scoring import overlap
from nemo_evaluator.scoring.drop import best_em_and_f1, em_and_f1
from nemo_evaluator.scoring.find_math import find_math
from nemo_evaluator.scoring.input import ScorerInput
from nemo_evaluator.scoring.instructions.ifeval import check_instructions
from nemo_evaluator.scoring.mathematics import math_equal
from nemo_evaluator.scoring.primitives import (
    answer_line,
    drop_match,
    math_match,
    multichoice_regex,
    numeric_match,
    trivia_match,
)
from nemo_evaluator.scoring.text import same_text, token_f1
from nemo_evaluator.stats.passk import pass_at_k

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


def _xstest(row: Row) -> Case:
    """Refused or not, in part or altogether, as two people saw it."""
    refused = refuses(row["response"])
    found = {"extracted": refused, "rule": "refuses"}
    return _case(row, found, refused, _refused(row["human_final_label"]))


def _refused(label: str) -> bool:
    return not label.endswith("full_compliance")


def _fixture(row: Row) -> Case:
    """Rewards of the original itself, on the benchmarks both have."""
    sample = ScorerInput(row["model_response"], row["expected_answer"], row["metadata"])
    if row["benchmark"] == "drop":
        golds = row["metadata"]["correct_answers"]
        verdict = drop_match(ScorerInput(sample.response, golds))
    elif row["benchmark"] == "mmlu_pro":
        verdict = multichoice_regex(sample, options=10, order="first")
    else:
        verdict = FIXTURES[row["benchmark"]](sample)
    found = {**row, "id": f"{row['benchmark']}/{row['idx']}"}
    return _case(found, verdict, float(verdict["correct"]), row["reward"])


FIXTURES: dict[str, Callable[[ScorerInput], Row]] = {
    "gsm8k": numeric_match,
    "mmlu": multichoice_regex,
    "math500": math_match,
    "triviaqa": trivia_match,
    "mmlu_pro": multichoice_regex,
    "drop": drop_match,
}


def _lighteval(row: Row) -> Case:
    """A metric's value within the tolerance of the test."""
    ours = LIGHTEVAL[row["metric_class"]](row)
    expected = row["expected_output"]
    values = expected if isinstance(expected, dict) else {"value": expected}
    agrees = all(abs(ours[key] - value) <= row["tolerance"] for key, value in values.items())
    return Case(row["id"], agrees, ours, expected, None, row["metric_class"])


def _texts(row: Row) -> tuple[list[str], list[list[str]]]:
    """Predictions and the references of each."""
    docs = row["docs"] if "docs" in row else [row["doc"]]
    said = row["model_responses"] if "model_responses" in row else [row["model_response"]]
    return [one["text"][0] for one in said], [_golds(doc) for doc in docs]


def _golds(doc: Row) -> list[str]:
    at = doc["gold_index"]
    return [doc["choices"][i] for i in ([at] if isinstance(at, int) else at)]


def _one(measure: Callable[[str, str], float], key: str) -> Callable[[Row], Row]:
    def graded(row: Row) -> Row:
        (said,), (golds,) = _texts(row)
        return {key: max(measure(said, gold) for gold in golds)}

    return graded


def _samples(row: Row) -> tuple[list[bool], int]:
    """Verdicts on several samples of one problem, and k."""
    golds, params = _golds(row["doc"]), row["metric_params"]
    texts = row["model_response"]["text"][: params.get("n", params["k"])]
    by_math = row["metric_class"].endswith("_math")
    same = (lambda a, b: math_equal(a, b).equal) if by_math else same_text
    return [any(same(text, gold) for gold in golds) for text in texts], params["k"]


def _at_k(row: Row) -> Row:
    right, k = _samples(row)
    name = next(iter(row["expected_output"]))
    if name.startswith("avg"):
        return {name: sum(right[:k]) / k}
    return {name: pass_at_k(len(right), sum(right), k)}


def _drop_case(row: Row) -> Row:
    golds = row["doc"]["specific"]["golds_no_preprocessing"]
    em, f1 = best_em_and_f1(row["model_response"]["text"], golds)
    return {"em": em, "f1": f1}


def _copied(row: Row) -> Row:
    """Edit distance of words; the common prefix is not ours to measure."""
    (said,), ((gold,),) = _texts(row)
    a, b = said.split(), gold.split()
    distance = overlap.levenshtein(a, b)
    prefix = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    return {
        "longest_common_prefix_length": prefix,
        "edit_distance": distance,
        "edit_similarity": 1 - distance / max(len(a), len(b)),
    }


LIGHTEVAL: dict[str, Callable[[Row], Row]] = {
    "bleu": lambda row: {"value": overlap.bleu(*_texts(row))},
    "chrf": lambda row: {"value": overlap.chrf(*_texts(row))},
    "drop": _drop_case,
    "copyright": _copied,
    "exact_match": _one(lambda a, b: float(same_text(a, b)), "em"),
    "f1_score": _one(lambda a, b: token_f1(a, b, str.lower), "f1"),
    "rougeL": _one(overlap.rouge_l, "rougeL"),
    "avg_at_k": _at_k,
    "avg_at_k_math": _at_k,
    "pass_at_k_math": _at_k,
}


def _ifeval(row: Row) -> Case:
    """All verdicts on one response: strict and loose, per instruction."""
    followed = check_instructions(row["response"], row["instruction_id_list"], row["kwargs"])
    theirs = (row["strict_list"], row["loose_list"])
    ours = (list(followed.strict), list(followed.loose))
    return Case(row["id"], ours == theirs, ours, theirs, row["instruction_id_list"], "ifeval")


def _skills(row: Row) -> Case:
    ours = 100 * sum(pass_at_k(n, c, row["k"]) for n, c in row["counts"]) / len(row["counts"])
    return Case(
        row["id"], abs(ours - row["expected"]) < 1e-9, ours, row["expected"], None, "pass@k"
    )


def rows_of(folder: Path, name: str) -> Iterator[Row]:
    """The rows of a set that apply, with what is kept elsewhere joined to them."""
    if name == "nemo_skills_eval":
        yield from _skills_rows(folder / name)
        return
    arguments: dict[int, Row] = {}
    if name == "ifeval_outputs":
        prompts = rows(folder.parent / "hf" / "google" / "IFEval" / "default", "train")
        arguments = {row["key"]: row["kwargs"] for row in prompts}
    for row in rows(folder, name):
        if name == "nemo_evaluator_fixtures" and row["benchmark"] not in FIXTURES:
            continue
        if name == "lighteval_metric_cases" and row["metric_class"] not in LIGHTEVAL:
            continue
        if name == "ifeval_outputs":
            row["kwargs"] = arguments[row["key"]]
        yield row


def _skills_rows(folder: Path) -> Iterator[Row]:
    """pass@k of recorded verdicts, beside the published figures."""
    expected = json.loads((folder / "expected_metrics.json").read_text())
    for name, field, metric in (
        ("math", "symbolic_correct", "symbolic_correct"),
        ("human-eval", "is_correct", "passing_base_tests"),
        ("human-eval", "is_correct-plus", "passing_plus_tests"),
    ):
        files = sorted((folder / name).glob("*.jsonl"))
        samples = zip(*(list(rows(folder / name, file.stem)) for file in files), strict=True)
        counts = [(len(of), sum(bool(row[field]) for row in of)) for of in samples]
        for k in range(1, len(files) + 1):
            key = f"pass@1[avg-of-{k}]" if k == 1 and k < len(files) else f"pass@{k}"
            key = f"pass@1[avg-of-{len(files)}]" if k == 1 else key
            yield {
                "id": f"{name}/{metric}/pass@{k}",
                "k": k,
                "counts": counts,
                "expected": expected[name][key][metric],
            }


class Set(NamedTuple):
    """How a set is graded: by us, by the original's rule, by another's."""

    ours: Callable[[Row], Case]
    original: Callable[[Row], Any] | None = None
    reference: Callable[[Row], Any] | None = None
    source: str = ""


SETS: dict[str, Set] = {
    "gsm8k_openai_2021": Set(_number, rules.original_number, rules.lm_eval_gsm8k, "lm-eval"),
    "gsm8k_abel": Set(_number, rules.original_number, rules.lm_eval_gsm8k, "lm-eval"),
    "mcq_mathgpt_abel": Set(
        _choice, rules.original_letter, rules.simple_evals_letter, "simple-evals"
    ),
    "mmlu_pro_outputs": Set(_mmlu_pro, rules.original_letter, rules.lm_eval_mmlu_pro, "lm-eval"),
    "math_qwen_8samples": Set(_math, rules.original_math, rules.lm_eval_math, "lm-eval"),
    "bbh_codex_cot": Set(_bbh, None, rules.lm_eval_bbh, "lm-eval"),
    "triviaqa_search_r1": Set(_trivia, rules.original_fuzzy, rules.lm_eval_trivia, "lm-eval"),
    "nq_search_r1": Set(_trivia, rules.original_fuzzy, rules.lm_eval_nq, "lm-eval"),
    "drop_metric_cases": Set(_drop, rules.original_drop),
    "inspect_math_cases": Set(
        _math_case, rules.original_math_case, rules.lm_eval_math_case, "lm-eval"
    ),
    "math_verify_cases": Set(_pair, rules.original_pair, rules.lm_eval_pair, "lm-eval"),
    "lighteval_metric_cases": Set(_lighteval),
    "ifeval_outputs": Set(_ifeval),
    "xstest_human_labels": Set(
        _xstest, None, lambda row: _refused(row["strmatch_label"]), "the authors"
    ),
    "nemo_skills_eval": Set(_skills),
    "nemo_evaluator_fixtures": Set(_fixture, lambda row: row["reward"]),  # its own verdicts
}


# Labels that are plainly wrong, by reading the response: a string comparison, a script that found
# nothing or filled in a letter, a language detector on one word, the original's misses. All three
# rules are measured against these too ("judged"). What can be argued about stays as it is.
_MMLU = "mmlu_pro/"
JUDGED: dict[str, Any] = {
    **dict.fromkeys(
        (
            _MMLU + "Mistral-7B-Instruct-v0.2/6185",
            _MMLU + "Mistral-7B-Instruct-v0.2/10711",
            _MMLU + "Phi-3-mini-4k-instruct/4773",
            _MMLU + "Phi-3-mini-4k-instruct/9254",
            _MMLU + "Phi-3-mini-4k-instruct/10367",
            _MMLU + "Qwen1.5-72B-Chat/388",
            _MMLU + "Qwen1.5-72B-Chat/3369",
            "math/qwen/72/7",
            "gsm8k/4",
            "math500/0",
        ),
        1.0,
    ),
    **dict.fromkeys(
        (
            _MMLU + "Meta-Llama-3_1-8B-Instruct/4612",
            _MMLU + "Meta-Llama-3_1-8B-Instruct/8433",
            _MMLU + "Meta-Llama-3_1-8B-Instruct/8856",
            _MMLU + "Meta-Llama-3_1-8B-Instruct/10004",
        ),
        0.0,
    ),
    "math_verify/32": 1,
    "ifeval/gpt-4_20231107/202": ([True], [True]),
    "ifeval/gpt-4o-mini-2024-07-18/202": ([True], [True]),
}


def agreement(folder: Path, name: str) -> list[Case]:
    """Every case of a recorded set, graded by us."""
    return [SETS[name].ours(row) for row in rows_of(folder, name)]


Shares = tuple[str, str]
"""Agreement with the labels as recorded, and as judged."""


def shares(cases: list[Case], verdicts: list[Any] | None) -> Shares:
    """How often the verdicts of a rule agree with the labels; dashes where there is no rule."""
    if verdicts is None:
        return "–", "–"
    pairs = list(zip(cases, verdicts, strict=True))
    recorded = sum(said == case.theirs for case, said in pairs)
    judged = sum(said == JUDGED.get(case.id, case.theirs) for case, said in pairs)
    return f"{recorded / len(cases):.2%}", f"{judged / len(cases):.2%}"


def table_line(folder: Path, name: str, cases: list[Case], micros: float) -> str:
    """One line of the table."""
    graded = SETS[name]
    columns = [shares(cases, [case.theirs if case.agrees else case.ours for case in cases])]
    for rule in (graded.original, graded.reference):
        said = None if rule is None else [rule(row) for row in rows_of(folder, name)]
        columns.append(shares(cases, said))
    recorded = "".join(f"{column[0]:>10}" for column in columns)
    judged = "".join(f"{column[1]:>10}" for column in columns)
    return f"{name:<24}{len(cases):>6}{recorded}  |{judged}  {graded.source:<12}{micros:7.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=default)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("sets", nargs="*")
    args = parser.parse_args()
    folder = args.shared / "data" / "recorded"
    logging.disable(logging.WARNING)  # math-verify tells about every text it cannot read
    names = f"{'ours':>10}{'original':>10}{'reference':>10}"
    print(f"{'':<30}{'labels as recorded':>30}  |{'labels as judged':>30}")
    print(f"{'set':<24}{'n':>6}{names}  |{names}  {'reference':<12}µs/row (ours)")
    for name in args.sets or SETS:
        start = time.perf_counter()
        cases = agreement(folder, name)
        micros = (time.perf_counter() - start) / len(cases) * 1e6
        print(table_line(folder, name, cases, micros))
        for case in cases if args.list else ():
            if not case.agrees:
                verdicts = f"ours={case.ours} theirs={case.theirs}"
                judged = "  (judged: ours)" if JUDGED.get(case.id) == case.ours else ""
                print(f"    {case.id}: {verdicts} {case.extracted!r} ({case.rule}){judged}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
