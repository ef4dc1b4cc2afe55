"""Uploads that were cut off in the middle, and are gone on with by real clients, each in its own way."""

from __future__ import annotations

import contextlib
import ftplib
import io
import os
import subprocess
from collections.abc import Callable

import pytest

from support import peers
from support.ftp import LARGE, NAME, PASSWORD, Desk, Site, fetched
from support.waiting import wait_until

SENT_BYTES = 2_345_678

Interrupt = Callable[[str], int]


@pytest.fixture
def interrupt(site: Site) -> Interrupt:
    """Uploads a part of LARGE by a client that is killed; returns how much of it the server has kept."""

    def run(name: str) -> int:
        curl = [peers.program("curl"), "--silent", "--upload-file", "-", site.url(name)]
        with subprocess.Popen(curl, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as client:
            assert client.stdin is not None
            client.stdin.write(LARGE[:SENT_BYTES])
            client.stdin.flush()
            client.kill()
        with site.ftplib() as ftp:
            return wait_until(lambda: kept_bytes(ftp, name), "what is kept of an interrupted upload")

    return run


def kept_bytes(ftp: ftplib.FTP, name: str) -> int | None:
    """Return what SIZE says of a name, None while it says that there is nothing."""
    ftp.voidcmd("TYPE I")
    with contextlib.suppress(ftplib.error_perm):
        return ftp.size(name)
    return None


def test_what_was_interrupted_is_nowhere_to_be_seen(interrupt: Interrupt, site: Site) -> None:
    kept = interrupt("file")
    assert 0 < kept <= SENT_BYTES
    assert site.contents() == {}
    with site.ftplib() as ftp:
        assert set(ftp.nlst("-a")) <= {".", ".."}
        assert {name for name, facts in ftp.mlsd() if facts["type"] == "file"} == set()
        with pytest.raises(ftplib.error_perm, match=r"^550 "):
            fetched(ftp, "file")


def test_curl_goes_on(interrupt: Interrupt, site: Site, desk: Desk) -> None:
    interrupt("file")
    desk("curl", "-sS", "--max-time", 25, "-C", "-", "-T", desk.put("whole", LARGE), site.url("file"))
    assert everything_in(site) == {"file": LARGE}


def test_lftp_goes_on(interrupt: Interrupt, site: Site, desk: Desk) -> None:
    interrupt("file")
    desk.put("whole", LARGE)
    quiet = "set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 20; set ftp:ssl-allow no"
    desk("lftp", "--norc", "-c", f"{quiet}; open {site.url()}; put -c whole -o file")
    assert everything_in(site) == {"file": LARGE}


def test_tnftp_goes_on(interrupt: Interrupt, site: Site, desk: Desk) -> None:
    kept = interrupt("file")
    desk.put("whole", LARGE)
    script = [
        f"user {NAME} {PASSWORD}",
        "binary",
        f"cd {site.home.name}",
        f"restart {kept}",
        "put whole file",
        "bye",
        "",
    ]
    desk("tnftp", "-n", "127.0.0.1", site.port, input="\n".join(script).encode())
    assert everything_in(site) == {"file": LARGE}


@pytest.mark.parametrize("command", ["STOR", "APPE"])
def test_ftplib_goes_on(interrupt: Interrupt, site: Site, command: str) -> None:
    kept = interrupt("file")
    with site.ftplib() as ftp:
        ftp.storbinary(f"{command} file", io.BytesIO(LARGE[kept:]), rest=kept if command == "STOR" else None)
    assert everything_in(site) == {"file": LARGE}


def test_who_begins_anew_gets_what_was_sent(interrupt: Interrupt, site: Site, desk: Desk) -> None:
    interrupt("file")
    desk("curl", "-sS", "--max-time", 25, "-T", desk.put("other", b"shorter"), site.url("file"))
    assert everything_in(site) == {"file": b"shorter"}


def everything_in(site: Site) -> dict[str, bytes]:
    """Return what is in each file, hidden ones as well: nothing may be left of what was completed."""
    return {name: (site.home / name).read_bytes() for name in os.listdir(site.home)}
