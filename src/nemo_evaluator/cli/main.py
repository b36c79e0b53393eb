"""The `nel` command. Exit codes: 0 done, 1 finished but failed a check, 2 user error,
3 incomplete, 130 interrupted."""

from __future__ import annotations

import sys

import click

from ..errors import ConfigError
from ..version import __version__
from .lazy import LazyGroup

COMMANDS = {
    "eval": ("nemo_evaluator.cli.eval:group", "Run evaluations and report on them."),
    "list": ("nemo_evaluator.cli.list_plugins:command", "Show benchmarks, solvers and the like."),
    "validate": ("nemo_evaluator.cli.validate:command", "Try a few problems of a benchmark."),
    "report": ("nemo_evaluator.cli.report:command", "Report on runs, side by side."),
    "compare": ("nemo_evaluator.cli.compare:command", "Is the difference of two runs real?"),
    "gate": ("nemo_evaluator.cli.gate:command", "May a candidate ship, by a policy?"),
    "power": ("nemo_evaluator.cli.power:command", "How many problems show a drop?"),
    "judge": ("nemo_evaluator.cli.judge:group", "Examine the models that grade."),
    "simulate": ("nemo_evaluator.cli.simulate:command", "Serve a simulated model endpoint."),
    "proxy": ("nemo_evaluator.cli.proxy:command", "Serve a model through interceptors."),
    "traffic": ("nemo_evaluator.cli.traffic:command", "Show the model traffic of a run."),
    "show": ("nemo_evaluator.cli.show:command", "Show rollouts: question, answer, why."),
    "audit": ("nemo_evaluator.cli.audit:command", "Show where a score may be wrong."),
    "completion": ("nemo_evaluator.cli.completion:command", "Print a shell completion script."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: nel eval run --bench sample --model-url simulated",
)
@click.version_option(__version__, prog_name="nel", message="%(prog)s %(version)s")
def cli() -> None:
    """Evaluate language models: true scores, runs that lose nothing."""


def main() -> None:
    """Entry point: runs `cli` and turns what a user can mend into one message."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)
        code = 2
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
