"""The page about every command, made from the commands: python -m nemo_evaluator.cli.reference."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from .main import cli

HEAD = """# Commands

Made from the commands themselves (`python -m nemo_evaluator.cli.reference docs/commands.md`);
`nel COMMAND --help` prints the same.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(_group(cli, "nel")) + "\n"


def _group(group: click.Group, name: str) -> Iterator[str]:
    context = click.Context(group, info_name=name)
    for child in group.list_commands(context):
        command = group.get_command(context, child)
        assert command is not None
        if isinstance(command, click.Group):
            yield f"\n## `{name} {child}`\n\n{_text(command)}"
            yield from _group(command, f"{name} {child}")
        else:
            level = "##" if name == "nel" else "###"
            yield f"\n{level} `{name} {child}`\n\n{_text(command)}\n"
            yield from _parameters(command, f"{name} {child}")


def _text(command: click.Command) -> str:
    lines = (command.help or "").replace("\b", "").strip().splitlines()
    return "\n".join(line.strip() for line in lines)


def _parameters(command: click.Command, name: str) -> Iterator[str]:
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    metavars = " ".join(argument.make_metavar(click.Context(command)) for argument in arguments)
    yield (
        f"```text\n{name}{' [OPTIONS]' if _options(command) else ''} {metavars}".rstrip()
        + "\n```\n"
    )
    if options := _options(command):
        yield "| option | meaning |\n|---|---|"
        for option in options:
            yield f"| {_names(option)} | {_cell(option.help or '')}{_default(option)} |"


def _options(command: click.Command) -> list[click.Option]:
    return [p for p in command.params if isinstance(p, click.Option) and not p.hidden]


def _names(option: click.Option) -> str:
    names = [*option.opts, *option.secondary_opts]
    value = "" if option.is_flag or option.count else f" {_metavar(option)}"
    return ", ".join(f"`{name}{value}`" for name in sorted(names, key=len))


def _metavar(option: click.Option) -> str:
    kind = option.type
    if option.metavar:
        return option.metavar
    if isinstance(kind, click.Choice):
        return "\\|".join(str(getattr(choice, "value", choice)) for choice in kind.choices)
    return kind.name.upper().replace(" RANGE", "")


def _default(option: click.Option) -> str:
    if not option.show_default or option.default in (None, (), False):
        return ""
    return f" Default: `{option.default}`."


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
