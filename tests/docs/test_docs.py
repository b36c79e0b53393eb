"""Every command and code block of the README and the docs runs as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|bash|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOT_RUN = ("make demo", "pip install")
"""Lines that CI runs on their own, in a fresh environment."""


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A simulated model over loopback, for the commands that name an endpoint."""
    command = [sys.executable, "-m", "nemo_evaluator.cli", "simulate", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        yield line.split()[-1]
        server.terminate()


@pytest.fixture(scope="module")
def hub(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Where datasets come from: a loopback hub with the shared data."""
    shared: Path = request.getfixturevalue("shared_dir")
    sys.path.insert(0, str(shared / "tools"))
    from hub import LocalHub

    with LocalHub(shared / "data" / "hf") as server:
        yield server.env(tmp_path_factory.mktemp("hf"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_of_a_page_run(
    page: Path, endpoint: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    text = "".join(text for language, text in blocks(page) if language == "bash")
    needs_hub = re.search(r"--bench (?!sample|\.|simulated)\w", text)
    env = {
        **(request.getfixturevalue("hub") if needs_hub else os.environ),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NEMO_MODEL_URL": endpoint,
        "NEMO_MODEL_ID": "simulated",
        "NEMO_API_KEY": "none",
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    for number, (language, text) in enumerate(blocks(page)):
        if language == "yaml":
            continue  # test_configuration_blocks_are_valid
        if language == "python":
            named = re.match(r"# (\w+\.py)\n", text)
            script = tmp_path / (named[1] if named else f"block{number}.py")
            script.write_text(text)
            command = [sys.executable, str(script)]
        else:
            text = "\n".join(
                line
                for line in text.splitlines()
                if not line.startswith((*NOT_RUN, "make ", "export NEMO_"))
            )
            command = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, f"block {number} of {page.name}:\n{text}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configuration_blocks_are_valid(page: Path, tmp_path: Path) -> None:
    from nemo_evaluator.config.load import load

    env = {"NEMO_MODEL_URL": "http://127.0.0.1:1/v1", "NEMO_MODEL_ID": "m", "NEMO_API_KEY": "k"}
    for number, (language, text) in enumerate(blocks(page)):
        if language == "yaml" and re.search(r"^benchmarks:", text, re.MULTILINE):
            path = tmp_path / f"block{number}.yaml"
            path.write_text(text)
            load(path, env={**os.environ, **env})


def test_links_between_pages_resolve() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_transcript_of_the_first_day_is_of_its_commands() -> None:
    """`.ci/first-day` makes it; a command that has failed is no example."""
    text = (ROOT / "docs" / "tutorials" / "first-day.md").read_text(encoding="utf-8")
    page, _, transcript = text.partition("## Transcript")
    asked = [line for language, block in BLOCK.findall(page) for line in block.splitlines()]
    told = [line[1:].strip() for line in transcript.splitlines() if line.startswith("$")]
    assert told == [line.strip() for line in asked]
    assert not re.search(r"^(error:|Error:|Traceback|exit code [1-9])", transcript, re.MULTILINE)


def test_every_page_is_found() -> None:
    """By the navigation of the site, and from the README."""
    docs = ROOT / "docs"
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")}
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"[\w/-]+\.md", navigation)) == pages
    readme = set(re.findall(r"\(docs/([\w/-]+\.md)\)", (ROOT / "README.md").read_text("utf-8")))
    index = docs / "agents" / "index.md"
    inner = {f"agents/{name}" for name in re.findall(r"\]\(([\w-]+\.md)", index.read_text("utf-8"))}
    assert pages - readme - inner == {"index.md"}
