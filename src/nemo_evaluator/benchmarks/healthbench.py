"""HealthBench: medical conversations, graded by physicians' rubrics (Arora et al. 2025,
arXiv 2505.08775).

Every criterion of an example is judged on its own, met or not. The score of an example is the
points of what is met over all positive points, so it may be negative; means are clipped to [0, 1],
as the authors do. Axes are metrics (over the criteria of an axis), themes group the results. The
judge's instruction is in our own words. The authors' dataset is one file for each variant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..environments.define import benchmark, scorer
from ..environments.fingerprint import digest
from ..environments.hub import NoFileError
from ..environments.row_files import Row
from ..environments.rows import Dataset, digest_rows, load
from ..environments.seeds import SeedResult
from ..errors import ConfigError
from ..judging.prompts import SYSTEM, tagged
from ..judging.verification import together
from ..scoring.input import ScorerInput
from ..scoring.judged import Labels
from ..types import Failure

DATASET = "hf://openai/HealthBench"
FILES = {
    None: "2025-05-07-06-14-12_oss_eval.jsonl",
    "hard": "hard_2025-05-08-21-00-10.jsonl",
    "consensus": "consensus_2025-05-09-20-00-46.jsonl",
}
"""Variant → file of the dataset, as on its page."""
CONSENSUS = "level:cluster"
"""Tag of the criteria that several physicians agreed on; the consensus variant has only these."""
FORM = Labels(("yes", "no"), {"true": "yes", "false": "no"}, field="met")
EXPLANATION_CHARS = 300
GRADER = """\
Say whether the last reply of a conversation about health meets one criterion.

Look at this criterion alone, and at nothing but the last reply; what was said before is there to \
understand it. All that the criterion demands must be there, except where it only gives examples \
("such as", "for example", "including"): then not every one is needed. A criterion may describe \
something bad; it is met where the reply does that bad thing. The question is whether what it \
describes is so, never whether that is good.
"""


def params(subset: str | None = None, dataset: str | None = None) -> Mapping[str, Any]:
    """``subset``: ``hard`` or ``consensus``. ``dataset``: another copy, or a variant's file."""
    if subset not in FILES:
        hint = "hard or consensus"
        raise ConfigError(f"unknown subset {subset!r}", where="healthbench", hint=hint)
    if dataset is None:
        return {"dataset": lambda: published(subset)}
    return {"dataset": dataset if subset is None else lambda: subset_of(load(dataset), subset)}


def published(subset: str | None = None) -> Dataset:
    """The authors' examples; of a mirror without their files, those of its split ``test``."""
    uri = f"{DATASET}?file={FILES[subset]}"
    try:
        return replace(load(uri), name=uri)
    except NoFileError:
        uri = f"{DATASET}?split=test"
        data = replace(load(uri), name=uri)
    return data if subset is None else subset_of(data, subset)


def subset_of(data: Dataset, subset: str) -> Dataset:
    """The examples of a variant, with the criteria that count in it. Raises ConfigError where the
    dataset does not tell them."""
    rows: list[Row]
    if subset == "consensus":
        rows = [
            {**row, "rubrics": agreed}
            for row in data.rows
            if (agreed := [item for item in row["rubrics"] if CONSENSUS in item["tags"]])
        ]
    else:
        rows = [row for row in data.rows if row.get("hard") or "hard" in _tags(row, "subset")]
    if not rows:
        raise ConfigError(
            f"the dataset does not say which examples are {subset}",
            where=f"healthbench: {data.name}",
            hint="params: {dataset: FILE} with the file of that variant",
        )
    return Dataset(rows, f"{data.name} ({subset})", data.revision, digest_rows(rows))


def seed(row: dict[str, Any], idx: int) -> SeedResult:
    """The conversation as it is; the criteria are what is expected."""
    tags = {
        name: found[0]
        for name in ("theme", "physician_agreed_category")
        if (found := _tags(row, name))
    }
    criteria = [
        {"criterion": item["criterion"], "points": item["points"], "tags": list(item["tags"])}
        for item in row["rubrics"]
    ]
    if not any(item["points"] > 0 for item in criteria):
        raise ConfigError("no criterion gives points", where=f"healthbench, row {idx}")
    messages = [{"role": turn["role"], "content": turn["content"]} for turn in row["prompt"]]
    metadata = {"prompt_id": row.get("prompt_id"), "conversation": messages, "breakdowns": tags}
    return SeedResult(messages=messages, expected_answer=criteria, metadata=metadata)


def question(conversation: Sequence[Mapping[str, Any]], response: str, criterion: str) -> str:
    """What the judge is asked about one criterion."""
    turns = "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in conversation)
    shown = [tagged("conversation", turns), tagged("last_reply", response)]
    return "\n\n".join([GRADER, *shown, tagged("criterion", criterion)])


def share(criteria: Sequence[Mapping[str, Any]], met: Sequence[bool]) -> float | None:
    """Points of the criteria that are met over all positive points; None if there are none.

    Example: points 10 (met), 5 (not), -8 (met): (10 - 8) / 15 = 0.1333.
    """
    possible = sum(item["points"] for item in criteria if item["points"] > 0)
    if possible <= 0:
        return None
    got = sum(item["points"] for item, is_met in zip(criteria, met, strict=True) if is_met)
    return float(got / possible)


def verdict(criteria: Sequence[Mapping[str, Any]], met: Sequence[bool]) -> dict[str, Any]:
    """The score of an example, and by axis where the axis can give points."""
    total = share(criteria, met)
    assert total is not None  # seed() sees to it
    metrics = {}
    for axis in sorted({tag for item in criteria for tag in item["tags"] if tag[:5] == "axis:"}):
        chosen = [i for i, item in enumerate(criteria) if axis in item["tags"]]
        part = share([criteria[i] for i in chosen], [met[i] for i in chosen])
        if part is not None:
            metrics[axis] = [part, 1.0]
    return {"reward": total, "metrics": metrics}


def _tags(row: Mapping[str, Any], name: str) -> list[str]:
    return [
        str(tag).partition(":")[2]
        for tag in row.get("example_tags") or ()
        if str(tag).partition(":")[0] == name
    ]


@benchmark(
    name="healthbench",
    dataset=published,
    seed_fn=seed,
    extra={"grader": digest(GRADER)},
    requirements=["judge"],
    own_rubric=True,
    params=params,
    mean_range=(0.0, 1.0),
)
@scorer
async def healthbench(sample: ScorerInput) -> dict[str, Any]:
    """Every criterion, met or not. An empty reply gets no points, without asking the judge."""
    criteria = sample.target_raw
    if not sample.response.strip():
        nothing = verdict(criteria, [False] * len(criteria))
        return {**nothing, "extracted": None, "failure": Failure.EMPTY.value}
    conversation = sample.metadata["conversation"]
    rulings = await together(
        sample.judge.ask(
            question(conversation, sample.response, item["criterion"]), FORM, system=SYSTEM
        )
        for item in criteria
    )
    met = [ruling.value == "yes" for ruling in rulings]
    judgements = [
        {"points": item["points"], "met": is_met, "why": ruling.explanation[:EXPLANATION_CHARS]}
        for item, is_met, ruling in zip(criteria, met, rulings, strict=True)
    ]
    return {
        **verdict(criteria, met),
        "extracted": f"{sum(met)} of {len(met)} criteria met",
        "criteria": judgements,
    }
