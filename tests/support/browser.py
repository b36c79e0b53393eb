"""A real Chromium without a window, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from parts import needed

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root, and open nothing but our own files
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
)


def chromium() -> str | None:
    """The program, if there is one."""
    named = os.environ.get("NEL_CHROMIUM")
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return named or next(filter(None, found), None)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.session = ""
        self.requests: list[str] = []
        """Addresses of everything it asked for."""
        self.complaints: list[str] = []
        """Errors of the console."""

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json(
            {**message, "sessionId": self.session} if self.session else message
        )
        while True:
            got = await self._socket.receive_json(timeout=30)
            self._note(got)
            if got.get("id") == number:
                assert "error" not in got, got
                return dict(got["result"])

    async def open(
        self, path: Path | str, *, width: int, dark: bool = False, media: str = ""
    ) -> None:
        """Show a file or an address, as wide as that."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme], media=media)
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.requests.clear()
        await self.send("Page.navigate", url=path if isinstance(path, str) else path.as_uri())
        await self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    async def until(self, condition: str, seconds: float = 30.0) -> None:
        """Wait until a JavaScript condition holds."""
        async with asyncio.timeout(seconds):
            while not await self.value(condition):
                await asyncio.sleep(0.02)

    async def press(self, key: str) -> None:
        """A key, as a person presses it."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" and len(key) == 1 else {}
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, **text)

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression gives."""
        got = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in got, got
        return got["result"].get("value")

    async def pdf(self, path: Path) -> int:
        """What a printer gets, and its number of pages."""
        got = await self.send("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        content = base64.b64decode(got["data"])
        path.write_bytes(content)
        return len(re.findall(rb"/Type\s*/Page\b(?!s)", content))

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])


@asynccontextmanager
async def browser(program: str, profile: Path, *flags: str) -> AsyncIterator[Page]:
    """A tab of a Chromium of its own."""
    process = subprocess.Popen(
        [program, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        found = (line for line in process.stderr if line.startswith("DevTools listening on "))
        address = (await asyncio.to_thread(next, found, "")).split()[-1]
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(address, max_msg_size=0) as socket,
        ):
            page = Page(socket)
            target = await page.send("Target.createTarget", url="about:blank")
            attached = await page.send(
                "Target.attachToTarget", targetId=target["targetId"], flatten=True
            )
            page.session = attached["sessionId"]
            for domain in ("Page", "Network", "Log", "Runtime"):
                await page.send(f"{domain}.enable")
            yield page
            page.session = ""
            await page.send("Browser.close")
    finally:
        process.terminate()
        process.wait(60)
        if process.stderr is not None:
            process.stderr.close()


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A tab of a real browser."""
    program = chromium()
    if program is None:
        (pytest.fail if needed("chromium") else pytest.skip)("there is no chromium")
    async with browser(program, tmp_path / "profile") as tab:
        yield tab
