"""Datasets of the Hugging Face hub: ``hf://org/name?config=…&split=…&revision=…``, or one file of a
dataset that has no splits: ``hf://org/name?file=…``.

Loaded by the ``datasets`` library, with the commit that was really used. Transient failures are
tried again; without a network the local cache serves. The library is imported on first use, since
it reads ``HF_ENDPOINT`` at import.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..errors import ConfigError
from .hub_retry import TRIES, retried, unreached
from .row_files import read_file

PATIENCE_SECONDS = 20.0
DEFAULT_SPLIT = "test"


class NoFileError(ConfigError):
    """The dataset has no such file, or this is unknown since the hub cannot be reached."""


def load_hub(uri: str) -> tuple[Sequence[Any], str, str | None]:
    """Rows, dataset id and resolved commit. Raises ConfigError for what a user can fix."""
    name, config, split, revision = parse_uri(uri)
    if (file := file_of(uri)) is not None:
        return _load_file(uri, name, file, revision)
    with _quiet():
        import datasets
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        commit, reached = _resolve(name, revision)
        try:
            with _from_cache(not reached):
                loaded = retried(
                    lambda: datasets.load_dataset(
                        name, config, split=split, revision=commit or revision
                    ),
                    tries=TRIES if reached else 1,
                )
        except (
            GatedRepoError,
            RepositoryNotFoundError,
            datasets.exceptions.DatasetNotFoundError,
        ) as error:
            raise _access_error(name, revision, error) from None
        except ValueError as error:
            raise _choice_error(name, config, split, error) from None
        except Exception as error:
            raise ConfigError(
                f"cannot load the dataset: {_first_line(error)}"
                if reached
                else "the hub cannot be reached, and the dataset is not in the cache",
                where=uri,
                hint="check the network, HF_ENDPOINT and HF_HOME; what was loaded before is cached",
            ) from None
        rows = loaded.cast(_undecoded(loaded.features, datasets)).to_list()
    return rows, name, _used_commit(loaded) or commit


def _load_file(
    uri: str, name: str, file: str, revision: str | None
) -> tuple[Sequence[Any], str, str | None]:
    """Rows of one file as it lies in the dataset. Raises ConfigError, NoFileError."""
    with _quiet():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        _, reached = _resolve(name, revision)
        try:
            path = Path(
                retried(
                    lambda: hf_hub_download(
                        name,
                        file,
                        repo_type="dataset",
                        revision=revision,
                        local_files_only=not reached,
                    ),
                    tries=TRIES if reached else 1,
                )
            )
        except LocalEntryNotFoundError:
            what = "the hub cannot be reached, and the file is not in the cache"
            raise NoFileError(what, where=uri, hint="check the network and HF_ENDPOINT") from None
        except EntryNotFoundError:
            raise NoFileError(f"the dataset has no file {file!r}", where=uri) from None
        except Exception as error:
            what = f"cannot load the file: {_first_line(error)}"
            raise ConfigError(what, where=uri, hint="check the network and HF_ENDPOINT") from None
    commit = re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix())
    return read_file(path), name, commit[1] if commit else None


def _undecoded(features: Any, datasets: Any) -> Any:
    """The features with images and the like as ``{"bytes": …, "path": …}``: the file as it is,
    neither held decoded in memory nor decoded differently by another version."""

    def leave(feature: Any) -> Any:
        if isinstance(feature, dict):
            return {key: leave(value) for key, value in feature.items()}
        if isinstance(feature, list):
            return [leave(value) for value in feature]
        if hasattr(feature, "decode") and hasattr(feature, "decode_example"):
            return type(feature)(decode=False)
        if hasattr(feature, "feature"):
            return type(feature)(leave(feature.feature))
        return feature

    return datasets.Features(leave(dict(features)))


def _used_commit(loaded: Any) -> str | None:
    """The commit in the path of the cache: what was really read, also without a network."""
    for file in loaded.cache_files:
        folder = Path(file["filename"]).parent.name
        if re.fullmatch(r"[0-9a-f]{40}", folder):
            return folder
    return None


def parse_uri(uri: str) -> tuple[str, str | None, str, str | None]:
    """(id, config, split, revision). Raises ConfigError for anything else in the query."""
    parts = urlsplit(uri)
    name = f"{parts.netloc}{parts.path}".strip("/")
    query = parse_qs(parts.query, keep_blank_values=True)
    unknown = set(query) - {"config", "split", "revision", "file"}
    if "file" in query and {"config", "split"} & set(query):
        what = "a file has neither config nor split"
        raise ConfigError(what, where=uri, hint="write hf://org/name?file=F&revision=R")
    if unknown or not name:
        raise ConfigError(
            f"unknown {', '.join(sorted(unknown))}" if unknown else "names no dataset",
            where=uri,
            hint="write hf://org/name?config=C&split=S&revision=R",
        )
    values = {key: found[-1] or None for key, found in query.items()}
    return name, values.get("config"), values.get("split") or DEFAULT_SPLIT, values.get("revision")


def file_of(uri: str) -> str | None:
    """The file an address names, if it names one."""
    return parse_qs(urlsplit(uri).query).get("file", [None])[-1]


def _resolve(name: str, revision: str | None) -> tuple[str | None, bool]:
    """The commit a revision stands for, and whether the hub could be reached."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if constants.HF_HUB_OFFLINE:
        return None, False
    try:
        info = retried(lambda: HfApi().dataset_info(name, revision=revision, timeout=20))
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise _access_error(name, revision, error) from None
    except Exception as error:
        return None, not unreached(error)
    return info.sha, True


@contextlib.contextmanager
def _from_cache(wanted: bool) -> Iterator[None]:
    """Make the libraries read their cache at once, instead of trying for two minutes."""
    import datasets
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if wanted:
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _access_error(name: str, revision: str | None, error: Exception) -> ConfigError:
    # The hub's words for a missing dataset speak of gated ones too: only the whole phrases tell.
    text = f"{type(error).__name__} {error}".lower()
    where = f"hf://{name}"
    if "gatedrepo" in text or "is a gated dataset" in text:
        return ConfigError(
            "the dataset is gated",
            where=where,
            hint="accept its conditions on its page, then set HF_TOKEN to a token that may read it",
        )
    if revision is not None and "revision" in text:
        return ConfigError(f"there is no revision {revision!r}", where=where)
    return ConfigError(
        "dataset not found",
        where=where,
        hint="check the id; if it is private or gated, set HF_TOKEN",
    )


def _choice_error(name: str, config: str | None, split: str, error: ValueError) -> ConfigError:
    """An unknown config or split: the library's message lists what there is."""
    text = " ".join(str(error).split())
    found = re.search(r"\[(.*?)\]", text)
    there_is = f"there are {found[1]}" if found else text[:200]
    if "split" in text.lower():
        what = f"split {split!r}"
    elif config:
        what = f"config {config!r}"
    else:
        what = "config given, and there are several"
        there_is += f"; write hf://{name}?config=NAME&split={split}"
    return ConfigError(f"no {what}", where=f"hf://{name}", hint=there_is)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Switch off progress bars, telemetry and log output of the libraries."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import logging
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import datasets

        datasets.disable_progress_bars()
        for noisy in ("datasets", "huggingface_hub", "httpx", "filelock", "fsspec"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        yield
