"""The types of ASGI 3, and two extensions by which our server and our applications agree.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

ABORT = "nel.abort"
"""A message: reset the connection, whatever was promised. For answers that cannot be completed."""
CANCEL = "nel.cancel"
"""A message: cancel the application's task if the client leaves before the answer is complete.
Without it an application must wait for ``http.disconnect`` in a second task, which costs more than
all else that a server does for a request."""
EXTENSIONS: dict[str, dict[str, object]] = {ABORT: {}, CANCEL: {}}
