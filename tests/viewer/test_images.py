"""Images of a question: read from the table they came from, else where they are is said."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import NEL
from viewing import Client

pytestmark = pytest.mark.process
View = Callable[..., Client]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(80)


@pytest.fixture
def asked(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of a run of one question about an image, and its table."""
    table = tmp_path / "Colours.tsv"
    image = base64.b64encode(PNG).decode()
    table.write_text(f"index\timage\tquestion\tanswer\n7\t{image}\tWhich colour?\tred\n")
    words = [*NEL, "eval", "run", "--bench", f"vlmevalkit://{table}", "--model-url", "simulated"]
    words += ["-o", str(tmp_path / "runs" / "after"), "--no-progress"]
    subprocess.run(words, check=True, capture_output=True)
    return tmp_path / "runs", table


def test_the_image_of_a_question_is_shown(view: View, asked: tuple[Path, Path]) -> None:
    folder, table = asked
    client = view(folder)
    client.samples("after", benchmark="Colours")
    run = client.run("after")
    image = f"{run}/Colours/image/0/0/1"
    assert f'<img src="{image}"' in client.get(f"{run}/Colours/sample/0/0").text
    answer = client.get(image)
    assert (answer.body, answer.headers["content-type"]) == (PNG, "image/png")
    for other in ("0/0/2", "0/0/0", "1/0/1"):
        assert client.get(f"{run}/Colours/image/{other}").status == 404
    table.write_text(table.read_text().replace("colour", "image"))
    assert client.get(image).status == 404, "it may be another image"


def test_without_the_table_the_page_says_where_the_image_is(
    view: View, asked: tuple[Path, Path]
) -> None:
    folder, table = asked
    table.unlink()
    client = view(folder)
    client.samples("after", benchmark="Colours")
    text = client.get(f"{client.run('after')}/Colours/sample/0/0").text
    assert f"is not kept in this run: see vlmevalkit://{table}, question 7" in text
    assert client.get(f"{client.run('after')}/Colours/image/0/0/1").status == 404
