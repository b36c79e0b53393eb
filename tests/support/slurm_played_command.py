"""What a command of Slurm does in tests without a cluster: FOLDER NAME WORDS."""

import json
import re
import sys
from pathlib import Path
from typing import Any

AWAY = "Unable to contact slurm controller (connect failure)"
LOST = "Socket timed out on send/recv operation"


def main(folder: Path, name: str, words: list[str]) -> None:
    """Note what was asked, fail if that was said before, else do it."""
    with (folder / "asked").open("a") as asked:
        asked.write(json.dumps([name, *words]) + "\n")
    file = folder / f"faults-{name}"
    faults = json.loads(file.read_text()) if file.exists() else []
    fault = faults.pop(0) if faults else ""
    file.write_text(json.dumps(faults))
    if fault and fault != "lost":
        sys.exit(f"{name}: error: {AWAY if fault == 'away' else fault}")
    if name == "sacct":
        return
    given = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    jobs: list[dict[str, Any]] = json.loads((folder / "jobs").read_text())
    if name == "squeue":
        _show(jobs, given)
        return
    if name == "scancel":
        ids = {word.partition("_")[0] for word in words}
        jobs = [{**j, "state": "CANCELLED"} if j["id"] in ids else j for j in jobs]
    elif name == "sbatch":
        jobs.append(_job(str(100 + len(jobs)), words, given))
    (folder / "jobs").write_text(json.dumps(jobs))
    if fault == "lost":
        sys.exit(f"{name}: error: {LOST}")
    if name == "sbatch":
        print(jobs[-1]["id"])


def _job(number: str, words: list[str], given: dict[str, str]) -> dict[str, Any]:
    script = Path(words[words.index("--") + 1]).read_text()
    directive = re.search(r"^#SBATCH --array=0-(\d+)", script, re.MULTILINE)
    tasks = [*range(int(directive[1]) + 1)] if directive else None
    if "array" in given:
        rows = (part.partition("-")[::2] for part in given["array"].split(","))
        tasks = [task for first, last in rows for task in range(int(first), int(last or first) + 1)]
    job = {"id": number, "name": given["job-name"], "state": "PENDING", "reason": "Priority"}
    return {**job, "tasks": tasks, "after": given.get("dependency", "")}


def _show(jobs: list[dict[str, Any]], given: dict[str, str]) -> None:
    ids, names = given.get("jobs", "").split(","), given.get("name", "").split(",")
    for job in jobs:
        if job["id"] in ids or job["name"] in names:
            for task in job["tasks"] or [None]:
                number = job["id"] if task is None else f"{job['id']}_{task}"
                print(f"{number}|{job['state']}|{job['reason']}|0:00|1:00:00||{job['name']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
