"""Images as they go over the wire: a URL as it is, anything else as a data URL."""

from __future__ import annotations

import base64
import mimetypes
import re
from pathlib import Path

from ..errors import ConfigError
from ..types import Image

SIGNATURES = (
    (0, b"\x89PNG\r\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (4, b"ftypavif", "image/avif"),
)


def image_url(image: Image) -> str:
    """The URL of an image. Reads its file: call it off the event loop.

    Raises ConfigError if the file cannot be read or its kind is not known.
    """
    if image.url is not None:
        return image.url
    data = image.data
    if data is None:
        if image.path is None:
            raise ConfigError("an image needs a url, a path or data")
        try:
            data = Path(image.path).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"cannot read the image: {error.strerror}", where=image.path
            ) from None
    media_type = media_type_of(image, data)
    if media_type is None:
        raise ConfigError(
            "the kind of this image is not known", where=image.path, hint="set its media_type"
        )
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def media_type_of(image: Image, data: bytes = b"") -> str | None:
    """The media type of an image: as told, by its first bytes, else by its name."""
    if (told := image.media_type or sniff(data)) is not None:
        return told
    name = image.path if image.url is None else re.split("[?#]", image.url)[0]
    return mimetypes.guess_type(name or "")[0]


def sniff(data: bytes) -> str | None:
    """The media type by the first bytes."""
    return next((kind for at, mark, kind in SIGNATURES if data.startswith(mark, at)), None)
