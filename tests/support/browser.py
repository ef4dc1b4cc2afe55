"""A real browser, driven by its own driver: W3C WebDriver, which is JSON over HTTP (https://www.w3.org/TR/webdriver2/)."""

from __future__ import annotations

import base64
import re
import subprocess
import tempfile
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx

from support.peers import program
from support.waiting import WITHIN_S, wait_until

# A promise that comes true when a frame is painted that shows what the page is now: the second one to come.
PAINTED = "new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))"
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver section 12.2
_KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "ArrowDown": "\ue015", "ArrowUp": "\ue013", "Tab": "\ue004"}


class Browser:
    """Chromium without a window. A test that wants one where there is none is skipped. Ends with its ``with``."""

    def __init__(self) -> None:
        chromium, driver = program("chromium"), program("chromedriver")
        self._runs_scripts = True
        self._home = tempfile.TemporaryDirectory(prefix="portside-browser-", ignore_cleanup_errors=True)
        self._driver = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
        try:
            self._http = httpx.Client(base_url=f"http://127.0.0.1:{self._port()}", timeout=WITHIN_S, trust_env=False)
            self._session = ""
            self._begin(chromium)
        except BaseException:
            self.close()
            raise

    def _port(self) -> int:
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if match := re.search(r"successfully on port (\d+)", line):
                return int(match[1])
        raise AssertionError("the browser's driver did not start")

    def _begin(self, chromium: str) -> None:
        arguments = [
            "--headless=new",
            "--no-sandbox",  # which root cannot have
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            "--lang=en-GB",
            f"--user-data-dir={self._home.name}",
        ]
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self._session = self._ask("POST", "/session", capabilities={"alwaysMatch": wanted})["sessionId"]

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        answer = self._http.request(method, path, json=body if method == "POST" else None)
        value = answer.json()["value"]
        assert answer.is_success, f"{method} {path}: {value.get('message', value)}"
        return value

    def _do(self, path: str, **body: Any) -> Any:
        return self._ask("POST", f"/session/{self._session}{path}", **body)

    # ── what a person does ───────────────────────────────────────────────────────────────────────────────────────────

    def go(self, url: str) -> None:
        """Open a page, and return when it has loaded and can be seen."""
        self._do("/url", url=url)
        self._see()

    def _see(self) -> None:
        """Wait until what the page has become is painted, as a person does who acts on what they see.

        Chromium drops input that comes before a page's first frame. Without scripts nobody can tell.
        """
        if self._runs_scripts:
            self._do("/execute/sync", script=f"return {PAINTED}", args=[])

    def click(self, selector: str) -> None:
        self._see()
        self._do(f"/element/{self._find(selector)}/click")

    def type(self, selector: str, *keys: str) -> None:
        """Type into an element; ``Enter``, ``Escape`` and the arrows are keys of that name."""
        self._see()
        self._do(f"/element/{self._find(selector)}/value", text="".join(_KEYS.get(key, key) for key in keys))

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self._see()
        acts = [{"type": kind, "value": _KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._do("/actions", actions=[{"type": "key", "id": "keyboard", "actions": acts}])

    def _find(self, selector: str) -> str:
        found: str = self._do("/element", using="css selector", value=selector)[_ELEMENT]
        return found

    # ── what a person has and sees ───────────────────────────────────────────────────────────────────────────────────

    def look(self, width: int, height: int = 800, *, dark: bool = False) -> None:
        """Give the page so many CSS pixels, in a light or a dark scheme."""
        self._devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", features=[scheme])

    def _devtools(self, command: str, **parameters: Any) -> Any:
        return self._do("/goog/cdp/execute", cmd=command, params=parameters)

    def picture(self, *, whole: bool = False) -> bytes:
        """Return what is seen, or the whole page, as PNG."""
        shot = self._devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a function's body of JavaScript returns; a promise is waited for."""
        return self._do("/execute/sync", script=script, args=list(arguments))

    def text(self, selector: str) -> str:
        """Return the text that is seen of an element, in one step: a page may replace it between two."""
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements that match."""
        return [
            str(text)
            for text in self.run(
                "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent.trim())", selector
            )
        ]

    def is_seen(self, selector: str) -> bool:
        """Say whether any of an element is displayed."""
        return bool(self._ask("GET", f"/session/{self._session}/element/{self._find(selector)}/displayed"))

    def scripts(self, *, on: bool) -> None:
        """Let the pages that are opened from now on run scripts, or not."""
        self._devtools("Emulation.setScriptExecutionDisabled", value=not on)
        self._runs_scripts = on

    def wait_for(self, fact: Callable[[], Any], what: str) -> Any:
        """Return the first true value of ``fact()``."""
        return wait_until(fact, what)

    def complaints(self) -> list[str]:
        """Return what has appeared in the console since this was last asked, such as breaches of a policy."""
        entries = self._do("/se/log", type="browser")
        return [str(entry["message"]) for entry in entries if entry["level"] in {"SEVERE", "WARNING"}]

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        if getattr(self, "_session", ""):
            self._http.delete(f"/session/{self._session}")
        if hasattr(self, "_http"):
            self._http.close()
        self._driver.terminate()
        self._driver.wait()
        if self._driver.stdout is not None:
            self._driver.stdout.close()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
