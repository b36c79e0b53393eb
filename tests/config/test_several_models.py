"""``models: [a, b]``: each benchmark is asked of each model."""

from __future__ import annotations

import pytest

from nemo_evaluator.config.load import parse
from nemo_evaluator.errors import ConfigError

SERVICES = {name: {"type": "simulated", "accuracy": 0.1} for name in ("large", "small")}


def expanded(**document: object) -> list[tuple[str, str | None, str | None]]:
    loaded = parse({"services": SERVICES, **document}, env={})
    return [(b.name, b.label, getattr(b.solver, "service", None)) for b in loaded.config.benchmarks]


def test_each_benchmark_has_an_entry_for_each_model() -> None:
    found = expanded(models=["large", "small"], benchmarks=[{"name": "sample"}, {"name": "gsm8k"}])
    assert found == [
        ("sample", "sample@large", "large"),
        ("sample", "sample@small", "small"),
        ("gsm8k", "gsm8k@large", "large"),
        ("gsm8k", "gsm8k@small", "small"),
    ]


def test_the_solver_stays_but_for_its_service() -> None:
    loaded = parse(
        {
            "services": SERVICES,
            "models": ["large", "small"],
            "solver": {"type": "simple", "system_prompt": "Be terse."},
            "benchmarks": [{"name": "sample", "label": "terse", "repeats": 3}],
        },
        env={},
    )
    for benchmark, name in zip(loaded.config.benchmarks, ("large", "small"), strict=True):
        assert (benchmark.label, benchmark.repeats) == (f"terse@{name}", 3)
        assert benchmark.solver is not None
        assert benchmark.solver.system_prompt == "Be terse."  # type: ignore[union-attr]


def test_an_entry_that_names_its_model_stays() -> None:
    own = {"name": "sample", "solver": {"type": "simple", "service": "small"}}
    assert expanded(models=["large"], benchmarks=[own]) == [("sample", None, "small")]


@pytest.mark.parametrize(
    ("name", "label"),
    [("./x/capitals.py", "capitals@large"), ("a/b.py:two", "b:two@large"), ("t://x/y", "t://x/y@large")],
)  # fmt: skip
def test_labels_of_files_are_short(name: str, label: str) -> None:
    from nemo_evaluator.config.several_models import with_models
    from nemo_evaluator.config.tree import from_plain, plain

    document = {"services": SERVICES, "models": ["large"], "benchmarks": [{"name": name}]}
    assert plain(with_models(from_plain(document)))["benchmarks"][0]["label"] == label


@pytest.mark.parametrize("models", [None, []])
def test_no_models_are_no_change(models: object) -> None:
    plain = [{"name": "sample", "solver": {"type": "simple", "service": "small"}}]
    assert expanded(models=models, benchmarks=plain) == expanded(benchmarks=plain)


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (["larg"], "there is no service 'larg' — did you mean 'large'?"),
        (["large", "large"], "'large' is listed twice"),
        ("large", "models is a list of names of services"),
        ([1], "models is a list of names of services"),
    ],
)
def test_what_is_wrong_is_said(models: object, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        expanded(models=models, benchmarks=[{"name": "sample"}])
    assert says in str(error.value)
