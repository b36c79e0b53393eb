"""`nel compare`, `nel gate` and `nel power` as a user types them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
from click.testing import CliRunner, Result
from published import constant, share_right, write_results

from nemo_evaluator.cli.main import cli
from nemo_evaluator.decisions.policy import load_policy
from nemo_evaluator.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_results(Path("base"), share_right(80, 100))
    write_results(Path("same"), share_right(80, 100))
    write_results(Path("worse"), share_right(50, 100))
    write_results(Path("close"), share_right(79, 100))
    Path("policy.yaml").write_text(
        "version: 1\nbenchmarks: {bench: {metric: mean_reward, max_drop: 0.05}}\n"
    )


def nel(*arguments: str) -> Result:
    # As `main` does it: what a command returns is its exit code.
    result = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    if result.exception is None and isinstance(result.return_value, int):
        result.exit_code = result.return_value
    return result


@pytest.mark.parametrize(
    ("candidate", "verdict", "code"),
    [("same", "PASS", 0), ("worse", "BLOCK", 1), ("close", "INCONCLUSIVE", 2)],
)
def test_compare_decides_and_exits(candidate: str, verdict: str, code: int) -> None:
    options = ["--max-drop", "0.05"]
    result = nel("compare", "base", candidate, *options)
    assert result.exit_code == code
    assert f"\n{verdict}: " in result.stdout
    assert nel("compare", "base", candidate, *options, "--no-strict").exit_code == 0


def test_compare_as_json_can_be_piped() -> None:
    result = nel("compare", "base", "worse", "--format", "json", "-o", "out/report.json")
    report = json.loads(result.stdout)
    assert report["verdict"] == "BLOCK" and report["threshold"] == 0.05
    assert json.loads(Path("out/report.json").read_text()) == report


def test_compare_writes_a_file_only_where_it_is_told_to() -> None:
    before = sorted(Path().rglob("*"))
    nel("compare", "base", "worse")
    assert sorted(Path().rglob("*")) == before
    result = nel("compare", "base", "worse", "--report", "mine.md")
    text = Path("mine.md").read_text()
    assert "report: mine.md" in result.stderr
    assert text.startswith("# bench: model of worse against model of base\n\n**BLOCK** — ")
    assert "### Regressions (30)" in text and "| 50 |" in text


def test_a_report_that_cannot_be_written_does_not_lose_the_verdict() -> None:
    Path("taken").touch()
    result = nel("compare", "base", "worse", "--report", "taken/mine.md")
    assert result.exit_code == 1 and "warning: no report" in result.stderr


def test_compare_lists_flips_when_asked() -> None:
    assert "Regressions" not in nel("compare", "base", "worse").stdout
    shown = nel("compare", "base", "worse", "--show-flips").stdout
    assert "Regressions (30)" in shown and "and 10 more" in shown
    everything = nel("compare", "base", "worse", "--verbose").stdout
    assert "and 10 more" not in everything and "Metrics as reported" in everything


def test_right_with_repeats_means_what_it_says() -> None:
    for side, rewards in (("a", [1.0, 1.0]), ("b", [1.0, 0.0])):
        write_results(Path(side), {i: list(rewards) for i in range(50)})
    said = "50 right at least once on both sides, 0 never right on either"
    assert said in " ".join(nel("compare", "a", "b").stdout.split())
    assert "at least once" not in nel("compare", "base", "worse").stdout


def test_compact_shows_the_verdict_and_its_reasons() -> None:
    full, compact = (
        nel("compare", "base", "worse", *flags).stdout for flags in ([], ["--compact"])
    )
    assert "BLOCK: " in compact and "95 %" in full and "95 %" not in compact
    assert 0 < compact.count("\n") <= 4 < full.count("\n") < 30


def test_several_benchmarks(tmp_path: Path) -> None:
    for side, right in (("a", 80), ("b", 40)):
        write_results(Path(side) / "one", share_right(80, 100), name="one")
        write_results(Path(side) / "two", share_right(right, 100), name="two")
    write_results(Path("a/three"), share_right(1, 100), name="three")
    result = nel("compare", "a", "b", "--format", "json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert {name: part["verdict"] for name, part in report.items()} == {
        "one": "PASS",
        "two": "BLOCK",
    }
    assert "warning: three is not in b" in result.stderr
    text = nel("compare", "a", "b").stdout
    assert "BLOCK: 1 of 2 benchmarks: two fell 40.0 points (" in text


def test_what_the_candidate_did_not_run_is_no_pass() -> None:
    for side in "ab":
        write_results(Path(side) / "one", share_right(80, 100), name="one")
    write_results(Path("a/two"), share_right(80, 100), name="two")
    result = nel("compare", "a", "b", "--report", "all.md")
    assert result.exit_code == 2
    text = " ".join(result.stdout.split())
    assert "INCONCLUSIVE: the candidate lacks two; the one benchmark of both: PASS." in text
    assert "not decided two (missing)" in text and "the least" not in text
    assert "the candidate lacks two" in Path("all.md").read_text()
    assert nel("compare", "b", "a").exit_code == 0
    assert nel("compare", "a", "b", "--rules", "published").exit_code == 0


def test_nothing_in_common() -> None:
    write_results(Path("x"), share_right(1, 20), name="x")
    write_results(Path("y/y"), share_right(1, 20), name="y")
    write_results(Path("y/z"), share_right(1, 20), name="z")
    result = nel("compare", "x", "y")
    assert isinstance(result.exception, ConfigError)
    assert "No matching benchmarks: x there, y, z here" in str(result.exception)


def test_two_benchmarks_of_other_names_need_force() -> None:
    write_results(Path("x"), share_right(80, 100), name="x")
    result = nel("compare", "base", "x")
    assert "benchmark: 'bench' and 'x'" in str(result.exception)
    assert nel("compare", "base", "x", "--force").exit_code == 0


def test_several_candidates() -> None:
    result = nel("compare", "base", "same", "worse", "--max-drop", "0.1", "--report", "all.md")
    assert result.exit_code == 1
    assert "Leaderboard: bench" in result.stdout and "Holm" in result.stdout
    assert "Leaderboard" in Path("all.md").read_text()
    report = json.loads(
        nel("compare", "base", "same", "worse", "--max-drop", "0.1", "--format", "json").stdout
    )
    assert [c["verdict"] for c in report["candidates"]] == ["PASS", "BLOCK"]


class References(HTMLParser):
    """Whatever a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object", "embed"):
            self.found.append(tag)
        self.found += [f"{name}={value}" for name, value in attrs if name in ("src", "srcset")]


@pytest.mark.parametrize(
    "command",
    [
        ["compare", "base", "worse"],
        ["compare", "base", "same", "worse"],
        ["gate", "base", "worse", "-p", "policy.yaml", "--explain"],
    ],
)
def test_html_is_one_file(command: list[str]) -> None:
    page = nel(*command, "--format", "html").stdout
    parser = References()
    parser.feed(page)
    assert not parser.found
    assert "url(" not in page and "@import" not in page
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")


def test_html_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    write_results(Path("a"), constant(1.0), rows={"model_response": evil}, name=evil)
    write_results(Path("b"), constant(0.0), rows={"model_response": evil}, name=evil)
    page = nel("compare", "a", "b", "--format", "html").stdout
    assert evil not in page and "&lt;script&gt;" in page


def test_markdown_cells_stay_cells() -> None:
    rows = {"model_response": "a | b\nc *d* <e>"}
    write_results(Path("a"), constant(1.0), rows=rows)
    write_results(Path("b"), constant(0.0), rows=rows)
    text = nel("compare", "a", "b", "--format", "markdown").stdout
    assert r"`a \| b c *d* <e>`" in text


def test_gate_decides_and_exits() -> None:
    result = nel("gate", "base", "same", "-p", "policy.yaml")
    assert result.exit_code == 0 and "GO: the gated benchmark passed; bench held: " in result.stdout
    result = nel("gate", "base", "worse", "-p", "policy.yaml", "-o", "gate.json")
    assert result.exit_code == 1
    assert re.search(r"NO-GO: bench fell 30.0 points \(.* to .*\); 5 were allowed", result.stdout)
    assert json.loads(Path("gate.json").read_text())["verdict"] == "NO-GO"
    assert Path("gate.md").read_text().startswith("# Quality gate")
    assert nel("gate", "base", "close", "-p", "policy.yaml").exit_code == 2
    assert nel("gate", "base", "worse", "-p", "policy.yaml", "--no-strict").exit_code == 0


def test_gate_explains_every_rule() -> None:
    plain = nel("gate", "base", "same", "-p", "policy.yaml").stdout
    explained = nel("gate", "base", "same", "-p", "policy.yaml", "--explain").stdout
    assert "min_coverage" not in plain and "min_coverage" in explained
    assert re.search(r"max_drop +PASS +worse by 0.0000", explained)


def test_gate_as_junit() -> None:
    nel("gate", "base", "worse", "-p", "policy.yaml", "--junit", "gate.xml")
    suite = ElementTree.parse("gate.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "2", "0")
    nel("gate", "base", "same", "-p", "policy.yaml", "--junit", "gate.xml")
    suite = ElementTree.parse("gate.xml").getroot()[0]
    assert suite.get("failures") == "0"
    Path("empty").mkdir()
    Path("any.yaml").write_text("version: 1\n")
    nel("gate", "empty", "empty", "-p", "any.yaml", "--junit", "gate.xml")
    suite = ElementTree.parse("gate.xml").getroot()[0]
    assert suite.get("errors") == "1", "nothing evaluated must not look green"


def test_the_example_policy_is_valid() -> None:
    policy = load_policy(ROOT / "examples/gate_policy.yaml")
    assert policy.rules_of("gpqa").max_relative_drop == 0.10
    assert policy.rules_of("mmlu_pro").metric == "mean_reward"


def test_power_from_an_assumption() -> None:
    result = nel("power", "--score", "0.7", "--drop", "0.02", "--format", "json")
    plan = json.loads(result.stdout)
    assert [row["repeats"] for row in plan["rows"]] == [1, 2, 4, 8]
    assert plan["rows"][0]["problems_needed"] > 1000
    assert plan["rows"][0]["power"] is None


def test_power_from_runs() -> None:
    text = nel("power", "base", "--drop", "0.05").stdout
    assert "100 problems of run eval-1" in text and "Detectable on 100 problems" in text
    pair = nel("power", "base", "worse", "--drop", "0.05", "--format", "json")
    assert json.loads(pair.stdout)["bench"]["problems"] == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--drop", "0.1"], "give a past run, or --score"),
        (["base", "--score", "0.5", "--drop", "0.1"], "give a past run, or --score"),
        (["--score", "0.5", "--drop", "0"], "is not in the range"),
        (["--score", "0.5", "--drop", "0.1", "--repeats", "x"], "whole numbers like 1,4,8"),
    ],
)
def test_power_refuses(arguments: list[str], message: str) -> None:
    result = nel("power", *arguments)
    assert message in str(result.exception) or message in str(
        getattr(result.exception, "message", "")
    )


def test_a_drop_larger_than_the_score_cannot_be() -> None:
    plan = json.loads(nel("power", "--score", "0.1", "--drop", "0.2", "--format", "json").stdout)
    assert plan["rows"][0]["problems_needed"] is None


def test_a_metric_where_less_is_better_is_shown_in_its_direction() -> None:
    for side, length in (("a", 100.0), ("b", 180.0)):
        folder = write_results(Path(side), share_right(80, 100))
        rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
        for i, row in enumerate(rows):
            row["latency_ms"] = length + i
        (folder / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--metric", "latency_ms", "--max-drop", "50")
    result = nel("compare", "a", "b", *options)
    assert result.exit_code == 1 and "BLOCK: bench rose 80 (" in result.stdout
    assert "latency_ms, lower is better" in result.stdout
    assert nel("compare", "b", "a", *options).exit_code == 0
    assert nel("compare", "a", "b", *options, "--higher-is-better").exit_code == 0
    report = json.loads(nel("compare", "a", "b", *options, "--format", "json").stdout)
    assert report["metric"] == "latency_ms" and report["direction"] == "lower_is_better"


def test_the_published_rules_are_a_flag_of_both_commands() -> None:
    write_results(Path("ten"), constant(1.0, 10))
    Path("loose.yaml").write_text("defaults: {metric: mean_reward, max_drop: 0.01}\n")
    for rules, code in (("sound", 2), ("published", 0)):
        assert nel("compare", "ten", "ten", "--rules", rules).exit_code == code
        assert nel("gate", "ten", "ten", "-p", "loose.yaml", "--rules", rules).exit_code == code


def test_a_drop_that_cannot_be_is_one_clear_line() -> None:
    text = nel("power", "base", "--drop", "2").stdout
    assert "cannot drop by 2: the largest drop there can be is" in text
    assert "What it takes" not in text and "—" not in text


def test_power_compare_and_gate_name_one_number() -> None:
    """How many problems rule the limit out, where there is no drop."""
    arguments = ["--drop", "0.02", "--repeats", "1", "--format", "json"]
    row = json.loads(nel("power", "base", "worse", *arguments).stdout)["bench"]["rows"][0]
    needed = row["problems_to_rule_out"]
    compared = nel("compare", "base", "worse", "--max-drop", "0.02", "--format", "json", "--force")
    assert json.loads(compared.stdout)["difference"]["problems_needed"] == needed
    assert f"{needed:,}" in nel("power", "base", "worse", "--drop", "0.02").stdout


def test_a_run_compared_with_itself_is_named(tmp_path: Path) -> None:
    for arguments in (("compare", "base", "base"), ("gate", "base", "base", "-p", "policy.yaml")):
        text = " ".join(nel(*arguments).stdout.split())
        assert "baseline and candidate are the same run" in text
        assert "the same run" not in nel(*arguments[:2], "same", *arguments[3:]).stdout


def test_power_is_not_planned_with_problems_that_are_others() -> None:
    with pytest.raises(ConfigError, match="they are the same run"):
        nel_raises("power", "base", "base", "--drop", "0.05")
    write_results(Path("others"), share_right(80, 100), rows={"expected_answer": "another"})
    with pytest.raises(ConfigError, match=r"not the same: .*expected answer of 100 of 100"):
        nel_raises("power", "base", "others", "--drop", "0.05")


def nel_raises(*arguments: str) -> None:
    result = nel(*arguments)
    if result.exception is not None:
        raise result.exception


def test_power_tells_the_odds_of_a_policy() -> None:
    """They are those of the interval: no limit that is too tight is promised a GO."""
    Path("odds.yaml").write_text("defaults: {metric: mean_reward, max_drop: 0.02}\n")
    odds = json.loads(nel("power", "base", "--policy", "odds.yaml", "--format", "json").stdout)
    (bench,) = odds["benchmarks"]
    assert odds["go_if_equal"] == bench["pass_if_equal"] < 0.2 and odds["in_the_way"] == "bench"
    assert bench["breach_at_limit"] <= 0.028
    assert bench["breach_at_limit"] < bench["breach_at_twice"] < 0.5
    assert bench["cheapest"]["problems"] > 200
    named = nel("power", "--baseline", "base", "--policy", "odds.yaml", "--format", "html")
    assert named.exit_code == 0 and "An equal model gets GO in" in named.stdout
    assert "</html>" in nel("power", "base", "--drop", "0.05", "--format", "html").stdout
    text = nel("power", "base", "--policy", "odds.yaml").stdout
    assert "stands in the way" not in text and "BREACH at twice" in text
    for name, right, n in (("bench", 80, 100), ("wide", 400, 500)):
        write_results(Path("two") / name, share_right(right, n), name=name, run_id=f"eval-{name}")
    text = nel("power", "two", "--policy", "odds.yaml").stdout
    assert "bench stands in the way most" in text
    Path("odds.yaml").write_text("defaults: {metric: mean_reward, max_drop: 0.5}\n")
    sure = json.loads(nel("power", "base", "--policy", "odds.yaml", "--format", "json").stdout)
    assert sure["go_if_equal"] > 0.99
    for wrong in (["base"], ["base", "--policy", "odds.yaml", "--drop", "0.1"]):
        assert "--policy" in str(getattr(nel("power", *wrong).exception, "message", ""))


@pytest.mark.parametrize(
    "command",
    [
        ("power", "base", "--drop", "nan"),
        ("compare", "base", "same", "--max-drop", "nan"),
        ("report", "--history", "base", "same", "--max-drop", "nan"),
    ],
)
def test_what_is_no_number_is_no_number_of_an_option(command: tuple[str, ...]) -> None:
    result = nel(*command)
    assert isinstance(result.exception, click.BadParameter)
    assert "is not a number" in result.exception.message


def test_an_interval_without_width_is_not_said_to_rule_anything_out() -> None:
    write_results(Path("ten"), constant(1.0, 10))
    Path("published.yaml").write_text(
        "rules: published\ndefaults: {metric: mean_reward, max_drop: 0.01}\n"
    )
    said = nel("gate", "ten", "ten", "-p", "published.yaml").stdout
    assert "GO: the gated benchmark passed; bench: nothing changed; 1 was allowed." in said
