"""Images reach the wire as URLs, whatever they come as."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from nemo_evaluator.errors import ConfigError
from nemo_evaluator.traffic.images import image_url, sniff
from nemo_evaluator.types import Image

PNG = b"\x89PNG\r\n\x1a\nrest"


def test_a_url_stays() -> None:
    assert image_url(Image(url="https://h/a.png")) == "https://h/a.png"


def test_bytes_become_a_data_url() -> None:
    expected = "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert image_url(Image(data=PNG)) == expected


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(b"\xff\xd8\xff\xe0rest")
    assert image_url(Image(path=str(path))).startswith("data:image/jpeg;base64,")


def test_the_type_that_is_told_wins() -> None:
    url = image_url(Image(data=PNG, media_type="image/x-special"))
    assert url.startswith("data:image/x-special;base64,")


def test_the_name_decides_where_the_bytes_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "drawing.svg"
    path.write_bytes(b"<svg/>")
    assert image_url(Image(path=str(path))).startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"BM....", "image/bmp"),
        (b"II*\x00....", "image/tiff"),
        (b"\x00\x00\x00\x20ftypavif", "image/avif"),
        (b"", None),
    ],
)
def test_the_kind_of_an_image_is_read_from_its_bytes(data: bytes, kind: str | None) -> None:
    assert sniff(data) == kind


def test_errors_say_what_is_missing(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.png")
    with pytest.raises(ConfigError, match="cannot read the image: No such file"):
        image_url(Image(path=missing))
    with pytest.raises(ConfigError, match="needs a url, a path or data"):
        image_url(Image())
    with pytest.raises(ConfigError, match="set its media_type"):
        image_url(Image(data=b"what is this"))
