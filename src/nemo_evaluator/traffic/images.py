"""Images as they go over the wire: a URL as it is, anything else as a data URL."""

from __future__ import annotations

import base64
from pathlib import Path

from ..errors import ConfigError
from ..types import Image

SIGNATURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
    (b"BM", "image/bmp"),
)


def image_url(image: Image) -> str:
    """The URL of an image. Raises ConfigError if its file cannot be read."""
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
    media_type = image.media_type or sniff(data)
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def sniff(data: bytes) -> str:
    """The media type by the first bytes; PNG where they say nothing."""
    return next((kind for start, kind in SIGNATURES if data.startswith(start)), "image/png")
