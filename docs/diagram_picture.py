"""Takes the picture of a conversation that docs/observe.md shows: ``python docs/diagram_picture.py``.

Serves a folder by FTP on loopback, visits it with Python's own client, and draws what was said.
"""

from __future__ import annotations

import contextlib
import ftplib
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).resolve().parent / "pictures" / "diagram.svg"
PORTSIDE = (sys.executable, "-m", "portside")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, control = Path(folder, "files"), f"{folder}/control"
        root.mkdir()
        (root / "notes.txt").write_bytes(b"x" * 1_234_567)
        server = subprocess.Popen(
            [
                *(*PORTSIDE, "serve", "ftp", str(root), "--login", "anna:secret", "--control", control),
                *("--listen", "tcp://127.0.0.1:2121", "--log-level", "error"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stderr is not None
            server.stderr.readline()
            visit()
            draw(control)
        finally:
            server.terminate()
            server.wait()


def visit() -> None:
    """Log in, fetch a file, ask for one that is not there, say goodbye."""
    with ftplib.FTP() as client:
        client.connect("127.0.0.1", 2121)
        client.login("anna", "secret")
        client.retrbinary("RETR notes.txt", io.BytesIO().write)
        with contextlib.suppress(ftplib.error_perm):
            client.sendcmd("MDTM letter.txt")
        client.quit()


def draw(control: str) -> None:
    """Draw the visitor's conversation: the first connection of the worker."""
    listed = subprocess.run(
        [*PORTSIDE, "ps", "--json", "--control", control], capture_output=True, text=True, check=True
    ).stdout
    (worker,) = re.findall(r'"pid": (\d+)', listed)
    PICTURE.parent.mkdir(exist_ok=True)
    subprocess.run([*PORTSIDE, "diagram", f"{worker}-1", "--control", control, "--svg", str(PICTURE)], check=True)


if __name__ == "__main__":
    main()
