"""Takes the pictures of docs/http.md: ``python docs/http_pictures.py [FOLDER]``. Needs chromium and chromedriver.

The pages are those of a real ``portside serve http`` over files that are made for it. Into a FOLDER go all of them, at
the widths of a telephone, a tablet and a screen, in the light and in the dark; else only those that the page shows.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "src")]

from support.browser import Browser  # noqa: E402
from support.server import Server  # noqa: E402

WIDTHS = (360, 768, 1_440)
SHOWN = {"http-listing-360-light", "http-upload-360-dark", "http-listing-1440-light"}
FILES = {
    "Photos/Harbour/IMG_0001.jpg": 3_482_112,
    "Photos/Harbour/IMG_0002.jpg": 2_904_558,
    "Photos/Harbour/IMG_0010.jpg": 4_120_007,
    "Photos/Harbour/sunset over the old breakwater, long exposure.jpg": 5_209_471,
    "Music/01 Overture.flac": 24_118_902,
    "Documents/letter.odt": 18_204,
    "talk.mp4": 148_220_416,
    "interview.ogg": 9_410_337,
    "notes.md": 4_112,
    "tide table 2026.pdf": 220_481,
    "map.svg": 31_877,
    "site.tar.gz": 1_048_576,
    "server.py": 1_730,
    "readings.csv": 88_412,
    "readme.txt": 412,
}
FIRST_S = 1_780_300_000  # the files' times: each is changed some hours after the one before


def make_files(root: Path) -> None:
    """Make files of these names, sizes and times; sparse, so that they take no room."""
    for number, (name, size_bytes) in enumerate(FILES.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(size_bytes)
        os.utime(path, (FIRST_S + number * 40_000,) * 2)
    for folder in sorted({path.parent for path in root.rglob("*")}, reverse=True):
        if folder != root:
            os.utime(folder, (FIRST_S, FIRST_S))


@contextmanager
def served(root: Path, *options: str) -> Iterator[str]:
    """Serve the files, and give the address."""
    server = Server(("serve", "http", str(root), "--listen", "tcp://127.0.0.1:0", *options))
    try:
        server.wait_until_ready()
        yield f"http://127.0.0.1:{server.port}"
        server.stop()
    finally:
        server.destroy()


def take(browser: Browser, url: str, name: str, folder: Path, wanted: set[str] | None) -> None:
    """Take pictures of a page at every width, light and dark, or those that are wanted."""
    for width in WIDTHS:
        for dark in (False, True):
            picture = f"{name}-{width}-{'dark' if dark else 'light'}"
            if wanted is None or picture in wanted:
                browser.look(width, 720, dark=dark)
                browser.go(url)
                (folder / f"{picture}.png").write_bytes(browser.picture())


def main() -> None:
    everything = len(sys.argv) > 1
    folder = Path(sys.argv[1]) if everything else HERE / "pictures"
    wanted = None if everything else SHOWN
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as root, Browser() as browser:
        make_files(Path(root))
        with served(Path(root)) as site:
            take(browser, f"{site}/", "http-listing", folder, wanted)
            take(browser, f"{site}/Photos/Harbour/", "http-folder", folder, wanted)
            take(browser, f"{site}/Photos/nothing", "http-problem", folder, wanted)
        with served(Path(root), "--allow-upload") as site:
            take(browser, f"{site}/Photos/", "http-upload", folder, wanted)


if __name__ == "__main__":
    main()
