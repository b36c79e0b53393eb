"""Tables in the format of VLMEvalKit."""

from __future__ import annotations

import base64
import csv
from pathlib import Path
from typing import Any

PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360000000000200015e2b0d0f0000000049454e44ae426082"
    )
).decode()
ANIMALS = {"A": "a cat", "B": "a dog", "C": "a horse"}


def table(folder: Path, name: str, lines: list[dict[str, Any]]) -> Path:
    path = folder / f"{name}.tsv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(lines)
    return path
