"""``portside get``: files of a real server, as the command brings them."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from portside.cli.main import main
from support.certificates import Certificates
from support.ftp import LARGE, PASSWORD, Site
from support.listener import Listener
from support.processes import kill
from support.server import COMMAND, environment
from support.server import portside as run_portside
from support.waiting import WITHIN_S, wait_until

# getpass asks the controlling terminal: standard input becomes it first.
TERMINAL_OF_ITS_OWN = (
    *(sys.executable, "-c"),
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])",
)


def get(*arguments: str | Path) -> int:
    return main(["get", *map(str, arguments)])


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_file_comes_under_its_own_name(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    there = site.put("report.bin", LARGE)
    os.utime(there, ns=(0, 1_700_000_000 * 10**9))
    assert get(site.url("report.bin")) == 0
    assert (here / "report.bin").read_bytes() == LARGE
    assert (here / "report.bin").stat().st_mtime == 1_700_000_000
    assert names(here) == ["report.bin"]
    assert capfd.readouterr() == ("", "")  # nothing to say, and no terminal to show it on


@pytest.mark.parametrize("output", ["other", "./other", "d/other"])
def test_it_may_get_another_name(site: Site, here: Path, output: str) -> None:
    (here / "d").mkdir()
    site.put("x", b"content")
    assert get(site.url("x"), "-o", output) == 0
    assert (here / output).read_bytes() == b"content"


def test_several_files_come_at_once_into_a_directory(site: Site, here: Path) -> None:
    contents = site.put_names()
    (here / "d").mkdir()
    assert get(*(site.url(name) for name in contents), "--output", "d", "--parallel", "3") == 0
    assert {path.name: path.read_bytes() for path in (here / "d").iterdir()} == contents


def test_one_may_go_to_standard_output(site: Site, here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    site.put("x", LARGE)
    assert get(site.url("x"), "-o", "-") == 0
    assert capfdbinary.readouterr() == (LARGE, b"")
    assert names(here) == []


def test_json_tells_of_each_file(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site.put("x", b"content")
    assert get(site.url("x"), site.url("none"), "--json", "--verify") == 1
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert rows[0].pop("duration_s") >= 0
    assert rows[0] == {
        "source": site.url("x", login="anna@"),
        "target": "x",
        "size": 7,
        "offset": 0,
        "bytes": 7,
        "algorithm": "SHA-256",
        "digest": hashlib.sha256(b"content").hexdigest(),
        "timings": None,
        "error": None,
    }
    assert rows[1]["size"] is None
    assert "550" in rows[1]["error"]


@pytest.mark.parametrize("scheme", ["ftpes", "ftps"])
def test_over_tls_the_server_is_verified(
    site: Site, here: Path, scheme: str, certificates: Certificates, capfd: pytest.CaptureFixture[str]
) -> None:
    site.put("x", LARGE)
    url = site.tls_url("x") if scheme == "ftps" else site.url("x", host="localhost").replace("ftp:", "ftpes:")
    assert get(url, "--tls-ca", certificates.ca) == 0
    assert (here / "x").read_bytes() == LARGE
    (here / "x").unlink()
    assert get(url) == 1
    assert "cannot be verified" in capfd.readouterr().err
    assert names(here) == []
    assert get(url, "--tls-insecure") == 0
    assert get(site.url("x", host="localhost"), "--tls", "--tls-ca", certificates.ca) == 0


def test_active_the_server_connects(site: Site, here: Path) -> None:
    site.put("x", b"content")
    assert get(site.url("x"), "--active") == 0
    assert (here / "x").read_bytes() == b"content"


def test_the_password_comes_from_standard_input_or_netrc(site: Site, here: Path) -> None:
    site.put("x", b"content")
    url = site.url("x", login="anna@")
    done = run_portside("get", url, "--password-stdin", input=f"{PASSWORD}\n", cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = run_portside("get", url, cwd=here)
    assert (done.returncode, "needs a password" in done.stderr) == (2, True)
    (here / ".netrc").write_text(f"machine 127.0.0.1 login anna password {PASSWORD}\n")
    (here / ".netrc").chmod(0o600)
    assert get(url) == 0
    (here / ".netrc").chmod(0o644)
    assert get(url) == 2


def test_a_wrong_password_is_one_sentence(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site.put("x")
    assert get(site.url("x", login="anna:wrong@")) == 1
    said = capfd.readouterr().err
    assert said.startswith("portside: the server refuses the login of anna: 530 ")
    assert said.count("\n") == 1
    assert "wrong" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fttp://host/x",), "did you mean ftp?"),
        (("host/x",), "it starts with one of"),
        (("ftp://host/",), "is a directory: portside mirror"),
        (("ftp://host/d/..",), "names no file"),
        (("ftp://host/a", "ftp://host/d/a"), "two files would both become a"),
        (("ftp://host/a", "ftp://host/b", "-o", "c"), "several files need a directory"),
        (("ftp://host/a", "-o", "none/"), "there is no directory none/"),
        (("ftp://host/a", "-o", "-", "--resume"), "standard output takes one file"),
        (("ftp://host/a", "--tls-insecure"), "is not encrypted"),
        (("ftps://host/a", "--tls-insecure", "--tls-ca", "x"), "nothing to add"),
        (("ftp://host/a", "--parallel", "0"), "'--parallel'"),
        (("ftp://host/a", "--timeout", "soon"), "not a duration"),
        ((), "missing argument"),
    ],
)
def test_what_cannot_be_meant_is_said_with_status_2(
    here: Path, arguments: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert get(*arguments) == 2
    printed = capfd.readouterr()
    assert said in printed.err
    assert printed.out == ""


def test_nobody_there_is_one_sentence(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert get(f"ftp://127.0.0.1:{port}/x") == 1
    said = capfd.readouterr().err
    assert said.startswith(f"portside: cannot connect to tcp://127.0.0.1:{port}")
    assert said.count("\n") == 1


def test_a_server_that_says_nothing_is_given_up(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def silent(connection: socket.socket) -> None:
        connection.recv(1)

    with Listener(silent) as server:
        assert get(f"ftp://127.0.0.1:{server.port}/x", "--timeout", "50ms", "--retries", "0") == 1
    assert capfd.readouterr().err == "portside: no answer to the connection within 0.05 s\n"


# ── interrupted ──────────────────────────────────────────────────────────────────────────────────────────────────────


def hesitating(content: bytes, sent: int) -> tuple[Listener, list[str]]:
    """Return a server that sends so much of a file and waits until the client leaves; and what it was told."""
    said: list[str] = []

    def talk(control: socket.socket) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            answers = {
                "USER": "230 Come in.",
                "TYPE": "200 I.",
                "SIZE": f"213 {len(content)}",
                "EPSV": f"229 (|||{port}|)",
                "RETR": "150 Here it comes.",
            }
            control.sendall(b"220 Hello.\r\n")
            for line in control.makefile("r"):
                said.append(line.strip())
                verb = line.strip().partition(" ")[0]
                control.sendall(f"{answers.get(verb, '502 No.')}\r\n".encode())
                if verb == "RETR":
                    data, _ = listener.accept()
                    with data:
                        data.sendall(content[:sent])
                        control.recv(1)

    return Listener(talk), said


def test_an_interrupted_download_says_what_it_keeps_and_is_gone_on_with(site: Site, here: Path) -> None:
    listener, _ = hesitating(LARGE, 1_000_000)
    part = here / "x.part"
    with listener as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "portside", "get", f"ftp://127.0.0.1:{server.port}/x"],
            cwd=here,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(lambda: part.exists() and part.stat().st_size == 1_000_000, "the first bytes")
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=WITHIN_S)
        finally:
            kill(process.pid)
    assert process.returncode == 130
    assert said == "x.part keeps what came, 1000000 bytes: --resume goes on behind them\n"
    assert names(here) == ["x.part"]
    there = site.put("x", LARGE)
    os.utime(there, (0, 0))
    assert get(site.url("x"), "-c") == 0
    assert (here / "x").read_bytes() == LARGE
    assert names(here) == ["x"]


def test_a_download_that_was_killed_is_gone_on_with(site: Site, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    there = site.put("x", LARGE)
    os.utime(there, (0, 0))
    (here / "x.part").write_bytes(LARGE[:1_234_567])
    assert get(site.url("x"), "--resume", "--json", "--verify") == 0
    row = json.loads(capfd.readouterr().out)
    assert (row["offset"], row["bytes"]) == (1_234_567, len(LARGE) - 1_234_567)
    assert (here / "x").read_bytes() == LARGE


def test_a_terminal_sees_how_far_it_is(here: Path) -> None:
    listener, _ = hesitating(LARGE, 1_000_000)
    master, slave = pty.openpty()
    shown = b""
    with listener as server, os.fdopen(master, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "portside", "get", f"ftp://127.0.0.1:{server.port}/x"],
            cwd=here,
            env=environment({"TERM": "xterm", "COLUMNS": "100"}),
            stderr=slave,
        )
        os.close(slave)
        try:
            while b"1.0/5.0 MB" not in shown and b"1.0 MB of 5.0 MB" not in shown:
                shown += terminal.read(65_536)
            process.send_signal(signal.SIGINT)
            assert process.wait(WITHIN_S) == 130
        finally:
            kill(process.pid)


def test_somebody_at_a_terminal_is_asked_for_the_password(site: Site, here: Path) -> None:
    site.put("x", b"content")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*TERMINAL_OF_ITS_OWN, *COMMAND, "get", site.url("x", login="anna@")],
        cwd=here,
        env=environment({"TERM": "dumb"}),
        stdin=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    with os.fdopen(master, "r+b", buffering=0) as terminal:
        try:
            while b"password of anna at 127.0.0.1: " not in shown:
                shown += terminal.read(4_096)
            terminal.write(f"{PASSWORD}\n".encode())
            assert process.wait(WITHIN_S) == 0
        finally:
            kill(process.pid)
    assert (here / "x").read_bytes() == b"content"
    assert PASSWORD.encode() not in shown
