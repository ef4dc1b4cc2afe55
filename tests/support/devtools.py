"""A real Chromium without a window, driven over its DevTools protocol: one page, its scripts, keys and pictures.

Beside ``support.browser``, which speaks WebDriver: here a page can be made offline, dark, and as wide as is asked for.
"""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.browser import PAINTED
from support.peers import program
from support.waiting import WITHIN_S, wait_until

_KEYS = {  # what a browser calls them: code, and the number that old scripts know
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, ""),
    "Escape": ("Escape", 27, ""),
    "Delete": ("Delete", 46, ""),
    "End": ("End", 35, ""),
    "Home": ("Home", 36, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "PageDown": ("PageDown", 34, ""),
}


class Browser:
    """One page of a browser. ``complaints`` holds what its console said against it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have the browser do something, and return what comes of it."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=WITHIN_S))
            self._note(message)
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters["exceptionDetails"].get("exception", parameters)))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.complaints.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")

    # ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, url: str) -> None:
        self.command("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")
        self._see()

    def _see(self) -> None:
        """Wait until what the page has become is painted. Chromium drops input that comes before the first frame."""
        self.run(f"{PAINTED}.then(() => null)")

    def run(self, script: str) -> Any:
        """Return what a script gives, awaited if it is a promise."""
        done = self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Return what the script gives as soon as that is something."""
        seen: list[Any] = [None]

        def is_something() -> bool:
            seen[0] = self.run(script)
            return bool(seen[0])

        try:
            wait_until(is_something)
        except AssertionError as error:
            raise AssertionError(f"never came true: {script}; the page: {self.text()[:2_000]}") from error
        return seen[0]

    def text(self) -> str:
        return str(self.run("document.body.innerText"))

    def click(self, selector: str) -> None:
        """Click on what the selector finds, with the mouse, where it is."""
        self._see()
        place = self.run(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        """Press keys by their names, ``Shift+`` before one that is pressed with it; other text is typed."""
        self._see()
        for key in keys:
            name = key.removeprefix("Shift+")
            if name in _KEYS:
                code, number, text = _KEYS[name]
                modifiers = 8 if key != name else 0
                about = {"key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
                self.command("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
                self.command("Input.dispatchKeyEvent", type="keyUp", **about)
            else:
                for character in key:
                    self.command("Input.dispatchKeyEvent", type="keyDown", text=character, key=character)
                    self.command("Input.dispatchKeyEvent", type="keyUp", key=character)

    # ── how it looks ─────────────────────────────────────────────────────────────────────────────────────────────────

    def look(self, width: int, height: int, *, dark: bool = False, scale: float = 1.0) -> None:
        """Have the page be so large, and dark or light."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self) -> bytes:
        """Return the page as it is seen, in PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])

    def offline(self, *, is_so: bool) -> None:
        """Cut the browser off from every network, or join it again."""
        self.command(
            "Network.emulateNetworkConditions", offline=is_so, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser, and end it. A test that wants one where there is none is skipped."""
    from websockets.sync.client import connect

    found = program("chromium")
    with tempfile.TemporaryDirectory(prefix="portside-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                found,
                "--headless=new",
                "--no-sandbox",  # which root cannot have
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-extensions",
                "--disable-background-networking",
                "--no-first-run",
                "--hide-scrollbars",
                "--lang=en-GB",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port = _port_in(Path(profile) / "DevToolsActivePort", lambda: process.poll() is None)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=WITHIN_S) as answer:
                pages = [page for page in json.load(answer) if page["type"] == "page"]
            with connect(pages[0]["webSocketDebuggerUrl"], max_size=None, proxy=None, ping_interval=None) as connection:
                yield Browser(connection)
        finally:
            process.terminate()
            try:
                process.wait(WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port_in(file: Path, is_alive: Callable[[], bool]) -> int:
    """Return the port that the browser has written down."""

    def is_written() -> bool:
        assert is_alive(), "the browser ended at once"
        return file.exists() and file.read_text().count("\n") >= 1

    wait_until(is_written)
    return int(file.read_text().splitlines()[0])
