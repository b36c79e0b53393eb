"""The `nel` command. It ends with an ``ExitCode``: no crash shares one with a verdict."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import click

from ..errors import ConfigError, ExitCode
from ..version import __version__
from .lazy import LazyGroup
from .output import Stream, guarded_streams, open_descriptors, told
from .signals import Signals

COMMANDS = {
    "eval": ("nemo_evaluator.cli.eval:group", "Run evaluations and report on them."),
    "list": ("nemo_evaluator.cli.list_plugins:command", "List benchmarks and plug-ins."),
    "validate": ("nemo_evaluator.cli.validate:command", "Run a few problems of a benchmark."),
    "report": ("nemo_evaluator.cli.report:command", "Show runs side by side."),
    "export": ("nemo_evaluator.cli.export:command", "Hand results on to other tools."),
    "import": ("nemo_evaluator.cli.import_run:command", "Import results of other tools."),
    "query": ("nemo_evaluator.cli.query:command", "Answer SQL over the files of runs."),
    "compare": ("nemo_evaluator.cli.compare:command", "Compare runs: is a difference real?"),
    "gate": ("nemo_evaluator.cli.gate:command", "Check a candidate against a policy."),
    "power": ("nemo_evaluator.cli.power:command", "Plan how many problems a test needs."),
    "judge": ("nemo_evaluator.cli.judge:group", "Check how good a judge model is."),
    "simulate": ("nemo_evaluator.cli.simulate:command", "Serve a simulated model endpoint."),
    "serve": ("nemo_evaluator.cli.serve:command", "Serve a benchmark: problems and verdicts."),
    "proxy": ("nemo_evaluator.cli.proxy:command", "Serve a model through interceptors."),
    "traffic": ("nemo_evaluator.cli.traffic:command", "Show the model traffic of a run."),
    "show": ("nemo_evaluator.cli.show:command", "Show questions, answers and scores."),
    "view": ("nemo_evaluator.cli.view:command", "Show runs in the browser."),
    "audit": ("nemo_evaluator.cli.audit:command", "Show where a score may be wrong."),
    "package": ("nemo_evaluator.cli.package:command", "Build an image of your benchmark."),
    "cache-sqsh": ("nemo_evaluator.cli.cache_sqsh:command", "Put an image on a cluster as a file."),
    "config": ("nemo_evaluator.cli.config:group", "Show and change your settings."),
    "harness": ("nemo_evaluator.cli.harness:group", "Install packages of other harnesses."),
    "doctor": ("nemo_evaluator.cli.doctor:command", "Show what is installed and what is missing."),
    "init": ("nemo_evaluator.cli.init:command", "Write a first configuration."),
    "init-benchmark": (
        "nemo_evaluator.cli.init_benchmark:command",
        "Write a package with a benchmark of your own.",
    ),
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
    """Run `cli` inside a program that goes on: its signals are as before afterwards."""
    signals = Signals()
    with signals.installed():
        code = run(signals)
    sys.exit(code)


def run(signals: Signals) -> int:
    """Run `cli`: an ``ExitCode``, and at most one message."""
    open_descriptors()
    with guarded_streams() as out:
        code = ended(partial(_run, out), signals)
        signals.ignore()
    return code


def _run(out: Stream) -> int:
    """A command that ends with a code of its own (a run, a verdict) keeps it, whatever becomes of
    its output; what only prints has failed where that cannot be written."""
    code = cli.main(standalone_mode=False)
    sys.stdout.flush()
    if (lost := told(out)) is not None:
        raise ConfigError(f"standard output cannot be written: {lost}")
    return code if isinstance(code, int) else ExitCode.DONE


def ended(run: Callable[[], int], signals: Signals) -> int:
    """The exit code; any other outcome has been printed on stderr."""
    try:
        return run()
    except (SystemExit, click.exceptions.Exit) as error:
        code = error.code if isinstance(error, SystemExit) else error.exit_code
        return code if isinstance(code, int) else ExitCode.DONE
    except click.ClickException as error:
        from .planned import explained

        explained(error).show()
    except ConfigError as error:
        _say(f"error: {error}")
    except (KeyboardInterrupt, click.Abort):
        return signals.code()
    except BaseException as error:
        return _unexpected(error)
    return ExitCode.USER_ERROR


def _unexpected(error: BaseException) -> int:
    from .crash import as_user_error, report

    known = as_user_error(error)
    _say(f"error: {known}" if known is not None else report(error))
    return ExitCode.USER_ERROR if known is not None else ExitCode.BUG


def _say(text: str) -> None:
    click.echo(text, err=True)
