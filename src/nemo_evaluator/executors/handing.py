"""Hands a configuration to a run elsewhere: a document without secrets, and the secrets apart.

Loading the document where the variables of ``secrets`` are set gives the configuration that was
loaded here. ``${NAME}`` of the user stays, with its value of now; a secret given in clear becomes
``${NEL_SECRET_1}``; defaults, and what differs from machine to machine (``${HOME}``), are written
out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ..config.environment import NEVER_NAMED
from ..config.expand import HANDED, REFERENCE
from ..config.keys import PREFIX, is_of_this_process
from ..config.load import Loaded
from ..config.mistakes import Mistake, as_error
from ..config.root import EvalConfig
from ..config.secrecy import MIN_LENGTH, hidden_urls, secret_field, secret_variable
from ..config.snapshot import is_literal_secret
from ..config.tree import KeyPath, Node
from ..config.yaml_text import to_yaml

KINDS = ("type", "protocol")
"""What stands there is never a secret, though a secret may be the same word by chance."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OF_A_PLACE = re.compile(
    r"HOME|PATH|PWD|OLDPWD|USER|LOGNAME|SHELL|SHLVL|TMPDIR|TMP|TEMP|TERM|HOSTNAME|LANG|LANGUAGE|IFS"
    r"|UID|EUID|PPID|GROUPS|SHELLOPTS|SECONDS|RANDOM|LINENO|CDPATH|ENV|PS[0-9]|OPT(IND|ARG|ERR)|_"
    r"|GLOBIGNORE|PROMPT_COMMAND|POSIXLY_CORRECT|DIRSTACK|FUNCNAME|PIPESTATUS|REPLY|EPOCH\w*|COMP_\w+"
    r"|NEL_(INNER_EXECUTION|SHARD_IDX|TOTAL_SHARDS|SERVICES|SECRET_\w*|SANDBOX_(NODES|HET_GROUP))"
    r"|(LC|LD|DYLD|BASH|PYTHON|VIRTUAL_ENV|CONDA|SLURM|SBATCH|SRUN|XDG|CUDA|NVIDIA_VISIBLE|HIST)\w*"
)
"""Variables that belong to a machine, a shell or a job: elsewhere they keep the values of there."""
_NAMES_VARIABLES = re.compile(r"(^|_)env(_vars)?$|^allowed_env")


_OF_EXPORTERS = {"wandb": "WANDB_", "mlflow": "MLFLOW_", "otel": "OTEL_"}
_OF_SANDBOXES = {"ecs_fargate": "AWS_"}
_OF_SEARCH = {"tavily": "TAVILY_"}
"""How the names of variables begin that a part of a run reads though no text names them."""


@dataclass(frozen=True, slots=True)
class JobDocument:
    """What a run elsewhere needs to be the same run."""

    text: str
    """The configuration as YAML, for ``nel eval run FILE``. Holds no secret."""
    secrets: Mapping[str, str] = field(repr=False)
    """Variables it needs. They belong into a file of mode 0600, a secret of the cluster, or memory:
    nowhere else."""
    folder: str
    """The folder that relative paths in it are relative to."""


def job_document(loaded: Loaded, *, output_dir: Path | None = None) -> JobDocument:
    """The document of a checked configuration, whose flags are applied already.

    ``output_dir``: where the results go; None: where the configuration says. Raises ConfigError for
    what cannot be handed to another process.
    """
    handed = _Handed(loaded.env, sorted(loaded.secrets, key=len, reverse=True))
    data = handed.value(_without_cluster(loaded.tree), (), secret=False)
    failure = as_error(handed.problems, loaded.locate)
    if failure is not None:
        raise failure
    assert isinstance(data, dict)
    folder = Path.cwd()
    results = (output_dir or folder / loaded.config.output.dir).absolute()
    output = data.get("output")
    place = handed.clear(escaped(str(results)))
    data["output"] = {**(output if isinstance(output, dict) else {}), "dir": place}
    begins = tuple(_families(loaded.config))
    read = (name for name in loaded.env if begins and name.startswith(begins))
    for name in (*NEVER_NAMED, *map(str.lower, NEVER_NAMED), *read):
        handed.name(name)
    text = to_yaml(data)
    return JobDocument(text, handed.secrets, str(folder))


def _without_cluster(tree: Node) -> Node:
    """The run elsewhere has none; what is secret in it is for who submits."""
    assert isinstance(tree.value, dict)
    return Node({key: child for key, child in tree.value.items() if key != "cluster"}, tree.mark)


def escaped(text: str) -> str:
    """A text that is taken as it is: nothing in it refers to a variable."""
    return text.replace("${", "$${")


def _families(config: EvalConfig) -> Iterator[str]:
    for name in config.output.export:
        yield from filter(None, [_OF_EXPORTERS.get(name)])
    for benchmark in config.benchmarks:
        kind = getattr(benchmark.sandbox, "type", "")
        search = getattr(benchmark.solver, "web_search_provider", None)
        yield from filter(None, [_OF_SANDBOXES.get(kind), _OF_SEARCH.get(search or "")])


class _Handed:
    """Rewrites a tree, and collects the values of the variables that the result refers to."""

    def __init__(self, env: Mapping[str, str], known: list[str]) -> None:
        self.secrets: dict[str, str] = {}
        self.problems: list[Mistake] = []
        self._env = env
        self._numbers: dict[str, str] = {}
        """The variable of each secret that was given in clear."""
        alternatives = "|".join(re.escape(escaped(secret)) for secret in known)
        self._known = re.compile(alternatives) if known else None

    def value(self, node: Node, path: KeyPath, *, secret: bool) -> object:
        """Plain data; ``secret``: it is below a secret place."""
        value = node.value
        if isinstance(value, dict):
            return {
                key: self.value(child, (*path, key), secret=secret or _is_secret(path, key))
                for key, child in value.items()
            }
        if isinstance(value, list):
            return [self.value(item, (*path, i), secret=secret) for i, item in enumerate(value)]
        if isinstance(value, str):
            self._check(value, path)
            return self._text(value, path, secret=secret)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if secret and is_number and len(str(value)) >= MIN_LENGTH:
            what = "is taken for a secret, and a number cannot be handed to another machine as one"
            self.problems.append(Mistake(path, what, "write it as text, in quotes"))
        return value

    def name(self, name: str) -> bool:
        """Hand on a variable by its name, if it is set; whether it is."""
        if not _NAME.fullmatch(name) or _OF_A_PLACE.fullmatch(name) or name not in self._env:
            return False
        self.secrets[name] = self._env[name]
        return True

    def clear(self, text: str, path: KeyPath = ()) -> str:
        """Text with a variable in the place of each secret that is known."""
        if self._known is None or (path and path[-1] in KINDS):
            return text
        return self._known.sub(lambda match: self._hidden(match[0].replace("$${", "${")), text)

    def _check(self, value: str, path: KeyPath) -> None:
        names = [part for part in path if isinstance(part, str)]
        if secret_variable(value) or any(_NAMES_VARIABLES.search(name) for name in names):
            self.name(value)
        if names[-1:] == ["api_key_command"] and is_of_this_process(value):
            what = f"{value.removeprefix(PREFIX)} is a function of this process"
            hint = "write python:MODULE:FUNCTION or python:FILE.py:FUNCTION"
            self.problems.append(Mistake(path, what, hint))

    def _text(self, text: str, path: KeyPath, *, secret: bool) -> str:
        if secret and is_literal_secret(text):
            return self._hidden(self._expanded(text))
        parts: list[str] = []
        end = 0
        for match in REFERENCE.finditer(text):
            parts += [self.clear(text[end : match.start()], path), self._reference(match, path)]
            end = match.end()
        parts.append(self.clear(text[end:], path))
        result = "".join(parts)
        return result if hidden_urls(result) == result else self._hidden(self._expanded(text))

    def _reference(self, match: re.Match[str], path: KeyPath) -> str:
        name: str | None = match[1]
        if name is None:
            return match[0]
        if self.name(name):
            return f"${{{name}}}"
        return self.clear(escaped(self._env.get(name, match[2] or "")), path)

    def _hidden(self, secret: str) -> str:
        name = self._numbers.setdefault(secret, f"{HANDED}{len(self._numbers) + 1}")
        self.secrets[name] = secret
        return f"${{{name}}}"

    def _expanded(self, text: str) -> str:
        def value_of(match: re.Match[str]) -> str:
            return "${" if match[1] is None else self._env.get(match[1], match[2] or "")

        return REFERENCE.sub(value_of, text)


def _is_secret(path: KeyPath, key: str) -> bool:
    names = ["", *(part for part in path if isinstance(part, str)), key]
    parent, name = list(pairwise(names))[-1]
    return secret_field(name, parent)
