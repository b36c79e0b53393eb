"""`nel config`: what a user sets once, and the schema of configurations."""

from __future__ import annotations

import json
import sys

import click


def complete_key(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of settings."""
    from ..config.settings import Settings

    return [name for name in Settings.model_fields if name.startswith(incomplete)]


def complete_profile(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the profiles that there are."""
    from ..config.settings import read_settings

    return [name for name in read_settings().profiles if name.startswith(incomplete)]


@click.group()
def group() -> None:
    """Show and change your settings: defaults of flags for runs without a configuration file.

    They stand in ~/.config/nemo-evaluator/config.yaml (NEL_CONFIG names another file).
    """


@group.command()
def show() -> None:
    """Show what holds now, and where each setting is from."""
    from ..config.settings import effective, read_settings, settings_path

    found = effective()
    click.echo(f"file: {settings_path()}")
    if profiles := read_settings().profiles:
        click.echo(f"profiles: {', '.join(profiles)}")
    width = max(map(len, found), default=0)
    for key, (value, where) in found.items():
        click.echo(f"{key:<{width}}  {value}  ({where})")
    if not found:
        click.echo("nothing is set")


@group.command()
@click.argument("key", shell_complete=complete_key)
def get(key: str) -> None:
    """Print a setting; exit code 1 where it is not set."""
    from ..config.settings import check_key, effective

    check_key(key)
    found = effective().get(key)
    if found is None:
        sys.exit(1)
    click.echo(found[0])


@group.command("set")
@click.argument("key", shell_complete=complete_key)
@click.argument("value")
@click.option(
    "--profile", shell_complete=complete_profile,
    help="Set it in this profile, which is made if there is none.",
)  # fmt: skip
def set_(key: str, value: str, profile: str | None) -> None:
    """Set KEY to VALUE."""
    from ..config.settings import change

    of = f" of profile {profile}" if profile else ""
    click.echo(f"{key}{of} = {value} in {change(key, value, profile)}")


@group.command()
@click.argument("key", shell_complete=complete_key)
@click.option("--profile", shell_complete=complete_profile, help="Remove it from this profile.")
def unset(key: str, profile: str | None) -> None:
    """Remove KEY."""
    from ..config.settings import change

    of = f" of profile {profile}" if profile else ""
    click.echo(f"{key}{of} is not set any more in {change(key, None, profile)}")


@group.command()
@click.argument("profile", required=False, shell_complete=complete_profile)
def use(profile: str | None) -> None:
    """Use PROFILE from now on; without a name, none. NEL_PROFILE overrules it for one command."""
    from ..config.settings import use as choose

    choose(profile)
    click.echo(f"profile: {profile or 'none'}")


@group.command()
def schema() -> None:
    """Print the JSON Schema of configuration files, for editors."""
    from ..config.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
