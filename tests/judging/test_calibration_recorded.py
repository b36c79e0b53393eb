"""Recorded judges against recorded labels: what is found is what the files themselves give."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from loopback import Call, Loopback, Reply, text_reply
from replaying import recorded, shown, write_rows

from nemo_evaluator.tasks.calibrate import JudgeFlags, calibrate_judge

TURNED = {"A": "B", "B": "A", "tie": "tie"}


@pytest.mark.shared
async def test_recorded_verdicts_on_judgebench(tmp_path: Path, shared_dir: Path) -> None:
    """Claude 3 Haiku as an arena judge, both orders; four verdicts could not be read."""
    rows = recorded(shared_dir, "judgebench_pairs")
    read = {"A>B": "A", "B>A": "B", "A=B": "tie", None: None}
    labels, said = [], {}
    for row in rows:
        task, a, b = row["question"], row["response_A"], row["response_B"]
        labels.append({"prompt": task, "a": a, "b": b, "label": read[row["label"]]})
        # The second run saw the answers in the other order; its decision is about the places.
        for key, run in zip(((task, a, b), (task, b, a)), row["judge_runs"], strict=True):
            said[key] = read[run["decision"]]

    def script(call: Call) -> Reply:
        texts = [shown(turn["content"], "task") for turn in call.body["messages"][1:2]]
        prompt = call.body["messages"][1]["content"]
        verdict = said[texts[0], shown(prompt, "answer_A"), shown(prompt, "answer_B")]
        return text_reply(call, "I cannot tell." if verdict is None else f"Verdict: {verdict}")

    write_rows(tmp_path / "labels.jsonl", labels)
    async with Loopback(script) as judge:
        found = await calibrate_judge(tmp_path / "labels.jsonl", flags=JudgeFlags(judge.url, "j"))
    orders = [
        (said[row["prompt"], row["a"], row["b"]], said[row["prompt"], row["b"], row["a"]])
        for row in labels
    ]
    whole = [
        (first, TURNED[second], row["label"])
        for (first, second), row in zip(orders, labels, strict=True)
        if first is not None and second is not None
    ]
    worth = {"A": 1, "tie": 0, "B": -1}
    right = sum(
        (worth[first] + worth[second] > 0) - (worth[first] + worth[second] < 0) == worth[label]
        for first, second, label in whole
    )
    agreed = found.agreement
    assert (agreed.n, agreed.unjudged) == (len(whole), len(rows) - len(whole)) == (131, 4)
    assert agreed.accuracy.value == pytest.approx(right / len(whole))
    for i in range(2):
        alone = sum(verdicts[i] == verdicts[2] for verdicts in whole)
        assert found.by_order[i].value == pytest.approx(alone / len(whole))
    assert agreed.position is not None
    changed = sum(first != second for first, second, _ in whole)
    assert agreed.position.value == pytest.approx(changed / len(whole))
    print(
        f"accuracy {agreed.accuracy.value:.3f}, changes with the order {agreed.position.value:.3f}"
    )


@pytest.mark.shared
async def test_recorded_labels_of_gpt_4_on_xstest(tmp_path: Path, shared_dir: Path) -> None:
    """GPT-4's labels of all five models' completions against two people's, through the benchmark.
    Five times GPT-4 refused to judge: that is not a label."""
    rows = recorded(shared_dir, "xstest_human_labels")
    plain = {"1": "full_compliance", "2": "full_refusal", "3": "partial_refusal"}
    said, labels = {}, []
    for row in rows:
        human, judged = row["human_final_label"], row["gpt4_label"]
        label = plain.get(judged[0]) if judged[1:2] == "_" else None
        said[row["prompt"], row["response"].strip()] = label or judged
        labels.append(
            {
                "prompt": row["prompt"],
                "type": row["type"],
                "response": row["response"],
                "label": plain[human[0]],
            }
        )

    def script(call: Call) -> Reply:
        prompt = call.body["messages"][1]["content"]
        text = said[shown(prompt, "request"), shown(prompt, "response").strip()]
        known = text in plain.values()
        return text_reply(call, json.dumps({"reasoning": "", "label": text}) if known else text)

    write_rows(tmp_path / "labels.jsonl", labels)
    async with Loopback(script) as judge:
        flags = JudgeFlags(judge.url, "gpt-4")
        found = await calibrate_judge(tmp_path / "labels.jsonl", bench="xstest", flags=flags)
    pairs = Counter((row["label"], said[row["prompt"], row["response"].strip()]) for row in labels)
    judged = {pair: n for pair, n in pairs.items() if pair[1] in plain.values()}
    agreed = found.agreement
    assert agreed.n == sum(judged.values()) and agreed.unjudged == len(rows) - agreed.n == 5
    right = sum(n for (human, judge), n in judged.items() if human == judge)
    assert agreed.accuracy.value == pytest.approx(right / agreed.n)
    for i, human in enumerate(agreed.labels):
        for j, judge in enumerate(agreed.labels):
            assert agreed.confusion[i][j] == judged.get((human, judge), 0)
    print(f"agreement on three classes {agreed.accuracy.value:.4f}, kappa {agreed.kappa.value:.3f}")
