"""What belongs to the folder an image is built of, and what changes its digest."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.sandboxes.build_context import Context, Ignored
from nemo_evaluator.sandboxes.contract import BuildSpec


def laid_out(folder: Path, **files: str) -> Path:
    for name, text in {"Dockerfile": "FROM scratch\n", **files}.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def digest(folder: Path, **fields: object) -> str:
    return Context(BuildSpec(context=str(folder), **fields)).digest()  # type: ignore[arg-type]


def archived(folder: Path) -> dict[str, tarfile.TarInfo]:
    buffer = io.BytesIO()
    Context(BuildSpec(context=str(folder))).write(buffer)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        return {member.name: member for member in archive}


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.log", "a.log", True),
        ("*.log", "d/a.log", False),
        ("**/*.log", "d/e/a.log", True),
        ("**/*.log", "a.log", True),
        ("/d", "d/e/f", True),
        ("d/", "d/e", True),
        ("d", "dd", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab]x", "bx", True),
        ("[^ab]x", "bx", False),
        ("[[]x", "[x", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "aab", False),
        ("a/../b", "b", True),
        ("**", "any/thing", True),
        ("# not this", "# not this", False),
    ],
)
def test_dockerignore_patterns_match_as_docker_does(
    pattern: str, path: str, expected: bool
) -> None:
    assert Ignored([pattern])(path) is expected


def test_the_last_pattern_decides() -> None:
    ignored = Ignored(["*", "!src", "src/secret", "", "  "])
    found = [path for path in ("a", "src/x", "src/secret", "src/secret/y") if ignored(path)]
    assert found == ["a", "src/secret", "src/secret/y"]


@given(st.lists(st.text(alphabet="ab*?[]!^-/\\. #~&|", max_size=8), max_size=4))
def test_any_text_is_a_pattern_or_refused(lines: list[str]) -> None:
    try:
        Ignored(lines)("a/b")
    except ConfigError as error:
        assert "is no pattern" in str(error)


def test_what_is_ignored_is_not_sent_and_does_not_count(tmp_path: Path) -> None:
    folder = laid_out(tmp_path, **{".dockerignore": "*\n!keep\n", "keep__x": "1", "other__y": "2"})
    assert set(archived(folder)) == {".dockerignore", "Dockerfile", "keep", "keep/x"}
    before = digest(folder)
    (folder / "other" / "y").write_text("changed")
    assert digest(folder) == before
    (folder / "keep" / "x").write_text("changed")
    assert digest(folder) != before


def test_a_file_kept_below_an_ignored_folder_is_sent(tmp_path: Path) -> None:
    folder = laid_out(tmp_path, **{".dockerignore": "d\n!d/k", "d__k": "1", "d__y": "2"})
    assert "d/k" in archived(folder)
    assert "d/y" not in archived(folder)


def test_modes_links_names_and_arguments_count(tmp_path: Path) -> None:
    folder = laid_out(tmp_path, run="x")
    seen = {digest(folder), digest(folder, args={"A": "1"}), digest(folder, target="t")}
    (folder / "run").chmod(0o755)
    seen.add(digest(folder))
    (folder / "link").symlink_to("run")
    seen.add(digest(folder))
    (folder / "link").unlink()
    (folder / "link").symlink_to("nowhere")
    seen.add(digest(folder))
    (folder / "run").rename(folder / "walk")
    seen.add(digest(folder))
    assert len(seen) == 7


def test_times_and_places_do_not_count(tmp_path: Path) -> None:
    one, other = (laid_out(tmp_path / name, a="same") for name in ("one", "other"))
    assert digest(one) == digest(other)


def test_everything_is_of_root_and_links_stay_links(tmp_path: Path) -> None:
    folder = laid_out(tmp_path, run="x")
    (folder / "run").chmod(0o755)
    (folder / "out").symlink_to("/etc/passwd")
    found = archived(folder)
    assert {(member.uid, member.gid) for member in found.values()} == {(0, 0)}
    assert found["out"].issym() and found["out"].linkname == "/etc/passwd"
    assert found["run"].mode & 0o111


@pytest.mark.parametrize("dockerfile", ["Missing", "../Dockerfile", "/etc/passwd", "."])
def test_a_dockerfile_that_is_none(tmp_path: Path, dockerfile: str) -> None:
    laid_out(tmp_path / "inner")
    laid_out(tmp_path)
    with pytest.raises(ConfigError, match="to build of"):
        Context(BuildSpec(context=str(tmp_path / "inner"), dockerfile=dockerfile))


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        Context(BuildSpec(context=str(tmp_path / "missing")))
