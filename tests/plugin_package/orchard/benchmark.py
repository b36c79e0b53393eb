"""A benchmark whose answers are checked by a program in a sandbox."""

from __future__ import annotations

from nemo_evaluator import SandboxSpec, ScorerInput, benchmark, scorer

ROWS = [{"fruit": name, "target": name} for name in ("apple", "pear", "plum", "cherry")]


@benchmark(name="fruit", dataset=ROWS, prompt="Which fruit is a {fruit}?", sandbox=SandboxSpec())
@scorer
async def fruit(sample: ScorerInput) -> dict[str, object]:
    """Whether the fruit's name is in the response, as ``grep`` says."""
    box = sample.sandbox
    found = await box.exec(["grep", "-c", sample.target], stdin=sample.response.encode())
    motto = await box.exec('printf %s "$MOTTO"')
    return {
        "correct": found.exit_code == 0,
        "extracted": found.stdout.strip(),
        "motto": motto.stdout,
    }
