"""Beside ``worker.py`` in the interpreter that has lm_eval: loads tasks, and says what is wrong
with them before anything is asked."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import hashlib
import json
import logging
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nel_lm_eval_index import manager_of_all
from nel_lm_eval_tokens import UserError

Theirs = Any
"""An object of lm_eval, whose types are not ours to know."""
Data = Any
"""What JSON can say."""
CLOSE = 5


def compile_templates_once() -> None:
    """lm_eval compiles the template of a prompt again for every document; a template is the same
    each time. This is two thirds of its own work."""
    from lm_eval import utils

    environment = getattr(utils, "env", None)
    if environment is not None:
        environment.from_string = functools.lru_cache(maxsize=1024)(environment.from_string)


class Said(logging.Handler):
    """What lm_eval warns of while it loads: the reason of an error often stands only there."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._log = logging.getLogger("lm_eval")
        self._log.setLevel(logging.WARNING)
        self._log.propagate = False
        self._log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text."""
        self.lines.append(" ".join(record.getMessage().split()))

    def beside(self, error: Exception) -> str:
        """An error with the last warning before it."""
        reasons = [line for line in self.lines if "using default" not in line]
        reason = f" ({reasons[-1]})" if reasons else ""
        return f"{_text_of_error(error)}{reason}"

    def end(self) -> None:
        """Errors only, from here on."""
        self._log.removeHandler(self)
        self._log.setLevel(logging.ERROR)


def _text_of_error(error: Exception) -> str:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    if isinstance(error, KeyError) and frame and "dataset_dict" in frame[0].filename:
        return f"the dataset has no split {text!r}"
    return f"{type(error).__name__}: {' '.join(str(text).split())}"


def loaded_tasks(names: Sequence[str], include: str | None, metadata: Data) -> dict[str, Theirs]:
    """What TaskManager gives: tasks, groups. A ``*`` in a name stands for any text, as for the
    command of lm_eval. Raises UserError for a name that it does not know."""
    from lm_eval.tasks import TaskManager

    if include and not Path(include).is_dir():
        raise UserError(f"include_path: there is no folder {include}")
    if include:
        own = TaskManager(include_path=include, include_defaults=False, metadata=metadata)
        single = set(own.all_tasks) - set(own.all_groups)  # a group may name tasks of lm_eval
        if single.issuperset(names):
            return dict(own.load(list(names)))
    every = manager_of_all(include, metadata)
    known = sorted(every.task_index)
    wanted = list[str]()
    for name in names:
        found = fnmatch.filter(known, name) if "*" in name else [name]
        if not found or (name not in known and "*" not in name and not Path(name).is_file()):
            raise UserError(f"lm_eval has no task {name!r}{_hint(name, known, include)}")
        wanted += found
    return dict(every.load(list(dict.fromkeys(wanted))))


def _hint(name: str, known: Sequence[str], include: str | None) -> str:
    """What may be meant by a name that is not known, or why it is not."""
    close = difflib.get_close_matches(name, known, CLOSE, 0.5)
    close = close or [task for task in known if name in task][:CLOSE]
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    unread = list(_unread(include))[:CLOSE] if include else []
    return (
        f"{hint}; files of include_path that it cannot read: {', '.join(unread)}"
        if unread
        else hint
    )


def _unread(include: str) -> Iterator[str]:
    """The files of a folder that lm_eval passes over, as it says to its log only."""
    from lm_eval.tasks import TaskManager

    lines, log = list[logging.LogRecord](), logging.getLogger("lm_eval.tasks._index")

    def keep(record: logging.LogRecord) -> bool:
        lines.append(record)
        return False

    level = log.level
    log.addFilter(keep)
    log.setLevel(logging.DEBUG)
    TaskManager(include_path=include, include_defaults=False)
    log.setLevel(level)
    log.removeFilter(keep)
    for line in lines:
        if line.msg.startswith("Skip") and "config shape" not in (said := line.getMessage()):
            yield " ".join(said.removeprefix("Skip ").split())


def check_aggregations(name: str, task: Theirs) -> None:
    """Raise UserError for one that lm_eval does not know, and would miss when all is paid for."""
    for metric, function in task.aggregation().items():
        if function is None:
            raise UserError(f"{name}: {_configured(task, metric)}")


def _configured(task: Theirs, metric: str) -> str:
    """What is wrong with the aggregation of a metric, by its configuration."""
    listed = task.get_config("metric_list") or ()
    names = [one.get("aggregation") for one in listed if str(one.get("metric")) == metric]
    return f"lm_eval has no aggregation {names[0] if names else None!r} (of the metric {metric})"


def told(name: str, task: Theirs) -> Data:
    """What a task is."""
    config = json.dumps(task.dump_config(), default=text_of, sort_keys=True)
    return {
        "name": name,
        "version": str(getattr(task, "VERSION", None)),
        "config": hashlib.sha256(config.encode()).hexdigest()[:16],
        "output_type": task.get_config("output_type") or task.OUTPUT_TYPE,
        "num_fewshot": task.get_config("num_fewshot"),
    }


def text_of(value: object) -> str:
    """A function of a configuration by its name, anything else as it shows itself."""
    return str(getattr(value, "__qualname__", None) or value)
