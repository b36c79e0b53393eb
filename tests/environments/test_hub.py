"""Datasets of the hub, loaded by the real libraries from a hub on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nemo_evaluator.environments.hub import parse_uri
from nemo_evaluator.errors import ConfigError

GSM8K = "hf://openai/gsm8k?config=main&split=test"
LOAD = """
import json, sys
from nemo_evaluator.environments.rows import load
from nemo_evaluator.errors import ConfigError
for uri in sys.argv[1:]:
    try:
        data = load(uri)
    except ConfigError as error:
        print(json.dumps({"error": str(error)}))
    else:
        first = {key: str(value) for key, value in data.rows[0].items()}
        print(json.dumps({"rows": len(data.rows), "name": data.name, "first": first,
                          "revision": data.revision, "digest": data.digest}))
"""


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("hf://org/name", ("org/name", None, "test", None)),
        ("hf://name", ("name", None, "test", None)),
        (
            "hf://org/name?config=c&split=train%5B:9%5D&revision=refs/pr/1",
            ("org/name", "c", "train[:9]", "refs/pr/1"),
        ),
        ("hf://org/name?config=&split=", ("org/name", None, "test", None)),
    ],
)
def test_an_address_is_split_into_its_parts(uri: str, parts: tuple[str | None, ...]) -> None:
    assert parse_uri(uri) == parts


@pytest.mark.parametrize("uri", ["hf://", "hf://org/name?subset=main"])
def test_wrong_addresses_say_how_to_write_them(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"write hf://org/name\?config=C&split=S&revision=R"):
        parse_uri(uri)


@pytest.fixture
def local_hub(shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of a loopback hub."""
    monkeypatch.syspath_prepend(str(shared_dir / "tools"))
    from hub import LocalHub

    return LocalHub


@pytest.fixture
def hub(local_hub: Any, shared_dir: Path) -> Iterator[Any]:
    """A running hub with the shared datasets."""
    with local_hub(shared_dir / "data" / "hf") as running:
        yield running


def loaded(hub: Any, home: Path, *uris: str, **env: str) -> list[dict[str, Any]]:
    """What a fresh process loads (the libraries read HF_ENDPOINT when imported)."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *uris],
        env={**hub.env(home), **env},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert "%|" not in done.stderr  # no progress bars
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def load(hub: Any, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Loads addresses from the running hub."""
    return partial(loaded, hub, tmp_path)


@pytest.mark.shared
def test_rows_name_and_the_commit_really_read(load: Any) -> None:
    [data] = load(GSM8K)
    assert (data["rows"], data["name"]) == (1319, "openai/gsm8k")
    assert set(data["first"]) == {"question", "answer"}
    assert len(data["revision"]) == 40
    assert data["digest"].startswith("sha256:")


@pytest.mark.shared
def test_the_cache_serves_without_a_network(load: Any) -> None:
    [first] = load(GSM8K)
    unreachable = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    assert load(GSM8K, **unreachable) == [first]
    assert load(GSM8K, HF_HUB_OFFLINE="1") == [first]
    [other] = load("hf://cais/mmlu?config=all", **unreachable)
    assert "the hub cannot be reached, and the dataset is not in the cache" in other["error"]


@pytest.mark.shared
def test_a_file_of_a_dataset_without_splits(tmp_path: Path, local_hub: Any) -> None:
    folder = tmp_path / "root/org/name"
    folder.mkdir(parents=True)
    (folder / "one_eval.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    (folder / "other-2025.jsonl").write_text('{"b": {"c": null}}\n')
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    uri = "hf://org/name?file=other-2025.jsonl"
    with local_hub(tmp_path / "root") as hub:
        found, missing = loaded(hub, tmp_path / "home", uri, "hf://org/name?file=none.jsonl")
        assert (found["rows"], found["first"]) == (1, {"b": "{'c': None}"})
        assert len(found["revision"]) == 40
        assert "the dataset has no file 'none.jsonl'" in missing["error"]
        offline = {"HF_ENDPOINT": "http://127.0.0.1:9"}
        again, other = loaded(
            hub, tmp_path / "home", uri, "hf://org/name?file=one_eval.jsonl", **offline
        )
        assert again == found
        assert "cannot be reached, and the file is not in the cache" in other["error"]


def test_a_file_has_no_split() -> None:
    with pytest.raises(ConfigError, match="a file has neither config nor split"):
        parse_uri("hf://org/name?file=f.jsonl&split=test")


@pytest.mark.shared
def test_choices_that_do_not_exist_list_those_that_do(load: Any) -> None:
    config, none, split, revision, name = load(
        "hf://openai/gsm8k?config=mian",
        "hf://openai/gsm8k",
        "hf://openai/gsm8k?config=main&split=tset",
        "hf://openai/gsm8k?config=main&revision=v9",
        "hf://openai/nosuch",
    )
    assert "no config 'mian' — there are 'main', 'socratic'" in config["error"]
    assert "no config given, and there are several — there are 'main'" in none["error"]
    assert "; write hf://openai/gsm8k?config=NAME&split=" in none["error"]
    assert "no split 'tset' — there are 'train', 'test'" in split["error"]
    assert "there is no revision 'v9'" in revision["error"]
    assert "hf://openai/nosuch: dataset not found — check the id" in name["error"]


@pytest.mark.shared
@pytest.mark.parametrize("env", [{}, {"HF_TOKEN": "hf_denied"}])
def test_a_gated_dataset_says_what_to_do(
    shared_dir: Path, tmp_path: Path, env: dict[str, str], local_hub: Any
) -> None:
    with local_hub(shared_dir / "data" / "hf", gated=["openai/gsm8k"]) as gated:
        [data] = loaded(gated, tmp_path, GSM8K, **env)
    hint = "the dataset is gated — accept its conditions on its page, then set HF_TOKEN"
    assert hint in data["error"]
    assert "hf_denied" not in data["error"]


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["503", "429", "drop", "truncate"])
def test_transient_failures_are_tried_again(hub: Any, load: Any, kind: str) -> None:
    hub.fail_kinds, hub.fail_next = (kind,), 3
    [data] = load(GSM8K)
    assert data["rows"] == 1319


@pytest.mark.shared
def test_images_come_as_files_and_have_a_digest(tmp_path: Path, local_hub: Any) -> None:
    """Nothing is decoded: no image library is needed, and equal files have equal digests."""
    import pyarrow as pa
    import pyarrow.parquet

    folder = tmp_path / "root" / "org" / "pictures" / "default"
    folder.mkdir(parents=True)
    features = {"q": {"dtype": "string", "_type": "Value"}, "image": {"_type": "Image"}}
    rows = [{"q": "?", "image": {"bytes": b"no real image", "path": "a.png"}}]
    table = pa.Table.from_pylist(rows).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pyarrow.parquet.write_table(table, folder / "test.parquet")
    with local_hub(tmp_path / "root") as hub:
        [one] = loaded(hub, tmp_path / "a", "hf://org/pictures")
        [other] = loaded(hub, tmp_path / "b", "hf://org/pictures")
    assert one["first"]["image"] == str(rows[0]["image"])
    assert one["digest"] == other["digest"]
