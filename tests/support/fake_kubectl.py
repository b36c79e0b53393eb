"""``kubectl`` for a cluster that is this machine: it keeps objects in files and runs pods as
processes. Whenever it is called it does first what controllers would have done meanwhile.

A pod sees the files of this machine, so its volumes must be at the paths they are mounted at. What
is created must fit the published schema of Kubernetes. Set in the environment: NEL_CLUSTER, its
folder. A file ``trouble.json`` there replaces the status of pods that start from then on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(os.environ["NEL_CLUSTER"])
INDEX = "batch.kubernetes.io/job-completion-index"


def main(words: list[str]) -> None:
    with (ROOT / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    if (ROOT / "away").exists():
        fail(
            "The connection to the server 127.0.0.1:1 was refused - did you specify the right host?"
        )
    flags = {}
    plain = []
    while words and words[0] != "--":
        word = words.pop(0)
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            flags[name] = value or "true"
        else:
            plain.append(word)
    verb, *rest = plain
    for job in objects("job"):
        control(job)
    {"create": create, "get": get, "delete": delete, "patch": patch, "wait": wait, "exec": execute,
     "logs": logs}[verb](rest, flags, words[1:])  # fmt: skip


def create(rest: list[str], flags: dict[str, str], words: list[str]) -> None:
    import kubernetes_validate

    made = json.load(sys.stdin)
    kubernetes_validate.validate(made, "1.31", strict=True)
    kind, meta = made["kind"].lower(), made["metadata"]
    if load(kind, meta["name"]) is not None:
        fail(f'Error from server (AlreadyExists): {kind}s "{meta["name"]}" already exists')
    meta["uid"], meta["creationTimestamp"] = str(uuid.uuid4()), stamp()
    made.setdefault("status", {})
    if kind == "pod":
        made["status"]["phase"] = "Running"
    save(made)
    print(json.dumps(made))


def get(rest: list[str], flags: dict[str, str], words: list[str]) -> None:
    kind = rest[0].rstrip("s")
    if len(rest) == 2:
        print(json.dumps(need(kind, rest[1])))
        return
    print(json.dumps({"items": list(selected(kind, flags["selector"]))}))


def delete(rest: list[str], flags: dict[str, str], words: list[str]) -> None:
    kind = rest[0].rstrip("s")
    if "selector" in flags:
        chosen = list(selected(kind, flags["selector"]))
    else:
        found = load(kind, rest[1])
        chosen = [found] if found is not None else []
    for one in chosen:
        remove(one, now="grace-period" in flags)


def patch(rest: list[str], flags: dict[str, str], words: list[str]) -> None:
    found = need(rest[0], rest[1])
    found["spec"] |= json.loads(flags["patch"])["spec"]
    save(found)
    control(found)


def wait(rest: list[str], flags: dict[str, str], words: list[str]) -> None:
    need("pod", rest[0].removeprefix("pod/"))


def execute(rest: list[str], flags: dict[str, str], words: list[str]) -> None:
    if need("pod", rest[0])["status"]["phase"] != "Running":
        fail("error: cannot exec into a container in a completed pod")
    os.execvp(words[0], words)


def logs(rest: list[str], flags: dict[str, str], words: list[str]) -> None:
    while "follow" in flags and any(map(runs, selected("pod", flags["selector"]))):
        time.sleep(0.1)
        for job in objects("job"):
            control(job)
    for pod in selected("pod", flags["selector"]):
        file = ROOT / f"{pod['metadata']['name']}.log"
        lines = file.read_text().splitlines() if file.exists() else []
        tail = int(flags.get("tail", "-1"))
        for line in lines if tail < 0 else lines[max(0, len(lines) - tail) :]:
            print(f"[pod/{pod['metadata']['name']}/nel] {line}")


def control(job: dict[str, Any]) -> None:
    """What the controllers do for a job."""
    spec, name = job["spec"], job["metadata"]["name"]
    pods = [pod for pod in objects("pod") if owner(pod) == name]
    for pod in pods:
        settle(pod)
    if spec.get("suspend"):
        for pod in pods:
            if runs(pod):
                remove(pod)
        save(job | {"status": {"conditions": [{"type": "Suspended", "status": "True"}]}})
        return
    if load("secret", name) is None or load("configmap", name) is None:
        return
    done, failed = set(), set()
    for index in range(spec["completions"]):
        mine = [pod for pod in pods if number(pod) == index]
        phases = [pod["status"]["phase"] for pod in mine]
        codes = [code(pod) for pod in mine]
        if "Succeeded" in phases:
            done.add(index)
        elif 2 in codes or phases.count("Failed") > spec["backoffLimitPerIndex"]:
            failed.add(index)
        elif sum(map(runs, pods)) < spec["parallelism"] and not any(map(runs, mine)):
            pods.append(start(job, index, len(mine)))
    status = {"completedIndexes": spans(done), "failedIndexes": spans(failed)}
    if len(done) == spec["completions"]:
        status["conditions"] = [{"type": "Complete", "status": "True"}]
    elif len(done | failed) == spec["completions"]:
        ended = {"type": "Failed", "status": "True", "reason": "FailedIndexes"}
        status["conditions"] = [ended]
    save(job | {"status": status})


def start(job: dict[str, Any], index: int, attempt: int) -> dict[str, Any]:
    name = job["metadata"]["name"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    folder = ROOT / name
    folder.mkdir(exist_ok=True)
    files = need("configmap", name)
    for key, text in files["data"].items():
        (folder / key).write_text(text)
    secret = need("secret", name)["stringData"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **secret}
    for one in container["env"]:
        env[one["name"]] = str(index) if "valueFrom" in one else one["value"]
    called = f"{name}-{index}-{attempt}"
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": called,
            "creationTimestamp": f"{stamp()}.{attempt}",
            "labels": {**job["metadata"]["labels"], INDEX: str(index)},
            "annotations": {INDEX: str(index)},
            "ownerReferences": [{"name": name}],
        },
        "status": {"phase": "Running"},
    }
    trouble = ROOT / "trouble.json"
    if trouble.exists():
        pod["status"] = json.loads(trouble.read_text())
    else:
        command = [word.replace("/etc/nel", str(folder)) for word in container["command"]]
        shell = 'code=0; "$@" || code=$?; echo $code > "$0"'
        with (ROOT / f"{called}.log").open("wb") as log:
            process = subprocess.Popen(
                ["sh", "-c", shell, str(ROOT / f"{called}.code"), *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                cwd=container["workingDir"], start_new_session=True,
            )  # fmt: skip
        (ROOT / f"{called}.pid").write_text(str(process.pid))
    save(pod)
    return pod


def settle(pod: dict[str, Any]) -> None:
    """Note how a pod has ended."""
    if pod["status"]["phase"] != "Running":
        return
    name = pod["metadata"]["name"]
    file = ROOT / f"{name}.code"
    if file.exists() and file.read_text().strip():
        code = int(file.read_text())
    elif alive(pod):
        return
    else:
        code = 137
    ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
    pod["status"] = {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [{"name": "nel", "state": {"terminated": ended}}],
    }
    save(pod)


def remove(found: dict[str, Any], *, now: bool = False) -> None:
    kind, name = found["kind"].lower(), found["metadata"]["name"]
    if kind == "job":
        for pod in objects("pod"):
            if owner(pod) == name:
                remove(pod)
        for other in ("secret", "configmap"):
            path(other, name).unlink(missing_ok=True)
    if kind == "pod" and owner(found):
        end(found, signal.SIGKILL if now else signal.SIGTERM)
    path(kind, name).unlink(missing_ok=True)


def end(pod: dict[str, Any], number: int) -> None:
    """Signal the program of a pod, and wait for its end."""
    if not alive(pod):
        return
    group = int((ROOT / f"{pod['metadata']['name']}.pid").read_text())
    os.killpg(group, number)
    for _ in range(300):
        if not alive(pod):
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)


def alive(pod: dict[str, Any]) -> bool:
    file = ROOT / f"{pod['metadata']['name']}.pid"
    if not file.exists():
        return False
    try:
        state = Path(f"/proc/{file.read_text()}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def runs(pod: dict[str, Any]) -> bool:
    return pod["status"]["phase"] in ("Running", "Pending")


def code(pod: dict[str, Any]) -> int | None:
    for one in pod["status"].get("containerStatuses", ()):
        return one["state"].get("terminated", {}).get("exitCode")
    return None


def owner(pod: dict[str, Any]) -> str:
    return next((one["name"] for one in pod["metadata"].get("ownerReferences", ())), "")


def number(pod: dict[str, Any]) -> int:
    return int(pod["metadata"]["annotations"][INDEX])


def spans(numbers: set[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def path(kind: str, name: str) -> Path:
    return ROOT / f"{kind}_{name}.json"


def objects(kind: str) -> Iterator[dict[str, Any]]:
    for file in sorted(ROOT.glob(f"{kind}_*.json")):
        yield json.loads(file.read_text())


def selected(kind: str, selector: str) -> Iterator[dict[str, Any]]:
    wanted = dict(part.split("=") for part in selector.split(","))
    for one in objects(kind):
        labels = one["metadata"].get("labels", {})
        if all(labels.get(key) == value for key, value in wanted.items()):
            yield one


def load(kind: str, name: str) -> dict[str, Any] | None:
    file = path(kind, name)
    return json.loads(file.read_text()) if file.exists() else None


def need(kind: str, name: str) -> dict[str, Any]:
    found = load(kind, name)
    if found is None:
        fail(f'Error from server (NotFound): {kind}s "{name}" not found')
    return found


def save(found: dict[str, Any]) -> None:
    target = path(found["kind"].lower(), found["metadata"]["name"])
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(found))
    partial.rename(target)


def fail(text: str) -> None:
    sys.exit(text)


if __name__ == "__main__":
    main(sys.argv[1:])
