"""Every argument of `@benchmark` has its effect; a scorer's failure is never a score."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from nemo_evaluator import SandboxSpec, ScorerInput, math_match
from nemo_evaluator.environments.contract import Environment, VerifyTools
from nemo_evaluator.environments.define import SeedResult, benchmark
from nemo_evaluator.environments.defined import DefinedEnvironment
from nemo_evaluator.errors import ConfigError, InfraError
from nemo_evaluator.sandbox_spec import HandoverSpec
from nemo_evaluator.types import Failure, Image, Phase, Problem, Score, Solution

TOOLS = VerifyTools()


async def seeded(tried: DefinedEnvironment, idx: int = 0) -> Problem:
    await tried.prepare()
    return await tried.seed(idx)


async def graded(tried: DefinedEnvironment, response: str, **solution: Any) -> Score:
    problem = await seeded(tried)
    return await tried.verify(problem, Solution(response=response, **solution), TOOLS)


async def test_a_row_becomes_a_problem(environment: Any) -> None:
    rows = [{"q": "2+2", "target": 4, "topic": "sums"}]
    tried = environment(dataset=rows, prompt="How much is {q}?", system_prompt="Be brief.")
    assert isinstance(tried, Environment)
    problem = await seeded(tried)
    assert (problem.prompt, problem.target, problem.system) == ("How much is 2+2?", 4, "Be brief.")
    assert problem.metadata == {"q": "2+2", "topic": "sums"}
    assert problem.category is None and problem.cluster is None
    assert await tried.size() == 1


async def test_seeding_again_gives_the_same_problem(environment: Any) -> None:
    def shuffled(row: dict[str, Any], idx: int, rng: Random) -> dict[str, Any]:
        rng.shuffle(row["choices"])  # in place: the stored row must not notice
        return row

    rows = [{"choices": list("abcdefgh"), "target": "a"} for _ in range(3)]
    tried = environment(dataset=rows, prompt="{choices!r}", prepare_row=shuffled)
    first = [await seeded(tried, idx) for idx in range(3)]
    again = [await tried.seed(idx) for idx in (2, 0, 1)]
    assert again == [first[2], first[0], first[1]]
    assert len({problem.prompt for problem in first}) == 3
    assert rows[0]["choices"] == list("abcdefgh")


async def test_target_field_and_field_mapping(environment: Any) -> None:
    tried = environment(
        dataset=[{"Q": "2+2", "gold": "4"}],
        target_field="gold",
        field_mapping={"Q": "question"},
        prompt="{question}",
    )
    problem = await seeded(tried)
    assert (problem.prompt, problem.target) == ("2+2", "4")
    assert problem.metadata == {"Q": "2+2", "question": "2+2"}  # either name may be used


async def test_categories_and_clusters(environment: Any) -> None:
    rows = [{"q": "?", "target": "4", "topic": "sums", "passage": 17}]
    problem = await seeded(
        environment(dataset=rows, category_field="topic", cluster_field="passage")
    )
    assert (problem.category, problem.cluster) == ("sums", "17")


async def test_a_seed_function_writes_the_problem(environment: Any) -> None:
    def talk(row: dict[str, Any], idx: int) -> SeedResult:
        return SeedResult(
            messages=[{"role": "user", "content": row["q"]}],
            system=row["system"],
            expected_answer=idx,
            images=["https://h/x.png", "y.png", b"z"],
            metadata={"cluster": 5},
        )

    rows = [{"q": "look", "system": None, "kind": "picture"}, {"q": "look", "system": "mine"}]
    tried = environment(
        dataset=rows, seed_fn=talk, category_field="kind", system_prompt="of the benchmark"
    )
    problem = await seeded(tried)
    assert problem.messages == ({"role": "user", "content": "look"},)
    assert (problem.system, problem.target) == ("of the benchmark", 0)
    assert (problem.category, problem.cluster) == ("picture", "5")
    assert problem.images == (
        Image(url="https://h/x.png"),
        Image(path="y.png"),
        Image(data=b"z"),
    )
    assert (await tried.seed(1)).system == "mine"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"sandbox_spec": {"image": "x"}}, "sandbox_spec is dict, not a SandboxSpec"),
        ({"verify_sandbox_spec": {"image": "x"}}, "verify_sandbox_spec is dict, not a SandboxSpec"),
    ],
)
async def test_a_sandbox_is_refused(
    environment: Any, asked: Mapping[str, Any], message: str
) -> None:
    tried = environment(seed_fn=lambda row, idx: SeedResult(prompt="?", **asked))
    with pytest.raises(ConfigError, match=f"tried, row 0: {message}"):
        await seeded(tried)


async def test_a_problem_says_how_its_verifier_gets_the_workspace(environment: Any) -> None:
    commands = {"capture_cmd": "a", "apply_cmd": "b", "pre_agent_cmd": "c"}
    other = SandboxSpec(cwd="/tests")
    tried = environment(
        seed_fn=lambda row, idx: SeedResult(
            prompt="?", sandbox_spec=SandboxSpec(), verify_sandbox_spec=other, **commands
        )
    )
    assert (await seeded(tried)).handover == HandoverSpec(verifier=other, **commands)


async def test_a_problem_has_a_workspace(environment: Any) -> None:
    """By its seeding, for all rows, or by a function of the row."""
    spec = SandboxSpec(files={"a": b"b"})
    for given in (
        {"seed_fn": lambda row, idx: SeedResult(prompt="?", sandbox_spec=spec)},
        {"workspace": spec},
        {"workspace": lambda row: SandboxSpec(files={"a": b"b"})},
    ):
        tried = environment(**given)
        assert (await seeded(tried)).workspace == spec
        assert tried.needs.sandbox is not None
    with pytest.raises(ConfigError, match="workspace is dict, not a SandboxSpec"):
        await seeded(environment(workspace=lambda row: {}))
    with pytest.raises(ConfigError, match="workspace failed: KeyError"):
        await seeded(environment(workspace=lambda row: row["no such"]))


async def test_few_shot_examples_come_before_the_prompt(environment: Any) -> None:
    shots = [{"q": "1+1", "target": "2"}, {"q": "1+2", "target": "3"}, {"q": "no", "target": "no"}]
    tried = environment(prompt="Q: {q}\nA:", num_fewshot=2, fewshot_dataset=shots)
    assert (await seeded(tried)).prompt == "Q: 1+1\nA: 2\n\nQ: 1+2\nA: 3\n\nQ: ?\nA:"
    tried = environment(
        num_fewshot=1, fewshot_dataset=shots, fewshot_format="[{q} = {target}]", prompt="{q}"
    )
    assert (await seeded(tried)).prompt == "[1+1 = 2]\n\n?"
    tried = environment(prompt="{{ q }} =", template="jinja", num_fewshot=1, fewshot_dataset=shots)
    assert (await seeded(tried)).prompt == "1+1 = 2\n\n? ="


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_fewshot": 1}, "need a fewshot_dataset"),
        (
            {"num_fewshot": 2, "fewshot_dataset": [{"q": 1, "target": 1}]},
            "2 examples .* there are 1",
        ),
        (
            {
                "num_fewshot": 1,
                "fewshot_dataset": [{"q": 1, "target": 1}],
                "seed_fn": lambda row, idx: SeedResult(prompt="?"),
            },
            "no effect where a seed_fn",
        ),
        (
            {"requirements": ["surely-not-installed>=2"]},
            "needs the package surely-not-installed>=2",
        ),
        ({"requirements": ["msgspec>=9999"]}, r"msgspec>=9999; [\d.]+ is installed"),
        ({"requirements": ["not a requirement!"]}, "is not a requirement"),
        ({"target_field": "gold"}, r"tried, row 0: the row has no target field 'gold'.*q, target"),
        ({"prompt": "{nosuch}"}, r"tried, row 0: .*'nosuch'"),
        (
            {"prepare_row": lambda row, idx, rng: row["nosuch"]},
            "row 0: prepare_row failed: KeyError",
        ),
        ({"prepare_row": lambda row, idx, rng: None}, "row 0: prepare_row returned NoneType"),
        ({"seed_fn": lambda row, idx: row["nosuch"]}, "row 0: seed_fn failed: KeyError"),
        ({"seed_fn": lambda row, idx: row}, "row 0: seeding returned dict, not a SeedResult"),
        ({"seed_fn": lambda row, idx: SeedResult()}, "row 0: .*neither prompt nor messages"),
    ],
)
async def test_mistakes_name_benchmark_and_row(
    environment: Any, arguments: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        await seeded(environment(**arguments))


async def test_requirements_that_are_met(environment: Any) -> None:
    await environment(requirements=["msgspec>=0.1", "nosuch; python_version < '3'"]).prepare()


def test_arguments_are_checked_when_decorating() -> None:
    with pytest.raises(ConfigError, match="endpoint_type 'chatt'"):
        benchmark(name="b", dataset=[], prompt="?", endpoint_type="chatt")
    with pytest.raises(ConfigError, match="needs a prompt or a seed_fn"):
        benchmark(name="b", dataset=[])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"prompt": lambda row: row["q"]}, "prompt must be a template"),
        ({"name": None}, "needs a name"),
        ({"target_field": 5}, "target_field must be a text, not 5"),
        ({"category_field": 5}, "category_field must be the name of a field"),
        ({"prepare_row": {"a": 1}}, "prepare_row must be a function"),
        ({"field_mapping": ["a"]}, "field_mapping must be a dict"),
        ({"requirements": "judge"}, "requirements must be a list of texts, not 'judge'"),
        ({"num_fewshot": "3"}, "num_fewshot must be a whole number"),
        ({"keep_reasoning": "no"}, "keep_reasoning must be True or False, not 'no'"),
        ({"sandbox": "python"}, "sandbox must be a SandboxSpec"),
        ({"mean_range": 3}, "mean_range is 3"),
    ],
)
def test_an_argument_of_another_type_is_refused_when_decorating(
    given: dict[str, Any], told: str
) -> None:
    arguments = {"name": "b", "dataset": [{"q": "a", "target": "b"}], "prompt": "{q}", **given}
    with pytest.raises(ConfigError, match=told):
        benchmark(**arguments)(lambda sample: True)


@pytest.mark.parametrize("function", [lambda: True, lambda sample, target: True, type("X", (), {})])
def test_a_scorer_that_cannot_take_a_sample_is_refused_when_decorating(function: Any) -> None:
    decorate = benchmark(name="b", dataset=[], prompt="?")
    with pytest.raises(ConfigError, match="must take one argument, the sample"):
        decorate(function)
    decorate(lambda sample, strict=True: True)


async def test_params_replace_arguments(environment: Any) -> None:
    def params(level: int = 1) -> dict[str, Any]:
        return {"dataset": [{"q": f"level {level}", "target": "4"}], "extra": {"level": level}}

    definition = environment(params=params)._d
    chosen = DefinedEnvironment(definition.with_params({"level": 3}))
    assert (await seeded(chosen)).prompt == "level 3"
    assert chosen.identity()["params"] == {"level": "3"}
    with pytest.raises(ConfigError, match=r"unknown params levle — it accepts level"):
        definition.with_params({"levle": 3})
    with pytest.raises(ConfigError, match="it accepts none"):
        environment()._d.with_params({"level": 3})


def test_params_that_do_not_work_are_user_errors(environment: Any) -> None:
    def needs(level: int) -> dict[str, Any]:
        return {"no such argument": 1 // level}

    definition = environment(params=needs)._d
    with pytest.raises(ConfigError, match="missing params level — it accepts level"):
        definition.with_params({})
    with pytest.raises(ConfigError, match="tried: params cannot be applied: ZeroDivisionError"):
        definition.with_params({"level": 0})
    with pytest.raises(ConfigError, match="tried: params cannot be applied: TypeError"):
        definition.with_params({"level": 1})


async def test_the_scorer_sees_target_metadata_and_extra(environment: Any) -> None:
    seen: list[Any] = []

    def look(sample: Any) -> bool:
        seen.append(sample)
        return True

    await graded(environment(look, extra={"strict": True}), "<think>5</think>4")
    [sample] = seen
    assert (sample.response, sample.target) == ("4", "4")
    assert (sample.metadata, sample.config) == ({"q": "?", "target": "4"}, {"strict": True})


async def test_a_number_as_target_is_text_for_the_scorer(environment: Any) -> None:
    def same(sample: Any) -> bool:
        assert sample.target_raw == sample.metadata["target"] == 4
        return sample.response.strip() == sample.target

    tried = environment(same, dataset=[{"q": "2+2", "target": 4}])
    assert (await graded(tried, " 4 ")).correct and not (await graded(tried, "5")).correct


async def test_keep_reasoning(environment: Any) -> None:
    def length(sample: Any) -> dict[str, Any]:
        end = len(sample.response)
        return {"correct": "<think>" in sample.response, "extracted": "4", "span": [end - 1, end]}

    response = "<think>5</think>4"
    kept = await graded(environment(length, keep_reasoning=True), response)
    assert kept.correct and kept.details["span"] == [len(response) - 1, len(response)]
    stripped = await graded(environment(length), response)
    assert not stripped.correct and stripped.details["span"] == kept.details["span"]


async def asynchronous(sample: Any) -> float:
    return 0.5


class Callable_:
    async def __call__(self, sample: Any) -> bool:
        return True


@pytest.mark.parametrize(("grade", "reward"), [(asynchronous, 0.5), (Callable_(), 1.0)])
async def test_async_scorers(environment: Any, grade: Any, reward: float) -> None:
    assert (await graded(environment(grade), "4")).reward == reward


async def test_an_async_scorer_is_never_inline(environment: Any) -> None:
    assert not environment(asynchronous, inline=True).needs.inline
    assert environment(inline=True).needs.inline
    assert not environment().needs.inline


def raising(sample: Any) -> bool:
    raise RuntimeError("no such column")


async def raising_later(sample: Any) -> bool:
    raise RuntimeError("no such column")


def not_awaiting(sample: Any) -> bool:
    verdict = asynchronous(sample)
    try:
        return bool(verdict["correct"])
    finally:
        verdict.close()


async def test_a_forgotten_await_is_explained(environment: Any) -> None:
    with pytest.raises(InfraError, match="await what is asynchronous"):
        await graded(environment(not_awaiting), "4")


@pytest.mark.parametrize(
    "grade", [raising, raising_later, lambda sample: None, lambda sample: {"reward": "high"}]
)
async def test_a_scorer_that_fails_is_an_error_not_a_score(environment: Any, grade: Any) -> None:
    with pytest.raises(InfraError) as raised:
        await graded(environment(grade), "4")
    info = raised.value.info
    assert (info.kind, info.phase) == (Failure.VERIFIER, Phase.VERIFY)
    assert info.peer == grade.__name__
    assert f"scorer {grade.__name__} failed on problem 0" in info.message
    if grade in (raising, raising_later):
        assert "RuntimeError: no such column" in info.message and "test_define.py:" in info.message


async def test_a_cut_off_answer_is_marked(environment: Any) -> None:
    score = await graded(environment(), "I would", finish_reason="length")
    assert score.failure is Failure.TRUNCATED and score.details["truncated"] is True
    assert (await graded(environment(), "<think>so")).failure is Failure.TRUNCATED


CHANGES: dict[str, dict[str, Any]] = {
    "dataset_digest": {"dataset": [{"q": "?!", "target": "4"}]},
    "prompt_digest": {"prompt": "{q}!"},
    "scorer": {"grade": lambda sample: True},
    "num_fewshot": {"num_fewshot": 1, "fewshot_dataset": [{"q": 1, "target": 2}]},
    "extra": {"extra": {"strict": True}},
}


@pytest.mark.parametrize("key", CHANGES)
async def test_identity_changes_with_what_scores_depend_on(environment: Any, key: str) -> None:
    before, same, after = environment(), environment(), environment(**CHANGES[key])
    for tried in (before, same, after):
        await tried.prepare()
    assert before.identity() == same.identity()
    assert before.identity()[key] != after.identity()[key]


@pytest.mark.parametrize(
    "change",
    [
        {"system_prompt": "Be brief."},
        {"endpoint_type": "completion"},
        {"prepare_row": lambda row, idx, rng: row},
        {"field_mapping": {"other": "q2"}},
    ],
)
async def test_identity_notices_the_prompts_surroundings(environment: Any, change: Any) -> None:
    before, after = environment(), environment(**change)
    await before.prepare()
    await after.prepare()
    assert before.identity()["prompt_digest"] != after.identity()["prompt_digest"]


async def test_identity_names_the_packages_that_decide(environment: Any) -> None:
    def hard(sample: ScorerInput) -> Any:
        return math_match(sample)

    tried = environment(grade=hard)
    await tried.prepare()
    assert set(tried.identity()["packages"]) == {"latex2sympy2_extended", "math-verify", "sympy"}
    plain = environment()
    await plain.prepare()
    assert "packages" not in plain.identity()
