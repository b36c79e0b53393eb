"""Options of lm_eval, as its command takes them."""

from __future__ import annotations

import pytest

from nemo_evaluator.environments.lm_eval.options import parse
from nemo_evaluator.errors import ConfigError


@pytest.mark.parametrize(
    ("uri", "params"),
    [
        ("lm-eval://a?gen_kwargs=temperature=0.5,do_sample=True", {}),
        ("lm-eval://a", {"gen_kwargs": "temperature=0.5,do_sample=True"}),
        ("lm-eval://a", {"gen_kwargs": '{"temperature": 0.5, "do_sample": true}'}),
        ("lm-eval://a", {"gen_kwargs": {"temperature": 0.5, "do_sample": True}}),
    ],
)
def test_generation_parameters_are_a_mapping_or_a_text(uri: str, params: dict[str, object]) -> None:
    names, options = parse(uri, params)  # type: ignore[arg-type]
    assert names == ("a",)
    assert options.gen_kwargs == {"temperature": 0.5, "do_sample": True}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", 0),
        ("limit", -3),
        ("limit", -0.5),
        ("num_fewshot", -1),
        ("bootstrap_iters", 1),
        ("bootstrap_iters", -5),
    ],
)
def test_numbers_that_mean_nothing_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        parse("lm-eval://a", {name: value})
