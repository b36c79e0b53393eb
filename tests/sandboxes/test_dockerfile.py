"""What is read of a Dockerfile before it is built."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.sandboxes.dockerfile import bases, needs_buildkit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a:1", ["a:1"]),
        ("from  a AS one\nFROM one\nFROM b as two\nFROM ONE", ["a", "b"]),
        ("# syntax=x\nARG V=1\nARG W\nFROM a:$V\nFROM b:${W:-2}\nFROM c:$W", ["a:1", "b:2"]),
        ("ARG V=1\nFROM a:${V}\nARG V=2\nFROM b:${V}", ["a:given", "b:given"]),
        ("FROM --platform=linux/amd64 \\\n  # a comment\n  a:1", ["a:1"]),
        ("# escape=`\nFROM `\n a", ["a"]),
        ("FROM scratch\nCOPY x y", []),
        ('FROM "a:1"', ["a:1"]),
        ("FROM", []),
        ("", []),
    ],
)
def test_the_bases_of_a_dockerfile_are_found(text: str, expected: list[str]) -> None:
    args = {"V": "given"} if "given" in str(expected) else {}
    assert bases(text, args) == expected


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("RUN --mount=type=cache,target=/c pip install x", "`--mount`"),
        ("COPY --chmod=755 a b", "`--chmod`"),
        ("RUN <<EOF\necho hi\nEOF", "a here-document"),
        ("COPY <<-'EOF' /x\nhi\nEOF", "a here-document"),
        ("RUN pip install --mountain x", None),
        ("RUN cat <<< text", None),
        ("COPY --from=x --chown=1 a b", None),
        ("RUN echo $((1 << 2))", None),
    ],
)
def test_what_only_buildkit_builds(line: str, what: str | None) -> None:
    assert needs_buildkit(f"FROM a\n{line}\n") == what


@given(st.text(alphabet="FROMARGrun \\\n#=`$\"'{}:-+<a1", max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    assert isinstance(bases(text, {}), list)
    needs_buildkit(text)
