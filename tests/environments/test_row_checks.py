"""What is wrong with rows is said before anything is asked, all of it, with the rows named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback, fixed_chat

from nemo_evaluator import SeedResult, evaluate_async, exact_match, multichoice_regex, numeric_match
from nemo_evaluator.environments.row_checks import check_rows
from nemo_evaluator.errors import ConfigError

NAN = float("nan")


def numbers(sample: Any) -> Any:
    return numeric_match(sample)


def letters(sample: Any) -> Any:
    return multichoice_regex(sample)


def texts(sample: Any) -> Any:
    return exact_match(sample)


def either(sample: Any) -> Any:
    number = numeric_match(sample)
    return number["correct"] or sample.response.strip() == sample.target


def unrelated(sample: Any) -> bool:
    raise RuntimeError(f"is not run before the run: {sample.target}")


def rows_of(*targets: Any) -> list[dict[str, Any]]:
    return [{"q": f"{n}?", "target": target, "topic": "t"} for n, target in enumerate(targets)]


async def checked(tried: Any, order: list[int] | None = None) -> None:
    await tried.prepare()
    await tried.check(list(range(await tried.size())) if order is None else order)


@pytest.mark.parametrize(
    ("grade", "targets", "message"),
    [
        (numbers, [1, "many", 3], "tried, row 1: no answer can meet the target: 'many' is not a n"),
        (numbers, [["a"], ["b"]], r"tried, all 2 rows: .*faults|\['a'\] is not a number"),
        (letters, ["A", "1", "B", "1"], "tried, rows 1 and 3: .*'1' is none of the letters A to D"),
        (letters, ["A", -1], "row 1: .*-1 is none of the letters"),
        (letters, ["A", 2.5], "row 1: .*2.5 is none of the letters"),
        (letters, ["A", ["any"]], r"row 1: .*'any' is none of the letters"),
        (numeric_match, ["x"], "row 0: .*'x' is not a number"),
        (texts, ["a", None], "row 1: the target 'target' is null"),
        (unrelated, ["a", NAN, NAN], "rows 1 and 2: the target 'target' is NaN"),
        (texts, ["a", " "], "row 1: no answer can meet the target: it is empty"),
    ],
)
async def test_targets_nothing_can_meet(
    environment: Any, grade: Any, targets: list[Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        await checked(environment(grade, dataset=rows_of(*targets)))


@pytest.mark.parametrize(
    ("grade", "targets"),
    [
        (numbers, [1, 2.5, "3/4", "#### 7", "-8"]),
        (letters, ["A", 2, "(c)"]),
        (either, ["12", "Paris"]),
        (unrelated, ["anything", 3]),
    ],
)
async def test_targets_that_can_be_met(environment: Any, grade: Any, targets: list[Any]) -> None:
    await checked(environment(grade, dataset=rows_of(*targets)))


async def test_a_judged_benchmark_needs_no_target(environment: Any) -> None:
    await checked(environment(texts, dataset=rows_of(None, "a"), requirements=["judge"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"cluster_field": "topik"},
            "tried: cluster_field 'topik' is in no row — did you mean",
        ),
        ({"category_field": "kind"}, "tried: category_field 'kind' is in no row"),
        ({"prompt": "{q} {x}"}, "tried, all 8 rows: .*the field 'x', which the row does not have"),
        (
            {"prepare_row": lambda row, idx, rng: {**row, "q": None if idx > 1 else "?"}},
            "rows 2, 3, 4, 5, 6 and 1 more: the prompt's {q}: the value is null",
        ),
        (
            {"prompt": "{q} {n:.1f}", "prepare_row": lambda row, idx, rng: {**row, "n": idx or ""}},
            "row 0: the prompt's {n:.1f}: text cannot be formatted",
        ),
        ({"seed_fn": lambda row, idx: SeedResult(prompt="?" if idx else "")}, "row 0: .*neither"),
    ],
)
async def test_fields_are_checked_over_all_rows(
    environment: Any, arguments: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        await checked(environment(dataset=rows_of(*range(8)), **arguments))


async def test_a_prompt_of_a_seed_function_is_filled_in(environment: Any) -> None:
    tried = environment(
        dataset=rows_of(1, 2), seed_fn=lambda row, idx: SeedResult(prompt="Say {topic}!")
    )
    with pytest.raises(ConfigError, match=r"tried, all 2 rows: the prompt still holds \{topic\}"):
        await checked(tried)
    messages = [{"role": "user", "content": "{q}"}]
    tried = environment(dataset=rows_of(1), seed_fn=lambda row, idx: SeedResult(messages=messages))
    with pytest.raises(ConfigError, match=r"still holds \{q\}"):
        await checked(tried)
    brought = [{"q": "What is {topic}?", "topic": "t", "target": "4"}]
    await checked(
        environment(dataset=brought, seed_fn=lambda row, idx: SeedResult(prompt=row["q"] + "{x}"))
    )


async def test_only_the_rows_that_are_asked_count(environment: Any) -> None:
    tried = environment(numbers, dataset=rows_of(1, "none", 3))
    await checked(tried, [2, 0])
    with pytest.raises(ConfigError, match="tried, row 1"):
        await checked(tried, [1])


async def test_a_field_some_rows_lack_is_no_typo(environment: Any) -> None:
    rows = [{"q": "?", "target": "4"}, {"q": "?", "target": "4", "topic": "sums"}]
    await checked(environment(dataset=rows, category_field="topic", cluster_field="topic"))


def test_several_faults_come_in_one_error() -> None:
    def attempt(idx: int) -> None:
        if idx % 2:
            raise ConfigError(f"fault {idx % 3}", where=f"bench, row {idx}", hint="fix")

    with pytest.raises(ConfigError) as raised:
        check_rows(range(10), attempt, where="bench")
    assert str(raised.value) == (
        "bench: 3 faults in the rows:\n  bench, rows 1 and 7: fault 1 — fix\n"
        "  bench, rows 3 and 9: fault 0 — fix\n  bench, row 5: fault 2 — fix"
    )


def test_rows_of_a_file_are_named_by_their_lines() -> None:
    def attempt(idx: int) -> None:
        if idx:
            raise ConfigError("no option")

    with pytest.raises(ConfigError, match=r"^bench, row 1 \(quiz\.csv:3\): no option$"):
        check_rows(range(2), attempt, where="bench", line_of=lambda idx: f"quiz.csv:{idx + 2}")


FILE = """
from nemo_evaluator import benchmark, numeric_match, scorer

@benchmark(name="sums", dataset="sums.csv", prompt="sums.txt", target_field="sum")
@scorer
def sums(sample):
    return numeric_match(sample)
"""


@pytest.mark.parametrize(
    ("csv", "prompt", "message"),
    [
        ("a,sum\n1,2\n3,many\n", "{a} + 1?", "sums, row 1 .*sums.csv:3.*'many' is not a number"),
        ("a,sum\n1,2\n3,4\n", "{b} + 1?", "sums, all 2 rows: .*'b'"),
    ],
)
async def test_nothing_is_asked_of_a_benchmark_with_faults(
    tmp_path: Path, loopback: Loopback, csv: str, prompt: str, message: str
) -> None:
    loopback.script(fixed_chat("Answer: 2"))
    (tmp_path / "sums.csv").write_text(csv)
    (tmp_path / "sums.txt").write_text(prompt)
    (tmp_path / "sums.py").write_text(FILE)
    run = {"bench": str(tmp_path / "sums.py"), "model_url": loopback.url, "model_id": "m"}
    with pytest.raises(ConfigError, match=message):
        await evaluate_async(**run, output_dir=tmp_path / "out")
    assert not loopback.calls
    (tmp_path / "sums.csv").write_text("a,sum\n1,2\n")
    (tmp_path / "sums.txt").write_text("{a} + 1?")
    result = await evaluate_async(**run, output_dir=tmp_path / "out")
    assert (result.exit_code, result.summary.benchmarks[0].n_scored) == (0, 1)


async def test_a_configuration_may_ask_for_jinja(tmp_path: Path, loopback: Loopback) -> None:
    loopback.script(fixed_chat("Answer: 2"))
    (tmp_path / "sums.csv").write_text("a,sum\n1,2\n")
    (tmp_path / "sums.txt").write_text("{{ a }} + {% if a %}1{% endif %}?")
    (tmp_path / "sums.py").write_text(FILE)
    config: dict[str, Any] = {
        "services": {
            "m": {
                "type": "api",
                "url": loopback.url,
                "protocol": "chat_completions",
                "model": "m",
            }
        },
        "benchmarks": [{"name": str(tmp_path / "sums.py")}],
        "output": {"dir": str(tmp_path / "out"), "report": []},
    }
    with pytest.raises(ConfigError, match=r'sums: .*Jinja.*template="jinja"'):
        await evaluate_async(config)
    config["benchmarks"][0]["template"] = "jinja"
    assert (await evaluate_async(config)).exit_code == 0
    assert loopback.calls[0].prompt == "1 + 1?"
