"""The wheel of this installation, made from its installed files.

An image that is built on this machine so has the code that asked for it, whether that came from a
package index or is a checkout. The same files give the same bytes, so that an image is built once.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from ...errors import ConfigError

DISTRIBUTION = "nemo-evaluator"
PACKAGE = Path(__file__).parents[2]
HERE = "executors/images"
DOCKERFILE = "Dockerfile"
CONSTRAINTS = "constraints.txt"
_CHECKOUT = {DOCKERFILE: f"docker/{DOCKERFILE}", CONSTRAINTS: CONSTRAINTS}
"""Where a checkout keeps the files that an installation has beside this module."""
_TIME = (1980, 1, 1, 0, 0, 0)
_WHEEL = """\
Wheel-Version: 1.0
Generator: nemo-evaluator
Root-Is-Purelib: true
Tag: py3-none-any
"""
INFO = "<dist-info>"
"""Stands for the folder of the metadata."""
_METADATA = ("METADATA", "entry_points.txt")


def build_file(name: str) -> Path:
    """The Dockerfile or the constraints that images are built with. Raises ConfigError."""
    for path in (PACKAGE / HERE / name, PACKAGE.parents[1] / _CHECKOUT[name]):
        if path.is_file():
            return path
    hint = "install nemo-evaluator from a package or a checkout"
    raise ConfigError(f"this installation has no {name} to build images with", hint=hint)


def write_wheel(folder: Path) -> Path:
    """Write the wheel of this installation into a folder. Raises ConfigError where it is not
    installed as a package."""
    try:
        installed = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        hint = "install it (`pip install .` in a checkout)"
        raise ConfigError(f"{DISTRIBUTION} is not installed, only importable", hint=hint) from None
    name = DISTRIBUTION.replace("-", "_")
    return pack_wheel(folder, name, installed.version, _files(installed))


def pack_wheel(folder: Path, name: str, version: str, files: Iterable[tuple[str, bytes]]) -> Path:
    """Write a wheel of pure Python. ``files``: paths and contents; those of its metadata are below
    `INFO`."""
    stem = f"{name}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for where, data in [*files, (f"{INFO}/WHEEL", _WHEEL.encode())]:
            inside = (
                where.replace(INFO, f"{stem}.dist-info", 1) if where.startswith(INFO) else where
            )
            archive.writestr(_entry(inside), data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{inside},sha256={digest},{len(data)}\n")
        inside = f"{stem}.dist-info/RECORD"
        archive.writestr(_entry(inside), "".join([*record, f"{inside},,\n"]))
    return path


def _files(installed: Distribution) -> Iterator[tuple[str, bytes]]:
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}", path.read_bytes()
    for name in _CHECKOUT:
        if not (PACKAGE / HERE / name).is_file():
            yield f"{PACKAGE.name}/{HERE}/{name}", build_file(name).read_bytes()
    for name in _METADATA:
        if (text := installed.read_text(name)) is not None:
            yield f"{INFO}/{name}", text.encode()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
