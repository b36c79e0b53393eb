"""What a user of `nel view` sees, page by page."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from commands import Nel
from published import share_right, write_results
from runs import rows
from viewing import Client

pytestmark = pytest.mark.process
View = Callable[..., Client]


def test_runs_stand_with_their_scores_and_intervals(view: View, two_runs: Path) -> None:
    client = view(two_runs)
    text = client.get("/").text
    bundle = json.loads(next((two_runs / "after" / "sample").glob("eval-*.json")).read_text())
    score = bundle["benchmark"]["scores"]["pass@1"]
    assert text.index(">after</a>") < text.index(">before</a>"), "the latest comes first"
    assert f"<b>{score['value']:.3f}</b>" in text
    assert f"[{score['ci_lower']:.3f}, {score['ci_upper']:.3f}]" in text
    assert text.count('type="checkbox"') == 2 and ">Compare</button>" in text


def test_a_run_has_its_report(view: View, two_runs: Path) -> None:
    client = view(two_runs)
    text = client.get(client.run("after")).text
    for word in ("Latency of an answer", "Completion tokens", "category", "What was measured"):
        assert word in text
    assert ">Samples</a>" in text and ">Audit</a>" in text


def test_audit_findings(view: View, two_runs: Path) -> None:
    client = view(two_runs)
    answer = client.get(f"{client.run('after')}/audit")
    assert answer.status == 200 and "rollouts scored" in answer.text


def test_samples_are_filtered_ordered_and_searched(view: View, two_runs: Path) -> None:
    client, known = view(two_runs), rows(two_runs / "after" / "sample")
    text = client.samples("after")
    assert f"{len(known):,} rollouts, 1 to 50" in text
    wrong = [row for row in known if row["reward"] == 0 and row["extracted_answer"] is not None]
    found = client.samples("after", "kind=wrong")
    assert f"{len(wrong):,} rollout" in found
    shown = client.rollouts(client.samples("after", "sort=tokens&order=down"))
    tokens = {f"{row['problem_idx']}/{row['repeat']}": row["tokens"] for row in known}
    assert [tokens[key] for key in shown] == sorted(tokens.values(), reverse=True)[:50]
    bakery = [row for row in known if "bakery" in row["prompt"].lower()]
    assert bakery
    assert client.rollouts(client.samples("after", "q=bakery")) == [
        f"{row['problem_idx']}/{row['repeat']}" for row in bakery
    ]
    assert client.rollouts(client.samples("after", "q=baker")), "a beginning of a word"
    assert "0 rollouts" in client.samples("after", "q=nowhereatall")
    assert "nothing to search for" in client.samples("after", "q=%3F%3F")
    last = client.rollouts(client.samples("after", f"page={-(-len(known) // 50)}"))
    assert last[-1] == f"{known[-1]['problem_idx']}/{known[-1]['repeat']}"


SAID = {
    0: "我们来计算：苹果一共有 12 个。答案是十二",
    1: "東京都の人口はPython言語で調べた。\u304b\u3099ん",  # the last kana in two code points
    2: "모델을 평가합니다",
    3: "การทดสอบภาษาไทย",
    4: "Ｆｕｌｌ ｗｉｄｔｈ ﾃｽﾄ, cafe\u0301",
}


FOUND = {
    "苹果": [0],
    "果": [0],
    "果苹": [],
    "苹果 答案": [0],
    "京都": [1],
    "言語": [1],
    "Python言": [1],
    "がん": [1],
    "가합": [2],
    "ภาษา": [3],
    "full": [4],
    "テスト": [4],
    "café": [4],
    "cafe": [4],
    "我们来计算" * 99: [],
}


def test_text_without_spaces_is_found_anywhere(view: View, said: Path) -> None:
    client = view(said)
    for words, found in FOUND.items():
        shown = client.rollouts(client.samples("after", f"q={quote(words)}"))
        assert shown == [f"{number}/0" for number in found], words


@pytest.fixture
def said(runs: Path) -> Path:
    """A run whose first answers are in other scripts."""
    folder = runs / "after" / "sample"
    known = [row for row in rows(folder) if row["repeat"] == 0]
    for row in known:
        row["model_response"] = SAID.get(row["problem_idx"], row["model_response"])
    (folder / "journal.jsonl").unlink()
    (folder / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in known))
    return runs


def test_a_row_that_stands_twice_is_listed_twice(view: View, said: Path) -> None:
    results = said / "after" / "sample" / "results.jsonl"
    first, *rest = results.read_text().splitlines(keepends=True)
    results.write_text("".join([first, *rest, first]))
    client = view(said)
    assert f"{len(rest) + 2} rollouts" in client.samples("after")
    assert client.rollouts(client.samples("after", f"q={quote('苹果')}")) == ["0/0", "0/0"]


def test_a_search_is_filtered_ordered_and_paged(view: View, two_runs: Path) -> None:
    client, known = view(two_runs), rows(two_runs / "after" / "sample")
    right = {
        f"{row['problem_idx']}/{row['repeat']}": row["tokens"]
        for row in known
        if row["reward"] == 1 and "answer" in row["model_response"].lower()
    }
    assert len(right) > 50
    query = "q=answer&kind=right&sort=tokens&order=down"
    shown = client.rollouts(client.samples("after", query))
    assert [right[key] for key in shown] == sorted(right.values(), reverse=True)[:50]
    last = client.samples("after", f"{query}&page=99")
    assert f"{len(right)} rollouts" in last
    assert len(client.rollouts(last)) == (len(right) % 50 or 50)


@pytest.mark.parametrize(
    "query",
    [
        "q=%22",
        "q=AND+OR+NOT",
        "q=a*b",
        "q=text%3Aprompt",
        "q=(",
        "q='%3B+DROP+TABLE+samples",
        "q=-x",
        "sort=nothing&order=sideways&kind=odd&page=0&problem=x",
        "page=999999999",
        "category='",
    ],
)
def test_no_query_breaks_a_list(view: View, two_runs: Path, query: str) -> None:
    client = view(two_runs)
    client.samples("after")
    assert client.get(f"{client.run('after')}/sample/samples?{query}").status == 200


def test_one_rollout_in_full(view: View, two_runs: Path) -> None:
    client = view(two_runs)
    row = next(
        row for row in rows(two_runs / "after" / "sample") if row["scoring_details"]["correct"]
    )
    client.samples("after")
    page = f"{client.run('after')}/sample/sample/{row['problem_idx']}/{row['repeat']}"
    text = client.get(page).text
    marked = re.search(r'<mark title="extracted answer">(.*?)</mark>', text)
    assert marked is not None and marked[1] == str(row["extracted_answer"])
    start, end = row["scoring_details"]["span"]
    assert row["model_response"][start:end] == marked[1]
    for word in ("Question", "Answer", "What the scorer said", "Model calls", row["finish_reason"]):
        assert word in text
    assert "1 call." in text


def test_what_a_judge_said_is_text_and_a_part_of_a_point_is_shown(view: View, said: Path) -> None:
    results = said / "after" / "sample" / "results.jsonl"
    first, *rest = results.read_text().splitlines(keepends=True)
    ruling = {"score": 2.0, "max_score": 5.0, "explanation": 'First line.\nSecond "line".'}
    row = json.loads(first) | {"reward": 0.4, "scoring_details": {"judge:clarity": ruling}}
    results.write_text("".join([json.dumps(row) + "\n", *rest]))
    client = view(said)
    client.samples("after")
    text = client.get(f"{client.run('after')}/sample/sample/0/0").text
    assert "explanation: First line.\nSecond &#34;line&#34;." in text
    assert '<span class="badge">reward 0.4</span>' in text


def test_the_neighbours_of_a_rollout_are_those_of_its_list(view: View, two_runs: Path) -> None:
    client = view(two_runs)
    listed = client.rollouts(client.samples("after", "kind=wrong"))
    problem, repeat = listed[1].split("/")
    page = f"{client.run('after')}/sample/sample/{problem}/{repeat}?kind=wrong&at=2"
    text = client.get(page).text
    for rel, at in (("prev", 0), ("next", 2)):
        link = re.search(rf'rel="{rel}" href="([^"]*)"', text)
        assert link is not None and f"/sample/{listed[at]}?kind=wrong&amp;at={at + 1}" in link[1]


def test_comparing_two_runs_shows_the_decision_and_the_flips(view: View, two_runs: Path) -> None:
    client = view(two_runs)
    keys = [client.run(name).removeprefix("/run/") for name in ("after", "before")]
    text = client.get(f"/compare?run={keys[0]}&run={keys[1]}").text
    assert "<h1>after against before</h1>" in text, "the earlier run is the baseline"
    assert re.search(r'class="badge \w+">(PASS|WARN|BLOCK|INCONCLUSIVE)<', text)
    assert "became worse" in text and "95 % CI" in text
    link = re.search(r'href="(/pair\?[^"]*)"', text)
    assert link is not None
    pair = client.get(link[1].replace("&amp;", "&"))
    assert pair.status == 200 and "<del>" in pair.text and "<ins>" in pair.text
    assert client.get(f"/compare?run={keys[0]}").status == 404


def test_a_benchmark_over_time(view: View, two_runs: Path) -> None:
    client = view(two_runs)
    answer = client.get("/history?benchmark=sample")
    assert answer.status == 200 and "since" in answer.text
    assert client.get("/history?benchmark=none").status == 422


def test_runs_of_other_tools_are_shown_too(view: View, tmp_path: Path) -> None:
    made = write_results(tmp_path / "theirs" / "bench", share_right(30, 40))
    (made / "eval-1.json").rename(made / "eval-theirs.json")
    client = view(tmp_path / "theirs")
    assert "bench" in client.get("/").text
    run = next(iter(re.findall(r'href="(/run/[^/"]+)"', client.get("/").text)))
    assert client.get(f"{run}/bench/sample/3/0").status == 200
    assert "response 3/0" in client.get(f"{run}/bench/sample/3/0").text


def test_runs_stand_in_the_order_of_their_times(view: View, tmp_path: Path) -> None:
    times = {
        "d": "2030-01-01T12:00:00.5Z",
        "c": "2030-01-01T12:00:00+00:00",
        "b": "2030-01-01T12:00:00+00:00",  # of one second: by their folders
        "z": "2030-01-01T13:30:00+02:00",
    }
    for name, told in times.items():
        made = write_results(tmp_path / name / "bench", share_right(3, 4), run_id=f"eval-{name}")
        bundle = made / f"eval-{name}.json"
        bundle.write_text(json.dumps({**json.loads(bundle.read_text()), "timestamp": told}))
    client = view(tmp_path)
    found = dict.fromkeys(re.findall(r'href="/run/([^-/"]+)-[0-9a-f]+"', client.get("/").text))
    assert list(found) == ["d", "c", "b", "z"]
    keys = {name: client.run(name).removeprefix("/run/") for name in times}
    for one, other in (("b", "c"), ("z", "b"), ("c", "d")):
        for chosen in ((one, other), (other, one)):
            query = "&".join(f"run={keys[name]}" for name in chosen)
            assert f"<h1>{other} against {one}</h1>" in client.get(f"/compare?{query}").text


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no bundle": lambda path: path.write_text("[]"),
    "cut short": lambda path: path.write_text('{"run_id":'),
    "no score": lambda path: path.write_text(
        '{"benchmark": {"name": "b", "scores": {"pass@1": {"value": "x"}}}}'
    ),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "nothing": lambda path: path.symlink_to("/nowhere"),
}


def test_a_run_that_is_damaged_hides_no_other(view: View, nel: Nel, tmp_path: Path) -> None:
    write_results(tmp_path / "whole" / "bench", share_right(3, 4))
    for number in (1, 2):
        source = tmp_path / "whole" / "bench" / "eval-1.json"
        shutil.copytree(source.parent, tmp_path / f"mixed{number}" / "bench")
    (tmp_path / "mixed1" / "other").mkdir()
    (tmp_path / "mixed1" / "other" / "eval-1.json").write_text("{}")
    for name, damage in DAMAGE.items():
        (tmp_path / name / "bench").mkdir(parents=True)
        damage(tmp_path / name / "bench" / "eval-1.json")
    client = view(tmp_path)
    answer = client.get("/")
    assert answer.status == 200
    assert answer.text.count("Not readable: ") == len(DAMAGE) + 1
    links = dict.fromkeys(re.findall(r'href="(/run/[^/"]+)"', answer.text))
    assert len(links) == len(DAMAGE) + 3
    for link in links:
        page = client.get(link)
        assert page.status == 200 and "There are no results yet" not in page.text
    assert client.get(f"{client.run('mixed1')}/bench/sample/0/0").status == 200
    assert client.get("/history?benchmark=bench").status == 200
    code, _, err = nel("view", tmp_path, "--export", tmp_path / "site")
    assert code == 0 and (tmp_path / "site" / "index.html").is_file(), err


def test_a_run_that_is_removed_while_it_is_looked_at(view: View, tmp_path: Path) -> None:
    for name in ("kept", "gone"):
        write_results(tmp_path / name / "bench", share_right(3, 4))
    client = view(tmp_path)
    client.samples("gone", benchmark="bench")
    gone = client.run("gone")
    shutil.rmtree(tmp_path / "gone")
    answer = client.get("/")
    assert answer.status == 200 and 'href="/run/kept-' in answer.text
    for path in (gone, f"{gone}/audit", f"{gone}/bench/samples", f"{gone}/bench/sample/0/0"):
        assert client.get(path).status in (404, 422, 200), path
        assert "cannot be made" not in client.get(path).text, path


def test_a_folder_without_runs_and_one_that_is_not_there(
    view: View, nel: Nel, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert "There are no runs here" in view(tmp_path / "empty").get("/").text
    code, _, err = nel("view", tmp_path / "absent")
    assert code == 2 and "there is no such file or directory" in err and err.count("\n") == 1


def test_changed_files_are_seen_and_old_tables_removed(
    view: View, runs: Path, tmp_path: Path
) -> None:
    client = view(runs)
    client.samples("after")
    folder = runs / "after" / "sample"
    lines = (folder / "results.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").unlink()
    (folder / "results.jsonl").write_text("".join(lines[:10]))
    assert "10 rollouts" in client.samples("after")
    tables = list((tmp_path / "cache").rglob("*.sqlite"))
    assert len(tables) == 1
    with sqlite3.connect(tables[0]) as db:
        assert db.execute("SELECT count(*) FROM samples").fetchone() == (10,)
    db.close()


def test_long_trajectories_open_page_by_page(view: View, runs: Path) -> None:
    folder = runs / "after" / "sample"
    (folder / "journal.jsonl").unlink()
    line = json.loads((folder / "trajectories.jsonl").read_text().splitlines()[0])
    line["steps"] = [
        {"step_id": i, "source": "agent", "message": f"step number {i}", "tool_calls": []}
        for i in range(1, 5001)
    ]
    (folder / "trajectories.jsonl").write_text(json.dumps(line) + "\n")
    client = view(runs)
    client.samples("after")
    page = f"{client.run('after')}/sample/sample/{line['problem_idx']}/{line['repeat']}"
    text = client.get(page).text
    assert "Steps 1 to 100 of 5,000" in text and "step number 100<" in text
    later = client.get(page.replace("/sample/sample/", "/sample/steps/") + "?step=4950").text
    assert "Steps 4,950 to 5,000 of 5,000" in later and "step number 5000<" in later
    assert "step number 4949<" not in later
