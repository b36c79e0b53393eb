"""Builds this package as a wheel, with the standard library alone: tests install it offline."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).parent


def build_wheel(folder: str, settings: object = None, metadata: object = None) -> str:
    """Write the wheel into a folder; its name."""
    document = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    name, version = document["name"].replace("-", "_"), document["version"]
    info = f"{name}-{version}.dist-info"
    groups = document["entry-points"].items()
    entries = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in rows.items())
        for group, rows in groups
    )
    files = {str(path.relative_to(HERE)): path.read_text() for path in HERE.glob("orchard/*.py")}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = entries
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel
