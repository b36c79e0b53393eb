"""``--format`` of the commands that print one report: for people, or the same facts as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..reports.blocks import Document

FORMAT = click.option(
    "--format", "fmt", default="text", show_default=True,
    type=click.Choice(["text", "json", "markdown", "html"]), help="How the report is written.",
)  # fmt: skip


def print_report(fmt: str, found: object, report: Document) -> None:
    """Print ``report``, or as JSON what it reports on. Nothing else goes to the output, so that it
    can be piped."""
    from ..reports.formats import in_format

    click.echo(as_json(found) if fmt == "json" else in_format(report, fmt), nl=False)


def as_json(found: object) -> str:
    """Indented JSON, with a line end; a number that JSON does not have is null."""
    import msgspec

    from ..config.scrubber import encoded

    return msgspec.json.format(encoded(found, msgspec.json.encode), indent=2).decode() + "\n"
