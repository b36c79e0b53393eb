"""Tables as people have them: what is asked, and what is refused before anything is paid."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from vlm_tables import ANIMALS, PIXEL, table

from nemo_evaluator.environments.contract import VerifyTools
from nemo_evaluator.environments.registry import resolve
from nemo_evaluator.environments.row_checks import ChecksRows
from nemo_evaluator.environments.vlmevalkit.environment import VlmTable
from nemo_evaluator.errors import ConfigError
from nemo_evaluator.types import Failure, Solution

IMAGE = base64.b64decode(PIXEL)
ROW = {"index": 0, "image": PIXEL, "question": "What is it?", **ANIMALS, "answer": "B"}


async def opened(folder: Path, name: str, **params: Any) -> VlmTable:
    [environment] = resolve(f"vlmevalkit://{name}", params={"data_dir": str(folder), **params})
    await environment.prepare()
    assert isinstance(environment, VlmTable)
    return environment


async def checked(environment: VlmTable) -> None:
    assert isinstance(environment, ChecksRows)
    await environment.check(range(await environment.size()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer": "E"}, "answer 'E' is none of its options A, B, C"),
        ({"answer": ""}, "has no answer"),
        ({"question": ""}, "has no question"),
        ({"A": "", "B": "nan", "C": ""}, "has no options"),
        ({"image": "!" * 80}, "no base64"),
        ({"image": base64.b64encode(b"no image" * 20).decode()}, "of no known kind"),
        ({"image": "77"}, "row '77', which is not there"),
        ({"image": "[]"}, "list of images is empty"),
        ({"image": "1"}, "which refers back to it"),
        ({"image": "", "image_path": "nowhere.png"}, "no image nowhere.png"),
    ],
)
async def test_a_row_that_cannot_be_asked_is_named_with_its_line(
    tmp_path: Path, change: dict[str, str], said: str
) -> None:
    table(
        tmp_path, "Own", [ROW | {"image_path": ""}, ROW | {"index": 1, "image_path": ""} | change]
    )
    environment = await opened(tmp_path, "Own")
    with pytest.raises(ConfigError, match=said) as error:
        await checked(environment)
    assert "Own.tsv:3" in str(error.value)


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("MME", {"answer": "a cat"}, "neither yes nor no"),
        ("OCRBench_v2", {"answer": "x"}, "rules of its own"),
        ("ChartQAPro", {"answer": "x"}, "rules of its own"),
    ],
)
async def test_no_dataset_is_graded_by_the_rules_of_another(
    tmp_path: Path, name: str, row: dict[str, str], said: str
) -> None:
    table(tmp_path, name, [{"index": 0, "image": PIXEL, "question": "?", **row}])
    with pytest.raises(ConfigError, match=said):
        await checked(await opened(tmp_path, name))


async def test_a_table_without_its_answers_says_so(tmp_path: Path) -> None:
    table(tmp_path, "Own_TEST", [{"index": 0, "image": PIXEL, "question": "?"}])
    with pytest.raises(ConfigError, match="lacks answer") as error:
        await opened(tmp_path, "Own_TEST")
    assert "TEST splits are not published" in str(error.value)


async def test_a_table_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    table(tmp_path, "Animals", [ROW])
    with pytest.raises(ConfigError, match="no table") as error:
        await opened(tmp_path, "Animal")
    assert "Animals" in str(error.value)


async def test_images_are_found_wherever_a_row_says_they_are(tmp_path: Path) -> None:
    (tmp_path / "images" / "Own").mkdir(parents=True)
    (tmp_path / "images" / "Own" / "kept.png").write_bytes(IMAGE)
    (tmp_path / "beside.png").write_bytes(IMAGE)
    lines = [
        {"image": str([PIXEL, PIXEL])},
        {"image": "0"},
        {"image": "1"},
        {"image": f"data:image/png;base64,{PIXEL}"},
        {"image": f"{PIXEL[:40]}\n{PIXEL[40:]}"},
        {"image": "", "image_path": "['beside.png', 'kept.png']"},
        {"image": "", "image_path": "https://images.example/1.png"},
    ]
    rows = [{**ROW, "image_path": "", **line, "index": n} for n, line in enumerate(lines)]
    table(tmp_path, "Own", rows)
    environment = await opened(tmp_path, "Own")
    await checked(environment)
    images = [(await environment.seed(n)).images for n in range(len(rows))]
    assert [len(each) for each in images] == [2, 2, 2, 1, 1, 2, 1]
    assert {image.data for each in images[:5] for image in each} == {IMAGE}
    assert [Path(str(image.path)).name for image in images[5]] == ["beside.png", "kept.png"]
    assert images[6][0].url == "https://images.example/1.png"


async def test_rows_without_an_image_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table(tmp_path, "Own", [ROW | {"image": ""}, ROW | {"index": 1}])
    environment = await opened(tmp_path, "Own")
    assert await environment.size() == 1
    assert (await environment.seed(0)).metadata["index"] == "1"
    assert "rows without an image, which are left out: 1" in caplog.text


async def test_a_cell_that_says_nan_is_empty(tmp_path: Path) -> None:
    row = ROW | {"hint": "nan", "C": "NaN", "category": "nan", "answer": "b"}
    table(tmp_path, "Own", [row])
    environment = await opened(tmp_path, "Own")
    problem = await environment.seed(0)
    assert "Hint" not in problem.prompt and "C." not in problem.prompt
    assert problem.category is None
    score = await environment.verify(problem, Solution(response="B"), VerifyTools())
    assert score.reward == 1.0


@pytest.mark.parametrize(
    ("answer", "response", "reward", "extracted"),
    [
        ("B", "<think>Answer: A</think> B", 1.0, "B"),
        ("B", "<think>It may be B", 0.0, None),
        ("Yes", "<think>yes or no?</think>\nYes", 1.0, "Yes"),
        ("red", "<think>blue, red</think>\nred", 1.0, "red"),
        ("red", "<think>red", 0.0, None),
    ],
)
async def test_reasoning_is_no_part_of_an_answer(
    tmp_path: Path, answer: str, response: str, reward: float, extracted: str | None
) -> None:
    row = ROW | {"answer": answer}
    if answer != "B":
        row |= dict.fromkeys("ABC", "")
    table(tmp_path, "Own", [row])
    environment = await opened(tmp_path, "Own")
    problem = await environment.seed(0)
    score = await environment.verify(problem, Solution(response=response), VerifyTools())
    assert (score.reward, score.extracted) == (reward, extracted)
    assert (score.failure is Failure.TRUNCATED) == (extracted is None)


async def test_results_are_grouped_by_the_columns_that_are_filled(tmp_path: Path) -> None:
    table(tmp_path, "Own", [ROW | {"category": "pets", "l2-category": "animals", "split": ""}])
    problem = await (await opened(tmp_path, "Own")).seed(0)
    assert problem.category == "pets"
    assert problem.metadata["breakdowns"] == {"l2-category": "animals"}


async def test_an_index_may_be_any_text(tmp_path: Path) -> None:
    table(tmp_path, "Own", [ROW | {"index": index} for index in ("²", "٣", "9" * 5000, "")])
    environment = await opened(tmp_path, "Own")
    await checked(environment)
    assert environment.aggregates is None


async def test_a_name_may_hold_a_point(tmp_path: Path) -> None:
    table(tmp_path, "Own_v1.1", [ROW])
    assert (await opened(tmp_path, "Own_v1.1")).name == "Own_v1.1"


def test_what_a_judge_grades_needs_one(tmp_path: Path) -> None:
    [graded] = resolve("vlmevalkit://MMVet", params={"data_dir": str(tmp_path)})
    [other] = resolve("vlmevalkit://MMVet", params={"data_dir": str(tmp_path), "type": "vqa"})
    [read] = resolve("vlmevalkit://Own", params={"data_dir": str(tmp_path), "judge": True})
    assert graded.needs.judge and not other.needs.judge
    assert read.needs.judge and read.needs.own_rubric


async def test_a_judge_that_would_read_nothing_is_refused(tmp_path: Path) -> None:
    table(tmp_path, "ChartQA", [{"index": 0, "image": PIXEL, "question": "?", "answer": "1"}])
    with pytest.raises(ConfigError, match="judge: true has no effect on type chartqa"):
        await opened(tmp_path, "ChartQA", judge=True)
