"""A report as the ``model-index`` of a Hugging Face model card: YAML for a README's front matter.

Shape: https://github.com/huggingface/hub-docs/blob/main/modelcard.md, as huggingface_hub reads it.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from ..errors import ConfigError
from ..results.identity_facts import facts_of
from ..results.published import Measure, Published
from . import figures as show
from .view import Report, Result, metrics

TASK = "text-generation"


def model_index(report: Report) -> str:
    """YAML with an entry per model. Raises ConfigError if no result has a score."""
    import yaml

    scored = [result for result in report.results if result.score is not None]
    if not scored:
        raise ConfigError("has no score to put on a model card", where=report.results[0].path)
    document = {
        "model-index": [
            {
                "name": model,
                "results": [_result(r) for r in scored if (r.data.model or "unknown") == model],
            }
            for model in dict.fromkeys(result.data.model or "unknown" for result in scored)
        ]
    }
    comments = [f"# {text}\n" for text in _comments(report)]
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return "".join(comments) + text


def _result(result: Result) -> dict[str, object]:
    return {
        "task": {"type": TASK},
        "dataset": _dataset(result.data),
        "metrics": [
            _metric(name, measure, result.data)
            for name, measure in metrics(result.data)
            if name == result.data.headline or name.startswith(("pass@", "pass^"))
        ],
    }


def _dataset(data: Published) -> dict[str, object]:
    """The hub's id, configuration and split where the dataset is the hub's."""
    facts = facts_of(data.identity)
    parts = urlsplit(facts.dataset) if facts.dataset is not None else None
    if parts is None or parts.scheme != "hf":
        return {"name": data.name, "type": data.name}
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    revision = facts.dataset_revision or query.get("revision")
    found = {
        "name": data.name,
        "type": f"{parts.netloc}{parts.path}",
        "config": query.get("config"),
        "split": query.get("split"),
        "revision": revision,
    }
    return {key: value for key, value in found.items() if value is not None}


def _metric(name: str, measure: Measure, data: Published) -> dict[str, object]:
    """A metric; its interval and what it rests on go into ``args``; only the hub may call it
    verified."""
    problems = data.n_problems if measure.n is None else measure.n
    part = show.problems(problems, data.dataset_size)
    notes = [f"{part} problems"] if " of " in part else []
    notes += ["simulated"] if data.simulated else []
    args = {
        "ci_lower": measure.ci_lower,
        "ci_upper": measure.ci_upper,
        "n": measure.n,
        "dataset_size": data.dataset_size,
        "repeats": data.repeats,
        "coverage": data.coverage,
        "num_fewshot": facts_of(data.identity).num_fewshot,
    }
    return {
        "type": name,
        "name": f"{name} ({', '.join(notes)})" if notes else name,
        "value": round(measure.value, show.digits(measure)),
        "args": {key: value for key, value in args.items() if value is not None},
    }


def _comments(report: Report) -> list[str]:
    lines = [f"{notice.about}: {notice.text}" for notice in report.notices]
    return [" ".join(line.split()) for line in lines]
