"""An MCP server over standard input and output that needs only Python: for hosts and sandboxes.

``python mcp_server.py [--die-at-start] [--die-at-list] [--die-once FILE]``
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from typing import Any

TOOLS: dict[str, dict[str, Any]] = {
    "add": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "bash": {"command": {"type": "string"}},
    "picture": {},
    "variable": {"name": {"type": "string"}},
    "fail": {},
    "die": {},
    "wait": {"seconds": {"type": "number"}},
    "where": {},
    "count": {},
}
counted = 0


def call(name: str, given: dict[str, Any]) -> dict[str, Any]:
    global counted
    text: str = ""
    match name:
        case "add":
            text = str(given["a"] + given["b"])
        case "bash":
            text = "another bash: " + given["command"]
        case "picture":
            data = base64.b64encode(b"\x89PNG").decode()
            return {"content": [{"type": "image", "data": data, "mimeType": "image/png"}]}
        case "variable":
            text = os.environ.get(given["name"], "unset")
        case "fail":
            return {"content": [{"type": "text", "text": "no luck"}], "isError": True}
        case "die":
            print("the disk is full", file=sys.stderr, flush=True)
            os._exit(3)
        case "wait":
            time.sleep(given["seconds"])
        case "where":
            text = os.getcwd()
        case "count":
            counted += 1
            text = str(counted)
    return {"content": [{"type": "text", "text": text}]}


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    params = message.get("params") or {}
    match message.get("method"):
        case "initialize":
            return {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "test", "version": "1"},
            }
        case "tools/list":
            if "--die-at-list" in sys.argv:
                os._exit(6)
            names = list(TOOLS)
            at = int(params.get("cursor") or 0)
            page = [
                {
                    "name": name,
                    "description": f"does {name}",
                    "inputSchema": {"type": "object", "properties": TOOLS[name]},
                }
                for name in names[at : at + 5]
            ]
            more = {"nextCursor": str(at + 5)} if at + 5 < len(names) else {}
            return {"tools": page, **more}
        case "tools/call":
            return call(params["name"], params.get("arguments") or {})
    return None


def main() -> None:
    if "--die-at-start" in sys.argv:
        print("no such licence", file=sys.stderr, flush=True)
        sys.exit(4)
    if "--die-once" in sys.argv:  # it works once, and then never again
        file = sys.argv[sys.argv.index("--die-once") + 1]
        if os.path.exists(file):
            print("already used", file=sys.stderr, flush=True)
            sys.exit(5)
        open(file, "w").close()
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        result = answer(message)
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if result is None:
            reply["error"] = {"code": -32601, "message": f"no method {message['method']}"}
        else:
            reply["result"] = result
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
