"""A gym's agent in a program of its own, as nemo-gym's simple agent works: its model is at a fixed
address (``OPENAI_BASE_URL``), it calls a tool, and its gym gives a reward.

``PORT=N python gym_agent.py [--turns N] [--reward JSON] [--fail-model] [--head]``
"""

from __future__ import annotations

import argparse
import json
import os
import urllib.error
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from json_handler import JsonHandler


class Handler(JsonHandler):
    options = argparse.Namespace()

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        if self.path == "/server_instances" and self.options.head:
            agents = [
                {"process_name": name, "server_type": "responses_api_agents", **where}
                for name, where in (
                    ("other", {"url": "http://127.0.0.1:9"}),
                    ("simple", {"host": "127.0.0.1", "port": port}),
                )
            ]
            gym = {"process_name": "w", "server_type": "resources_servers", "port": 1}
            self.reply([gym, *agents])
        elif self.path == "/openapi.json":
            self.reply({"paths": {"/run": {"post": {}}, "/v1/responses": {"post": {}}}})
        else:
            self.reply({"status": "ok"}, 200 if self.path == "/" else 404)

    def do_POST(self) -> None:
        body = self.body()
        with Path(self.options.log).open("a") as log:
            log.write(json.dumps(body) + "\n")
        try:
            answers = [self.asked(body["responses_create_params"])]
            answers += [
                self.asked(body["responses_create_params"]) for _ in range(self.options.turns - 1)
            ]
        except urllib.error.HTTPError as error:
            self.reply({"detail": f"the model said {error.code}: {error.read().decode()}"}, 500)
            return
        output: list[Any] = []
        for number in range(len(answers) - 1):
            called = {"call_id": f"c{number}", "name": "add", "arguments": '{"a": 1}'}
            output.append({"type": "function_call", **called})
            seen = {"type": "function_call_output", "call_id": f"c{number}", "output": "2"}
            output.append(seen)
        response = {**answers[-1], "output": [*output, *answers[-1]["output"]]}
        reward = json.loads(self.options.reward)
        self.reply({**body, "response": response, "reward": reward, "note": "from the gym"})

    def asked(self, params: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{os.environ['OPENAI_BASE_URL']}/responses",
            json.dumps({**params, "model": os.environ["OPENAI_MODEL"]}).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}",
            },
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--reward", default="1.0")
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--log", required=True)
    Handler.options = parser.parse_args()
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
