"""Composition: merging, fragments, inheritance, references to other values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_evaluator.config.load import load, parse
from nemo_evaluator.config.references import resolve_references
from nemo_evaluator.config.tree import from_plain, merge, plain
from nemo_evaluator.errors import ConfigError

from .conftest import Fails, Load, document

Write = Callable[..., Path]

values = st.recursive(
    st.none() | st.integers(0, 9) | st.text(alphabet="xyz", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
mappings = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def merged(base: Any, overlay: Any) -> Any:
    return plain(merge(from_plain(base), from_plain(overlay)))


@pytest.mark.parametrize(
    ("base", "overlay", "result"),
    [
        ({"x": {"a": 1, "b": 2}}, {"x": {"b": 3, "c": 4}}, {"x": {"a": 1, "b": 3, "c": 4}}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 2}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": 1}, {}, {"a": 1}),
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": None}, {"a": None}),
    ],
)
def test_an_overlay_is_merged_into_its_base(base: Any, overlay: Any, result: Any) -> None:
    assert merged(base, overlay) == result


@given(mappings, mappings)
def test_the_overlay_wins_and_inputs_are_left_alone(a: Any, b: Any) -> None:
    left, right = from_plain(a), from_plain(b)
    result = plain(merge(left, right))
    assert (plain(left), plain(right)) == (a, b)
    assert set(result) == {*a, *b}
    for key in result:
        if key not in b:
            assert result[key] == a[key]
        elif isinstance(a.get(key), dict) and isinstance(b[key], dict):
            assert result[key] == merged(a[key], b[key])
        else:
            assert result[key] == b[key]


@given(mappings)
def test_the_empty_mapping_is_neutral(a: Any) -> None:
    assert merged(a, {}) == merged({}, a) == merged(a, a) == a


def test_fragments_go_under_their_group(write: Write) -> None:
    write("m: {type: simulated, accuracy: 0.5}\n", "conf/services/small.yaml")
    write("type: local\n", "conf/clusters/here.yml")
    path = write(
        "defaults: [services/small, clusters/here]\n"
        "services: {m: {seed: 3}}\nbenchmarks: [{name: sample}]\n"
    )
    loaded = load(path)
    service = loaded.config.services["m"]
    assert (service.type, service.accuracy, service.seed) == ("simulated", 0.5, 3)
    assert loaded.raw["cluster"] == {"type": "local"}
    assert [Path(source).name for source in loaded.sources] == ["c.yaml", "small.yaml", "here.yml"]
    assert loaded.locate("services.m.accuracy").endswith("small.yaml:1")
    assert loaded.locate("services.m.seed").endswith("c.yaml:2")


def test_self_first_makes_the_fragment_win(write: Write) -> None:
    write("m: {type: simulated, accuracy: 0.5}\n", "conf/services/small.yaml")
    text = "services: {m: {accuracy: 0.9}}\nbenchmarks: [{name: sample}]\n"
    own_last = load(write("defaults: [services/small]\n" + text))
    own_first = load(write("defaults: [_self_, services/small]\n" + text))
    assert own_last.config.services["m"].accuracy == 0.9
    assert own_first.config.services["m"].accuracy == 0.5


def test_the_packaged_fragment_and_the_users_folder(write: Write) -> None:
    write("dir: ./mine\n", "home/.config/nemo-evaluator/conf/output/mine.yaml")
    path = write({"defaults": ["clusters/local", "output/mine"], **document()})
    config = load(path).config
    assert (config.cluster.type, config.output.dir) == ("local", "./mine")


def test_a_chain_of_bases(write: Write) -> None:
    write(document(output={"dir": "./grand"}), "grand.yaml")
    write({"defaults": [{"_base_": "grand.yaml"}], "output": {"dir": "./parent"}}, "parent.yaml")
    path = write(
        "defaults: [{_base_: parent}]\nservices: {m: {seed: 5}}\noutput: {progress_interval: 1}\n"
    )
    config = load(path).config
    assert config.services["m"].seed == 5
    assert config.services["m"].type == "simulated"
    assert (config.output.dir, config.output.progress_interval) == ("./parent", 1)


def test_a_file_may_be_reached_on_two_ways(write: Write) -> None:
    write(document(), "base.yaml")
    write("defaults: [{_base_: base.yaml}]\noutput: {dir: ./a}\n", "a.yaml")
    write("defaults: [{_base_: base.yaml}]\nsolver: {type: simple, service: m}\n", "b.yaml")
    config = load(write("defaults: [{_base_: a.yaml}, {_base_: b.yaml}]\n")).config
    assert config.output.dir == "./a"
    assert config.solver is not None


def test_a_circle_is_refused(write: Write, tmp_path: Path) -> None:
    write("defaults: [{_base_: b.yaml}]\n", "a.yaml")
    write("x: 1\ndefaults:\n  - _base_: a.yaml\n", "b.yaml")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "a.yaml")
    message = str(caught.value).replace(f"{tmp_path}/", "")
    assert message == "b.yaml:3: Circular config reference: a.yaml → b.yaml → a.yaml"


def test_defaults_of_a_fragment_count(write: Write) -> None:
    write("defaults: [output/there]\nm: {type: simulated}\n", "conf/services/one.yaml")
    write("dir: ./there\n", "conf/output/there.yaml")
    loaded = load(write("defaults: [services/one]\nbenchmarks: [{name: sample}]\n"))
    assert loaded.config.output.dir == "./there"
    assert list(loaded.config.services) == ["m"]


def test_a_missing_fragment_names_the_folders(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    message = fails("x: 1\ndefaults:\n  - services/nowhere\n")
    assert message.startswith(
        "c.yaml:3: there is no config fragment 'services/nowhere' — looked in conf, "
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("defaults: services/x\n", "c.yaml:1: defaults must be a list"),
        (
            "defaults:\n  - {services: x}\n",
            "c.yaml:2: Invalid defaults entry {'services': 'x'}"
            " — write group/name, name, {_base_: file} or _self_",
        ),
        (
            "defaults: [../x]\n",
            "c.yaml:1: Invalid defaults entry '../x'"
            " — write group/name, name, {_base_: file} or _self_",
        ),
    ],
)
def test_invalid_defaults(fails: Fails, text: str, message: str) -> None:
    assert fails(text) == message


def test_a_null_brings_back_the_default_or_deletes(write: Write) -> None:
    base = document(
        services={
            "m": {"type": "simulated", "accuracy": 0.1, "generation": {"temperature": 0.5}},
            "old": {"type": "simulated"},
        },
        solver={"type": "simple", "service": "m"},
    )
    write(base, "base.yaml")
    config = load(
        write(
            "defaults: [{_base_: base.yaml}]\n"
            "services:\n  old: null\n  m: {accuracy: null, generation: {temperature: null}}\n"
        )
    ).config
    assert list(config.services) == ["m"]
    assert config.services["m"].accuracy == 0.7
    assert config.services["m"].generation.temperature is None


def test_a_null_stays_where_null_is_a_value(loads: Load) -> None:
    config = loads(
        "services:\n  m: {type: api, url: 'http://h', protocol: completions,"
        " timeouts: {connect: null}}\n"
        "benchmarks:\n  - {name: sample, shuffle_seed: null, params: {subset: null}}\n"
    ).config
    assert config.services["m"].timeouts.connect is None
    assert config.benchmarks[0].shuffle_seed is None
    assert config.benchmarks[0].params == {"subset": None}


def resolved(data: dict[str, Any]) -> Any:
    return plain(resolve_references(from_plain(data, "f:1")))


@pytest.mark.parametrize(
    ("data", "result"),
    [
        ({"port": 5000, "u": "http://h:${.port}"}, "http://h:5000"),
        ({"a": {"b": {"c": "x"}}, "u": "${.a.b.c}"}, "x"),
        ({"_b": "x", "_a": "${._b}", "u": "${._a}/${._a}"}, "x/x"),
        ({"flag": True, "u": "${.flag}"}, "true"),
        ({"my-name": "x", "u": "${.my-name}"}, "x"),
        ({"l": [1, {"k": "x"}], "u": "${.l[1].k}${.l.0}"}, "x1"),
        ({"m": {"k": "${.n}"}, "n": 1, "u": "${.m}"}, {"k": "1"}),
        ({"n": 1, "u": ["${.n}"]}, ["1"]),
        ({"u": "$${.n} ${HOME:-/root} ${TOKEN}"}, "$${.n} ${HOME:-/root} ${TOKEN}"),
    ],
)
def test_references_to_other_values(data: dict[str, Any], result: Any) -> None:
    assert resolved(data)["u"] == result


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"u": "${.a.b}", "a": {}},
            "f:1: ${.a.b} refers to nothing — there is no 'b'; write $${ for a literal ${",
        ),
        ({"u": "${.u}"}, "f:1: circular reference: ${.u} → ${.u}"),
        (
            {"u": "x ${.a}", "a": [1]},
            "f:1: ${.a} is not a single value, so it cannot be part of a text",
        ),
    ],
)
def test_references_that_lead_nowhere(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(data)
    assert str(caught.value) == message


def test_private_values_are_shared_and_dropped(write: Write) -> None:
    write({**document(), "_dir": "./base", "output": {"dir": "${._dir}/run"}}, "base.yaml")
    loaded = load(write("defaults: [{_base_: base.yaml}]\n_dir: ./mine\n"))
    assert loaded.config.output.dir == "./mine/run"
    assert "_dir" not in loaded.raw
    assert load("c.yaml", ["_dir=./over"]).config.output.dir == "./over/run"


def test_a_mapping_is_checked_like_a_file() -> None:
    loaded = parse(document(output={"dir": "${WHERE:-./here}"}), env={})
    assert loaded.config.output.dir == "./here"
    assert loaded.sources == ()
    with pytest.raises(ConfigError) as caught:
        parse(document(output={"dri": "x"}), env={})
    assert str(caught.value) == "output.dri: unknown field — did you mean 'dir'?"
