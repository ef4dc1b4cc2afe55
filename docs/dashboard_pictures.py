"""Takes the pictures of docs/dashboard.md: ``python docs/dashboard_pictures.py [FOLDER]``. Needs chromium.

The page is that of a real server with visitors: they talk for a minute, so that there is something to be seen.
"""

from __future__ import annotations

import ftplib
import random
import socket
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "src")]

from support.devtools import Browser, browsing  # noqa: E402
from support.server import Server  # noqa: E402

WIDTHS = ((360, 780), (768, 1_024), (1_440, 900))
TALKERS = 24
MINUTE_S = 62  # what the small lines show
CONFIGURATION = """
[service.echo]
serve = "echo"
listen = ["tcp://127.0.0.1:0"]
workers = 2
limits = {{ per_ip = {most} }}

[service.files]
serve = "ftp"
root = "{root}"
limits = {{ idle = "10m" }}
anonymous = true
listen = ["tcp://127.0.0.1:0"]

[service.hello]
serve = "whoami"
listen = ["tcp://127.0.0.1:0"]

[service.guess]
run = "guess:guess"
listen = ["tcp://127.0.0.1:0"]
"""
GUESS = """
from portside import Connection


async def guess(player: Connection) -> None:
    async for line in player.lines():
        await player.write(b"higher\\n" if int(line) < 42 else b"lower\\n")
"""


class Visitors:
    """People who talk to the services in a thread, at their own pace, until the ``with`` ends."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._chance = random.Random(6)
        self._over = threading.Event()
        self._talkers = [self._connect("echo") for _ in range(TALKERS // 2)]
        self._files = ftplib.FTP()
        self._files.connect("127.0.0.1", server.at("ftp").port)
        self._thread = threading.Thread(target=self._talk)

    def _connect(self, what: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._server.at(what).port))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for talker in self._talkers:
            talker.close()

    def _talk(self) -> None:
        with self._connect("guess:guess") as player:
            player.sendall(b"50\nforty\n")
            player.recv(100)
        while not self._over.wait(0.25):
            if len(self._talkers) < TALKERS and self._chance.random() < 0.08:
                self._talkers.append(self._connect("echo"))
            for talker in self._chance.sample(self._talkers, 6):
                talker.sendall(bytes(self._chance.randrange(200, 9_000)))
            for talker in self._talkers:
                talker.setblocking(False)
                self._take(talker)
                talker.setblocking(True)
            if self._chance.random() < 0.6:
                with self._connect("whoami") as visitor:
                    visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    visitor.recv(65_536)
            if len(self._talkers) == TALKERS and self._chance.random() < 0.1:
                self._connect("echo").close()  # one too many from one address

    @staticmethod
    def _take(talker: socket.socket) -> None:
        try:
            while talker.recv(65_536):
                pass
        except BlockingIOError:
            pass

    def fetch(self) -> None:
        """Have a conversation that is worth a diagram."""
        self._files.login()
        self._files.cwd("photos")
        self._files.retrlines("LIST", lambda line: None)
        self._files.retrbinary("RETR harbour.jpg", lambda data: None)
        self._files.voidcmd("NOOP")


def take(browser: Browser, name: str, folder: Path, widths: tuple[tuple[int, int], ...] = WIDTHS) -> None:
    """Take pictures of the page at every width, light and dark."""
    for width, height in widths:
        for dark in (False, True):
            browser.look(width, height, dark=dark)
            browser.run("scrollTo(0, 0); new Promise((done) => setTimeout(done, 1200))")
            path = folder / f"{name}-{width}-{'dark' if dark else 'light'}.png"
            path.write_bytes(browser.picture())


def take_all(browser: Browser, server: Server, folder: Path) -> None:
    browser.look(1_440, 900)
    browser.open(f"http://127.0.0.1:{server.at('dashboard').port}/")
    with Visitors(server) as visitors:
        browser.wait_for("document.querySelectorAll('#connections .grid-body .peer').length > 10")
        for _ in range(MINUTE_S):
            browser.run("new Promise((done) => setTimeout(done, 1000))")
        take(browser, "dashboard", folder)
        browser.look(1_440, 900)
        browser.press("/", "files")
        browser.wait_for("document.querySelector('#shown').textContent.startsWith('1 of')")
        browser.click("#connections .grid-body .grid-row:not([hidden]) .peer")
        visitors.fetch()
        browser.wait_for("document.querySelectorAll('#diagram .words').length > 15")
        take(browser, "dashboard-conversation", folder, (WIDTHS[0], WIDTHS[2]))
        browser.press("Escape")
        for tab in ("workers", "sockets", "errors"):
            browser.run(f"document.querySelector('#tab-{tab}').click()")
            if tab == "errors":
                browser.click("#errors summary")
            take(browser, f"dashboard-{tab}", folder, (WIDTHS[1],))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, browsing() as browser:
        photos = Path(home) / "photos"
        photos.mkdir()
        (photos / "harbour.jpg").write_bytes(bytes(1_482_112))
        (Path(home) / "guess.py").write_text(GUESS)
        file = Path(home) / "portside.toml"
        file.write_text(CONFIGURATION.format(root=home, most=TALKERS))
        server = Server(("up", str(file), "--dashboard", "http://127.0.0.1:0"), cwd=home)
        try:
            server.wait_until_ready(5)
            take_all(browser, server, folder)
            browser.open("about:blank#over")
            server.stop()
        finally:
            server.destroy()


if __name__ == "__main__":
    main()
