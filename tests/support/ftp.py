"""What FTP's real clients are given: a served directory for each test, and files worth carrying."""

from __future__ import annotations

import ftplib
import io
import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from support import peers
from support.server import Server
from support.waiting import WITHIN_S

NAME, PASSWORD = "anna", "secret"
LOGIN = ("--login", f"{NAME}:{PASSWORD}")

# Every size at which something else happens: no byte, one, and more than any buffer on the way holds.
CONTENTS = {"nothing": b"", "a byte": b"\n", "5 MB": random.Random(959).randbytes(5_000_000)}
LARGE = CONTENTS["5 MB"]

# What scripts, options and encodings stumble over.
NAMES = ("with space.txt", "grüße.txt", "-dash.txt", "50% #1.txt")

TEXT, TEXT_ON_THE_WIRE = b"one\ntwo\n\nlast", b"one\r\ntwo\r\n\r\nlast"


@dataclass(frozen=True, slots=True)
class Site:
    """A running FTP server and ``home``, a directory under its root that belongs to one test."""

    server: Server
    home: Path

    @property
    def port(self) -> int:
        """The port of the endpoint that starts without TLS."""
        return self.server.at(scheme="tcp").port

    @property
    def tls_port(self) -> int:
        """The port of the endpoint that starts with TLS."""
        return self.server.at(scheme="tls").port

    def url(self, name: str = "", *, host: str = "127.0.0.1", login: str = f"{NAME}:{PASSWORD}@") -> str:
        """Return the URL of a file of ``home``, or of the directory itself, on the plain endpoint."""
        return f"ftp://{login}{host}:{self.port}/{self.path(name)}"

    def tls_url(self, name: str = "", *, host: str = "localhost", login: str = f"{NAME}:{PASSWORD}@") -> str:
        """Return the same for the endpoint of implicit TLS."""
        return f"ftps://{login}{host}:{self.tls_port}/{self.path(name)}"

    def path(self, name: str = "") -> str:
        """Return the path of a file as a URL tells it: relative to where a login begins."""
        return quote(f"{self.home.name}/{name}")

    def put(self, name: str, content: bytes = b"content\n") -> Path:
        """Make a file in ``home``, not through the server."""
        path = self.home / name
        path.write_bytes(content)
        return path

    def put_names(self) -> dict[str, bytes]:
        """Make a file of each difficult name; return what is in them."""
        contents = {name: name.encode() for name in NAMES}
        for name, content in contents.items():
            self.put(name, content)
        return contents

    def contents(self) -> dict[str, bytes]:
        """Return the visible files of ``home``, read from the disk."""
        return {path.name: path.read_bytes() for path in self.home.iterdir() if not path.name.startswith(".")}

    def ftplib(self, *, host: str = "127.0.0.1", login: tuple[str, str] = (NAME, PASSWORD)) -> ftplib.FTP:
        """Return a client of Python's own, connected, logged in and in ``home``."""
        client = ftplib.FTP(timeout=WITHIN_S)
        client.connect(host, self.port)
        client.login(*login)
        client.cwd(self.home.name)
        return client


def fetched(client: ftplib.FTP, name: str, *, rest: int | None = None) -> bytes:
    """Return what RETR sends of a file, from the byte ``rest`` on."""
    content = io.BytesIO()
    client.retrbinary(f"RETR {name}", content.write, rest=rest)
    return content.getvalue()


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a client program works: in a directory of its own, which is also its home, with nothing configured."""

    directory: Path

    def run(self, name: str, *arguments: str | int, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a client to its end and return what it said; skips the test if it is not installed."""
        bare = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}
        return peers.run(name, *arguments, input=input, cwd=self.directory, env=bare)

    def __call__(self, name: str, *arguments: str | int, status: int = 0, input: bytes = b"") -> bytes:
        """Run a client that must end with this status, and return its output."""
        done = self.run(name, *arguments, input=input)
        assert done.returncode == status, (done.args, done.returncode, done.stdout[-2_000:], done.stderr[-2_000:])
        return done.stdout

    def put(self, name: str, content: bytes) -> str:
        """Make a file here, and return its name."""
        (self.directory / name).write_bytes(content)
        return name

    def read(self, name: str) -> bytes:
        return (self.directory / name).read_bytes()
