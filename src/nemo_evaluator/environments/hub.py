"""Datasets of the Hugging Face hub: ``hf://org/name?config=…&split=…&revision=…``.

Loaded by the ``datasets`` library, with the commit that was really used. Passing failures are
tried again; without a network the local cache serves. The library is imported on first use, since
it reads ``HF_ENDPOINT`` at import.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from ..errors import ConfigError

TRIES = 5
PATIENCE_SECONDS = 20.0
DEFAULT_SPLIT = "test"

T = TypeVar("T")


def load_hub(uri: str) -> tuple[Sequence[Any], str, str | None]:
    """Rows, dataset id and resolved commit. Raises ConfigError for what a user can mend."""
    name, config, split, revision = parse_uri(uri)
    with _quiet():
        import datasets
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        commit = _commit(name, revision)
        try:
            # Where nobody could be asked for the commit, only the cache is worth a try.
            loaded = _retried(
                lambda: datasets.load_dataset(
                    name, config, split=split, revision=commit or revision
                ),
                tries=TRIES if commit else 1,
            )
        except (GatedRepoError, datasets.exceptions.DatasetNotFoundError) as error:
            raise _access_error(name, revision, error) from None
        except RepositoryNotFoundError as error:
            raise _access_error(name, revision, error) from None
        except ValueError as error:
            raise _choice_error(name, config, split, error) from None
        except Exception as error:
            raise ConfigError(
                f"cannot load the dataset: {_first_line(error)}",
                where=uri,
                hint="check the network and HF_ENDPOINT; a dataset loaded before works offline",
            ) from None
    return loaded.to_list(), name, commit


def parse_uri(uri: str) -> tuple[str, str | None, str, str | None]:
    """(id, config, split, revision). Raises ConfigError for anything else in the query."""
    parts = urlsplit(uri)
    name = f"{parts.netloc}{parts.path}".strip("/")
    query = parse_qs(parts.query, keep_blank_values=True)
    unknown = set(query) - {"config", "split", "revision"}
    if unknown or not name:
        raise ConfigError(
            f"unknown {', '.join(sorted(unknown))}" if unknown else "names no dataset",
            where=uri,
            hint="write hf://org/name?config=C&split=S&revision=R",
        )
    values = {key: found[-1] or None for key, found in query.items()}
    return name, values.get("config"), values.get("split") or DEFAULT_SPLIT, values.get("revision")


def _commit(name: str, revision: str | None) -> str | None:
    """The commit a revision stands for; None where the hub cannot be reached."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if os.environ.get("HF_HUB_OFFLINE") == "1":
        return None
    try:
        info = _retried(lambda: HfApi().dataset_info(name, revision=revision, timeout=20))
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise _access_error(name, revision, error) from None
    except Exception:
        return None
    return info.sha


def _retried(call: Callable[[], T], tries: int = TRIES) -> T:
    """Call, again after passing failures (5xx, 429, broken connections), not for ever."""
    started = time.monotonic()
    for attempt in range(1, tries + 1):
        try:
            return call()
        except Exception as error:
            late = time.monotonic() - started > PATIENCE_SECONDS
            if attempt == tries or late or not _passing(error):
                raise
            time.sleep(min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.5))
    raise AssertionError("unreachable")


def _passing(error: BaseException) -> bool:
    """Whether waiting may help."""
    seen: BaseException | None = error
    while seen is not None:
        status = getattr(getattr(seen, "response", None), "status_code", None)
        if status is not None:
            return status in (408, 425, 429) or status >= 500
        if type(seen).__name__ in {"DatasetNotFoundError", "RepositoryNotFoundError"}:
            return False
        seen = seen.__cause__ or seen.__context__
    return not isinstance(error, ValueError) and isinstance(error, OSError | RuntimeError)


def _access_error(name: str, revision: str | None, error: Exception) -> ConfigError:
    text = f"{type(error).__name__} {error}".lower()
    where = f"hf://{name}"
    if "gated" in text:
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
    what = f"split {split!r}" if "split" in text.lower() else f"config {config!r}"
    return ConfigError(f"no {what}", where=f"hf://{name}", hint=there_is)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, no telemetry, no chatter of the libraries."""
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
