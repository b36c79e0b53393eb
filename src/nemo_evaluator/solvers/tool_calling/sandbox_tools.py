"""Tools of the sandbox: a shell, and files.

Whatever goes wrong inside (a missing file, a full disk, no permission) is a result for the model;
only a sandbox that is gone raises. Calls are served one after the other, in the order they came.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Mapping, Sequence

from ...sandboxes.contract import ExecResult, Sandbox, SandboxLost
from ...steps import Step
from ...types import Json
from .contract import Tool, ToolResult, failed
from .shell import Ran, Shell

READ_BYTES = 16 << 20
"""The largest file that is read whole."""
LIST = 'cd -- "$1" && find . -maxdepth 2 -not -path "*/.*" | sort | head -n 500'
WRITE = 'mkdir -p -- "$(dirname -- "$1")" && cat > "$1"'
READABLE = '[ -f "$1" ] && [ -r "$1" ]'


def _text(about: str) -> dict[str, Json]:
    return {"type": "string", "description": about}


def _object(required: Sequence[str], **properties: Json) -> dict[str, Json]:
    return {"type": "object", "properties": properties, "required": list(required)}


_PATH = _text("Absolute, or relative to the shell's folder.")
TOOLS = (
    Tool(
        name="bash",
        description="Run a command in a shell that stays open: folder, variables and background"
        " processes last from one call to the next. Standard input is empty.",
        parameters=_object(
            ("command",),
            command=_text("What to run; it may have several lines. May be empty to restart only."),
            timeout={"type": "number", "description": "Seconds it may take."},
            restart={"type": "boolean", "description": "End the shell and begin with a new one."},
        ),
    ),
    Tool(
        name="file_read",
        description="The text of a file.",
        parameters=_object(("path",), path=_PATH),
    ),
    Tool(
        name="file_write",
        description="Write a file, with its folders; what it held before is replaced.",
        parameters=_object(("path", "content"), path=_PATH, content=_text("The whole text.")),
    ),
    Tool(
        name="str_replace_editor",
        description="`view` a file with line numbers, or what is in a folder; `create` a file;"
        " `str_replace` a text that occurs exactly once; `insert` lines.",
        parameters=_object(
            ("command", "path"),
            command={"type": "string", "enum": ["view", "create", "str_replace", "insert"]},
            path=_PATH,
            old_str=_text("What is replaced, by `str_replace`."),
            new_str=_text("What takes its place; the text to create or to insert."),
            view_range={
                "type": "array",
                "items": {"type": "integer"},
                "description": "First and last line to view; -1 is the last one.",
            },
            insert_line={
                "type": "integer",
                "description": "The line after which to insert; 0 is the beginning.",
            },
        ),
    ),
)


class _Refused(Exception):
    """What the model asked for cannot be done, and why."""


class SandboxTools:
    """The tools of one workspace."""

    name = "sandbox"
    prefixes = False

    def __init__(self, sandbox: Sandbox, *, keep_bytes: int) -> None:
        """``keep_bytes``: kept of the beginning of a command's output, and of its end."""
        self._sandbox = sandbox
        self._shell = Shell(sandbox, keep_bytes=keep_bytes)
        self._turn = asyncio.Lock()

    async def open(self) -> Sequence[Tool]:
        """See `ToolSource.open`."""
        return TOOLS

    async def call(self, name: str, arguments: Mapping[str, Json], seconds: float) -> ToolResult:
        """See `ToolSource.call`."""
        async with self._turn:
            try:
                match name:
                    case "bash":
                        return await self._bash(arguments, seconds)
                    case "file_read":
                        return await self._read(self._path(arguments), seconds)
                    case "file_write":
                        text = _text_argument(arguments, "content")
                        return await self._write(self._path(arguments), text, seconds)
                    case _:
                        return await self._edit(arguments, seconds)
            except _Refused as why:
                return failed(str(why))

    def details(self, steps: Sequence[Step]) -> Mapping[str, Json]:
        """See `ToolSource.details`."""
        return {}

    async def close(self) -> None:
        """See `ToolSource.close`. What the shell has started ends with the workspace."""
        await self._shell.leave()

    async def _bash(self, arguments: Mapping[str, Json], seconds: float) -> ToolResult:
        note = ""
        if arguments.get("restart"):
            await self._shell.restart()
            note = "The shell was restarted."
        command = arguments.get("command")
        if not isinstance(command, str) or not command.strip():
            return ToolResult(text=note) if note else failed("`command` is missing")
        wanted = arguments.get("timeout")
        if isinstance(wanted, int | float) and wanted > 0:
            seconds = min(seconds, wanted)
        return _of_command(await self._shell.run(command, seconds), seconds)

    async def _read(self, path: str, seconds: float) -> ToolResult:
        data = await self._bytes(path, seconds)
        if b"\0" in data[: 1 << 16]:
            return failed(f"{path} is a binary file of {len(data):,} bytes")
        return ToolResult(text=data.decode("utf-8", "replace") or "(the file is empty)")

    async def _write(self, path: str, text: str, seconds: float) -> ToolResult:
        data = text.encode("utf-8", "replace")
        done = await self._sandbox.exec(
            ["sh", "-c", WRITE, "sh", path], stdin=data, timeout=seconds, output_bytes=4096
        )
        _check(done, path, seconds)
        return ToolResult(text=f"Wrote {len(data):,} bytes to {path}.")

    async def _edit(self, arguments: Mapping[str, Json], seconds: float) -> ToolResult:
        path, command = self._path(arguments), arguments.get("command")
        new = arguments.get("new_str")
        match command:
            case "view":
                return await self._view(path, arguments.get("view_range"), seconds)
            case "create":
                return await self._write(path, _text_argument(arguments, "new_str"), seconds)
            case "str_replace":
                old = _text_argument(arguments, "old_str")
                changed = _replaced(await self._source(path, seconds), old, str(new or ""), path)
            case "insert":
                after = arguments.get("insert_line")
                changed = _inserted(
                    await self._source(path, seconds), after, _text_argument(arguments, "new_str")
                )
            case _:
                raise _Refused("`command` is one of view, create, str_replace, insert")
        await self._write(path, changed, seconds)
        return ToolResult(text=f"Changed {path}.")

    async def _view(self, path: str, lines: Json, seconds: float) -> ToolResult:
        folder = await self._sandbox.exec(["sh", "-c", LIST, "sh", path], timeout=seconds)
        if folder.ok:
            return ToolResult(text=folder.stdout)
        text = await self._source(path, seconds)
        numbered = list(enumerate(text.splitlines(), 1))
        if isinstance(lines, list | tuple) and len(lines) == 2:
            first, last = (number if isinstance(number, int) else 1 for number in lines)
            last = len(numbered) if last < 0 else last
            numbered = numbered[max(0, first - 1) : max(first, last)]
        shown = "\n".join(f"{number:>6}\t{line}" for number, line in numbered)
        return ToolResult(text=shown or "(nothing to show)")

    async def _source(self, path: str, seconds: float) -> str:
        """The text of a file that is to be changed. Raises _Refused for what is no text."""
        try:
            return (await self._bytes(path, seconds)).decode("utf-8")
        except UnicodeDecodeError:
            raise _Refused(f"{path} is no UTF-8 text") from None

    async def _bytes(self, path: str, seconds: float) -> bytes:
        """A file. Raises _Refused for what cannot be read."""
        try:
            async with asyncio.timeout(seconds):
                return await self._sandbox.download(path, max_bytes=READ_BYTES)
        except FileNotFoundError:
            raise _Refused(f"there is no file {path}") from None
        except ValueError:
            raise _Refused(f"{path} is larger than {READ_BYTES:,} bytes") from None
        except SandboxLost:
            # The transfer fails too where the agent may not read the file.
            if (await self._sandbox.exec(["sh", "-c", READABLE, "sh", path], timeout=10)).ok:
                raise
            raise _Refused(f"{path} cannot be read") from None

    def _path(self, arguments: Mapping[str, Json]) -> str:
        path = _text_argument(arguments, "path")
        if not path or "\0" in path:
            raise _Refused("`path` is empty, or has a character that no path has")
        return posixpath.normpath(posixpath.join(self._shell.cwd, path))


def _text_argument(arguments: Mapping[str, Json], name: str) -> str:
    """A text among the arguments. Raises _Refused where it is missing."""
    value = arguments.get(name)
    if not isinstance(value, str):
        raise _Refused(f"`{name}` is missing, or is no text")
    return value


def _replaced(text: str, old: str, new: str, path: str) -> str:
    """The text with the one occurrence of another replaced. Raises _Refused."""
    count = text.count(old) if old else 0
    if count != 1:
        found = f"occurs {count} times" if count else "does not occur"
        raise _Refused(f"`old_str` {found} in {path}: it must occur exactly once")
    return text.replace(old, new)


def _inserted(text: str, after: Json, new: str) -> str:
    """The text with lines after a line. Raises _Refused where there is no such line."""
    lines = text.splitlines(keepends=True)
    if not isinstance(after, int) or not 0 <= after <= len(lines):
        raise _Refused(f"`insert_line` is a number from 0 to {len(lines)}")
    if after and not lines[after - 1].endswith("\n"):
        lines[after - 1] += "\n"
    return "".join([*lines[:after], new if new.endswith("\n") else f"{new}\n", *lines[after:]])


def _check(done: ExecResult, path: str, seconds: float) -> None:
    """Raise _Refused where a command of ours failed."""
    if done.timed_out:
        raise _Refused(f"{path}: not finished within {seconds:g} s")
    if not done.ok:
        raise _Refused(f"{path}: {done.stderr.strip()[-300:] or f'exit code {done.exit_code}'}")


def _of_command(ran: Ran, seconds: float) -> ToolResult:
    """What the model is told of a command."""
    notes = []
    if ran.timed_out:
        notes.append(
            f"[ended: not finished within {seconds:g} s; the shell was restarted in the same"
            " folder, without its variables and background processes]"
        )
    elif ran.exit_code != 0:
        notes.append(f"[exit code {ran.exit_code}]")
    if ran.ended:
        notes.append("[the shell ended; the next command gets a new one in the same folder]")
    text = "\n".join([*notes, ran.output]) if notes else ran.output or "(no output)"
    return ToolResult(
        text=text,
        failed=ran.exit_code != 0,
        omitted=ran.omitted,
        extra={"exit_code": ran.exit_code, **({"timed_out": True} if ran.timed_out else {})},
    )
