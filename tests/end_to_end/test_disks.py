"""Whole runs on disks that fill up or lose power, and in directories that are taken away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runs import NEL

from nemo_evaluator.results.journal import scan

SIZE = 300
Serve = Callable[..., str]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Where file systems of the test are mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    yield place
    subprocess.run(["umount", "-l", str(place)], capture_output=True)


def mount(*words: object) -> None:
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs to mount a file system: {done.stderr.strip()}")


def command(bench: Path, url: str, directory: Path, *more: str) -> list[str]:
    words = ["eval", "run", "--bench", bench, "--model-url", url, "--model-id", "m"]
    words += ["--no-progress", "--max-concurrent", 16, "-o", directory, *more]
    return [*NEL, *map(str, words)]


def run(words: list[str]) -> tuple[int, str]:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def asked(url: str) -> int:
    with urllib.request.urlopen(url.replace("/v1", "/counts"), timeout=10) as response:
        return sum(json.load(response)["asked"].values())


def test_a_full_disk_costs_no_answer(
    bench: Callable[[int], Path], serve: Serve, disk: Path
) -> None:
    mount("-t", "tmpfs", "-o", "size=220k", "tmpfs", disk)
    url = serve(latency_ms=100)
    words = command(bench(SIZE), url, disk / "run")
    code, text = run(words)
    assert code == 2 and "No space left on device" in text and "--resume" in text
    assert "the journal is intact" not in text
    paid = asked(url)
    assert 0 < paid < SIZE, "it went on asking"
    mount("-o", "remount,size=20m", disk)
    code, text = run([*words, "--resume"])
    assert code == 0, text
    assert asked(url) == SIZE


@pytest.mark.parametrize("what", ["the journal", "the run"])
def test_a_run_whose_files_are_deleted_costs_no_answer(
    bench: Callable[[int], Path], serve: Serve, tmp_path: Path, what: str
) -> None:
    url, directory = serve(latency_ms=100), tmp_path / "run"
    words = command(bench(SIZE), url, directory)
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    wait_for_answers(directory / "sums" / "journal.jsonl", 50)
    if what == "the run":
        shutil.rmtree(directory)
    else:
        (directory / "sums" / "journal.jsonl").unlink()
    _, text = process.communicate(timeout=120)
    assert process.returncode == 2 and "was deleted or replaced during the run" in text
    paid = asked(url)
    assert paid < SIZE and scan(directory / "sums" / "journal.jsonl").answers == paid
    code, text = run([*words, "--resume"])
    assert code == 0 and asked(url) == SIZE, text


def test_a_directory_that_goes_away_at_the_start_is_not_a_full_disk(tmp_path: Path) -> None:
    directory, bench = tmp_path / "run", tmp_path / "sums.py"
    bench.write_text(
        "import shutil\n"
        "from nemo_evaluator import benchmark, exact_match, scorer\n"
        f"shutil.rmtree({str(directory)!r}, ignore_errors=True)\n"
        '@benchmark(name="sums", dataset=[{"q": "1 + 1?", "a": "2"}], prompt="{q}",'
        ' target_field="a")\n'
        "@scorer\n"
        "def sums(sample): return exact_match(sample)\n"
    )
    words = ["eval", "run", "--bench", str(bench), "--model-url", "simulated", "-o", str(directory)]
    code, text = run([*NEL, *words])
    assert code == 2 and "No such file or directory" in text
    assert "no request was sent; remove the cause and repeat the command" in text


def wait_for_answers(journal: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while scan(journal).answers < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_power_failures_cost_no_synced_answer(
    bench: Callable[[int], Path], serve: Serve, disk: Path, tmp_path: Path
) -> None:
    """Copies of a disk's image, taken while the run goes on, are what a power failure leaves."""
    image, file = tmp_path / "image", bench(SIZE)
    image.touch()
    os.truncate(image, 32 << 20)
    if subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], capture_output=True).returncode:
        pytest.skip("needs mkfs.ext4")
    mount("-o", "loop", image, disk)
    url = serve(latency_ms=400)
    words = command(file, url, disk / "run")
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    copies: list[tuple[Path, int]] = []
    journal = disk / "run" / "sums" / "journal.jsonl"
    wait_for_answers(journal, 1)
    while process.poll() is None and len(copies) < 4:
        before = scan(journal).answers
        time.sleep(0.6)  # longer than answers wait for their sync
        copies.append((tmp_path / f"copy{len(copies)}", before))
        shutil.copyfile(image, copies[-1][0])
    process.kill()
    process.wait()
    subprocess.run(["umount", "-l", str(disk)], check=True)
    assert sum(count > 0 for _, count in copies) >= 2
    for copy, synced in copies:
        mount("-o", "loop", copy, disk)
        kept = scan(disk / "run" / "sums" / "journal.jsonl").answers
        assert kept >= synced
        paid = asked(url)
        code, text = run([*words, "--resume"])
        assert code == 0 and asked(url) - paid == SIZE - kept, text
        subprocess.run(["umount", "-l", str(disk)], check=True)
