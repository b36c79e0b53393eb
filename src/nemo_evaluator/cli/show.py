"""`nel show`: the rollouts of a run, one by one."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .output import printable

if TYPE_CHECKING:
    from ..results.rollout_filter import Kind
    from ..tasks.show import Shown

SHOWN = 20
BESIDE, NAME = 100, 10


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--wrong", is_flag=True, help="Only answers that are wrong.")
@click.option("--no-answer", is_flag=True, help="Only responses in which no answer was found.")
@click.option("--errors", is_flag=True, help="Only rollouts without a verdict, and refused ones.")
@click.option(
    "--flips",
    "other",
    type=click.Path(path_type=Path),
    metavar="OTHER",
    help="Only rollouts with a different reward in the run OTHER.",
)
@click.option("--problem", type=int, metavar="N", help="Only this problem, by its index.")
@click.option("--rollout", metavar="N/R", help="Only repeat R of problem N.")
@click.option("-b", "--benchmark", help="Only this benchmark of the run.")
@click.option(
    "-n", "limit", type=click.IntRange(0), help=f"Show at most this number; 0: all.  [{SHOWN}]"
)
@click.option("--full", is_flag=True, help="Show long texts and reasoning in full.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines; all of them unless -n.")
def command(
    run: Path,
    wrong: bool,
    no_answer: bool,
    errors: bool,
    other: Path | None,
    problem: int | None,
    rollout: str | None,
    benchmark: str | None,
    limit: int | None,
    full: bool,
    as_json: bool,
) -> None:
    """Show rollouts of RUN: the question, the expected answer, the response, the answer extracted
    from it, and why it was scored as it was.

    --wrong, --no-answer and --errors may be combined: `nel show RUN --no-answer --errors`.

    RUN is the directory of a run or of one of its benchmarks; results of other tools work too. In a
    terminal the text goes through a pager (PAGER).
    """
    from ..tasks.show import Wanted, show

    wanted = Wanted(
        kinds=_kinds(wrong, no_answer, errors),
        **_place(problem, rollout),
        benchmark=benchmark,
        other=other,
    )
    items = show(run, wanted)
    if as_json:
        _json_lines(items, limit)
        return
    paged = sys.stdout.isatty() and _has_pager()
    color = paged and not os.environ.get("NO_COLOR")
    text = _text(items, SHOWN if limit is None else limit, full, color)
    if paged:
        click.echo_via_pager(text, color=color)
        return
    for part in text:
        click.echo(part, nl=False)


def _has_pager() -> bool:
    """Whether there is a program that shows text page by page."""
    if os.environ.get("TERM", "dumb") == "dumb":
        return False
    return bool(os.environ.get("PAGER") or shutil.which("less"))


def _kinds(wrong: bool, no_answer: bool, errors: bool) -> frozenset[Kind]:
    from ..results.rollout_filter import Kind

    chosen = ((wrong, Kind.WRONG), (no_answer, Kind.NO_ANSWER), (errors, Kind.ERROR))
    return frozenset(kind for asked, kind in chosen if asked) or frozenset(Kind)


def _place(problem: int | None, rollout: str | None) -> dict[str, int | None]:
    if rollout is None:
        return {"problem": problem}
    number, slash, repeat = rollout.partition("/")
    try:
        return {"problem": int(number), "repeat": int(repeat) if slash else 0}
    except ValueError:
        raise click.BadParameter(
            f"{rollout!r} is not a rollout", param_hint="--rollout (problem/repeat, as in 12/0)"
        ) from None


def _text(items: Iterator[Shown], limit: int, full: bool, color: bool) -> Iterator[str]:
    from ..reports.rollout import rollout_head, rollout_parts

    def bold(text: str) -> str:
        return click.style(printable(text), bold=True) if color else text

    found = 0
    for item in items:
        found += 1
        if limit and found > limit:
            continue  # counted all the same
        yield bold(f"{item.benchmark}  {rollout_head(item.row)}") + "\n"
        for name, text in rollout_parts(item.row, item.before, full=full):
            # A pager shows what it is given; what is printed passes our own stream.
            yield _part(name, printable(text))
        yield "\n"
    if not found:
        yield "no such rollouts\n"
    elif limit and found > limit:
        yield f"{limit:,} of {found:,} shown; -n 0 shows all\n"


def _part(name: str, text: str) -> str:
    """Beside its name where it is short, else below it."""
    lines = text.splitlines() or ["(none)"]
    if len(lines) == 1 and len(lines[0]) <= BESIDE:
        return f"  {name + ':':<{NAME}} {lines[0]}\n"
    return f"  {name}:\n" + "".join(f"    {line}".rstrip() + "\n" for line in lines)


def _json_lines(items: Iterator[Shown], limit: int | None) -> None:
    import msgspec

    from ..results.rollout_filter import kind_of

    for number, item in enumerate(items, 1):
        if limit and number > limit:
            return
        before = item.before and msgspec.to_builtins(item.before)
        line = {
            "benchmark": item.benchmark,
            "kind": kind_of(item.row),
            **msgspec.to_builtins(item.row),
            **({"before": before} if before else {}),
        }
        click.echo(msgspec.json.encode(line).decode())
