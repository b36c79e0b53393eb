"""A client of `nel view`, as a browser that was given the token."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

TOKEN = "a-token-for-tests"


class Answered:
    """An answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """Asks one viewer."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        self.host, self.port = parts.hostname, parts.port
        self.base = f"http://{self.host}:{self.port}"
        self.cookie = f"nel_view_{self.port}={TOKEN}"

    def get(self, path: str, **headers: str) -> Answered:
        return self.ask("GET", path, **headers)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        told = {"cookie": self.cookie, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            told.setdefault("content-type", "application/json")
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, told)
        answer = connection.getresponse()
        found = Answered(
            answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        )
        connection.close()
        return found

    def run(self, name: str) -> str:
        """The address of the page of a run."""
        found = re.search(rf'href="(/run/{re.escape(name)}-[0-9a-f]+)"', self.get("/").text)
        assert found is not None
        return found[1]

    def samples(self, name: str, query: str = "", benchmark: str = "sample") -> str:
        """The list of rollouts, once all of it can be searched."""
        path = f"{self.run(name)}/{benchmark}/samples?part=table&{query}"
        for _ in range(200):
            text = self.get(path).text
            if 'id="indexing"' not in text:
                return text
            time.sleep(0.05)
        raise AssertionError(text)

    @staticmethod
    def rollouts(text: str) -> list[str]:
        """The rollouts that a list shows, in its order."""
        return re.findall(r'<th scope="row"><a href="[^"]*">(\d+/\d+)</a>', text)
