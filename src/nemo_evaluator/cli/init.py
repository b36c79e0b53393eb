"""`nel init`: a first configuration, from a few questions."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command()
@click.argument("path", default="nel.yaml", type=click.Path(path_type=Path))
@click.option("--model-url", help="Endpoint, or 'simulated'.")
@click.option("--model-id", help="Model name sent to the endpoint.")
@click.option("--api-key-env", help="Environment variable that holds the key.")
@click.option("-b", "--bench", multiple=True, help="Benchmark; repeatable.")
@click.option("--max-problems", type=click.IntRange(1), help="Use at most this number of problems.")
@click.option("-o", "--output-dir", help="Folder of the run.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing: defaults for what is not given.")
def command(
    path: Path,
    model_url: str | None,
    model_id: str | None,
    api_key_env: str | None,
    bench: tuple[str, ...],
    max_problems: int | None,
    output_dir: str | None,
    yes: bool,
) -> None:
    """Write a configuration to PATH (nel.yaml) that can be run at once."""
    from ..tasks.scaffold import Answers, check_variable, write_config

    def asked(question: str, given: str | None, default: str) -> str:
        if given is not None or yes:
            return given if given is not None else default
        answer: str = _prompted(question, default)
        return answer.strip()

    url = asked("Endpoint of the model ('simulated' needs none)", model_url, "simulated")
    if url != "simulated":
        model_id = asked("Name of the model", model_id, "") or None
        question = "Name of the variable that holds the key (empty: none)"
        api_key_env = asked(question, api_key_env, "") or None
        check_variable(api_key_env)
    benches = list(bench) or asked("Benchmarks (nel list shows them)", None, "sample").split()
    folder = asked("Folder of the run", output_dir, "./eval_results/first")
    written = write_config(path, Answers(url, model_id, api_key_env, benches, max_problems, folder))
    click.echo(f"wrote {written}")
    if api_key_env and api_key_env not in os.environ:
        click.echo(f"first: export {api_key_env}=...")
    click.echo(f"next: nel eval run {written} --dry-run, then nel eval run {written}")


def _prompted(question: str, default: str) -> str:
    from ..errors import ConfigError

    try:
        answer: str = click.prompt(question, default=default, show_default=bool(default))
    except click.Abort as error:
        if not isinstance(error.__context__, EOFError):
            raise
        click.echo()
        hint = "give the flags (nel init --help), and --yes for defaults"
        raise ConfigError("standard input ended before the answer", hint=hint) from None
    return answer
