"""``benchmarks/ftp.py``: the whole once, small, and that its load believes no server."""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from portside.cli.rig import machine
from portside.cli.rig.load import COMPILERS
from support.waiting import WITHIN_S

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ANY_CORES = machine.Cores(server=min(os.sched_getaffinity(0)), load=max(os.sched_getaffinity(0)))

needs_a_compiler = pytest.mark.skipif(
    not any(map(shutil.which, COMPILERS)) or not Path("/usr/include/openssl/ssl.h").exists(),
    reason="no C compiler, or no headers of OpenSSL (Debian: gcc, libssl-dev)",
)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@needs_a_compiler
def test_every_case_is_measured_without_an_error(tmp_path: Path) -> None:
    from ftp_cases import CASES

    small = ("--size", "1MiB", "--files", "20", "--sessions", "5", "--idle-sessions", "9", "--seconds", "0.05")
    command = [sys.executable, str(BENCHMARKS / "ftp.py"), "--json", "--servers", "c", "--rounds", "1", *small]
    done = subprocess.run(
        [*command, "--case", ",".join(CASES), "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=WITHIN_S * 2,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    cases = {case["name"]: case["servers"] for case in json.loads(done.stdout)["cases"]}
    assert set(cases) == set(CASES)
    for name, servers in cases.items():
        assert {one["server"] for one in servers} == ({"c"} if name.startswith("idle") else {"c", "c again"})
        assert [(one["errors"], one["first_error"]) for one in servers] == [(0, "")] * len(servers), name
        assert all(one["rate"] > 0 for one in servers), name
        assert all(bool(one["cipher"]) == name.endswith("-tls") for one in servers), name
    assert list(tmp_path.iterdir()) == []


# ── servers that lie ─────────────────────────────────────────────────────────────────────────────────────────────────


class Liar(socketserver.StreamRequestHandler):
    """An FTP server that answers what its class says, and sends the file it is given."""

    replies: ClassVar = {b"USER": b"331", b"PASS": b"230", b"TYPE": b"200", b"QUIT": b"221"}
    content = b""

    def handle(self) -> None:
        with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as passive:
            self.say(b"220")
            for line in self.rfile:
                verb = line.split()[0]
                if verb == b"EPSV":
                    self.say(b"229 (|||%d|)" % passive.server_address[1])
                elif verb in (b"RETR", b"STOR", b"LIST"):
                    self.transfer(verb, passive)
                else:
                    self.say(self.replies[verb])

    def say(self, reply: bytes) -> None:
        self.wfile.write(reply + b" so it is\r\n")

    def transfer(self, verb: bytes, passive: socketserver.TCPServer) -> None:
        self.say(b"150")
        data, _ = passive.get_request()
        with data:
            if verb == b"STOR":
                while data.recv(1 << 16):
                    pass
            else:
                data.sendall(self.content)
        self.say(b"226")


class Doorkeeper(Liar):
    replies: ClassVar = {**Liar.replies, b"PASS": b"530"}


class Mute(Liar):
    def handle(self) -> None:
        with suppress(ConnectionError):
            self.rfile.read()


class Listener(socketserver.ThreadingTCPServer):
    request_queue_size = 100


@contextmanager
def listening(handler: type[Liar]) -> Iterator[Any]:
    """Serve; gives what a measurement needs of a server."""
    with Listener(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield SimpleNamespace(port=server.server_address[1], cpu=machine.Cpu, memory_bytes=lambda: 0)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        from ftp_load import compile_generator

        return compile_generator(tmp_path_factory.mktemp("programs"))


@pytest.fixture
def load(generator: Path, tmp_path: Path) -> Callable[..., Any]:
    """Return what puts a liar to a case with three files of 100 bytes, and gives the slice."""
    from ftp_load import Load

    loads = Load(generator, ANY_CORES, None, tmp_path)
    loads.make_files("small", files=3, size=100)
    (tmp_path / "up").mkdir()

    def run(handler: type[Liar], **options: str | int | float) -> Any:
        with listening(handler) as server:
            return loads.run(server, {"folder": "small", "files": 3, "size": 100, "count": 1, "timeout": 5, **options})

    return run


@needs_a_compiler
def test_a_download_is_compared_with_the_file(load: Callable[..., Any], tmp_path: Path) -> None:
    files = [(tmp_path / "small" / f"0000{number}").read_bytes() for number in range(3)]

    def answer(content: bytes) -> tuple[int, int, str]:
        slice_ = load(type("Sender", (Liar,), {"content": content}), mode="get")
        return slice_.operations, slice_.errors, slice_.first_error

    assert answer(files[0]) == (1, 0, "")
    assert answer(files[1]) == (0, 1, "download: not what the file contains")
    assert answer(files[0][:-1]) == (0, 1, "download: not as long as the file")
    assert answer(files[0] + b"\0") == (0, 1, "download: not what the file contains")


@needs_a_compiler
def test_an_upload_is_looked_for_where_it_was_sent(load: Callable[..., Any]) -> None:
    slice_ = load(Liar, mode="put")
    assert (slice_.errors, slice_.first_error) == (1, "an upload that was acknowledged is not what was sent")


@needs_a_compiler
@pytest.mark.parametrize(("lines", "errors"), [(2, 1), (3, 0), (6, 0), (7, 1)])
def test_a_listing_has_as_many_lines_as_the_folder_has_files(load: Callable[..., Any], lines: int, errors: int) -> None:
    slice_ = load(type("Lister", (Liar,), {"content": b"name\r\n" * lines}), mode="list")
    assert (slice_.operations, slice_.errors) == (1 - errors, errors)


@needs_a_compiler
def test_sessions_that_are_refused_are_errors_each(load: Callable[..., Any]) -> None:
    slice_ = load(Doorkeeper, mode="idle", connections=9)
    assert (slice_.operations, slice_.errors, slice_.first_error) == (0, 9, "refused: 530 so it is")


@needs_a_compiler
def test_a_server_that_says_nothing_is_waited_for_so_long_and_no_longer(load: Callable[..., Any]) -> None:
    slice_ = load(Mute, mode="login", timeout=0.1)
    assert (slice_.errors, slice_.first_error) == (1, "no reply: timeout")


# ── ratios ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_ratio_is_to_the_mean_of_the_neighbours_and_ours_to_a_peer_is_of_the_same_round() -> None:
    from ftp_cases import CASES, Sizes
    from ftp_load import Slice
    from ftp_report import Result, Turn, rows, table

    def did(operations: int, cpu_s: float = 1.0) -> Slice:
        return Slice(operations=operations, seconds=1.0, cpu_s=cpu_s)

    reference = (did(90), did(110))
    result = Result(
        CASES["login"](Sizes()),
        {
            "c": [Turn(did(90), (did(90),))] * 3,
            "portside": [Turn(did(80), reference), Turn(did(40), (did(50), did(50))), Turn(did(10), reference)],
            "vsftpd": [Turn(did(40), reference), Turn(did(10), (did(50), did(50))), Turn(did(50), reference)],
            "proftpd": [Turn(Slice(errors=1, first_error="refused"), reference)] * 3,
        },
    )
    by_name = {one.server: one for one in rows(result)}
    ours = by_name["portside"]
    assert (ours.ratio, ours.ratio_least, ours.ratio_most) == (0.8, 0.1, 0.8)
    assert by_name["vsftpd"].ratio == 0.4
    assert by_name["vsftpd"].ours_to_it == 2.0  # of 2, 4 and 0.2
    assert by_name["proftpd"].ours_to_it is None
    assert by_name["c"].ratio == 1.0
    assert ours.cpu_us == 1e6 / 40
    assert [line.split()[0] for line in table(result).splitlines()[2:]] == ["c", "portside", "vsftpd", "proftpd"]
    assert "3 refused" in table(result)


def test_a_share_of_sessions_memory_is_the_case_of_idle_ones() -> None:
    from ftp_cases import CASES, Sizes
    from ftp_load import Slice
    from ftp_report import Result, Turn, table

    held = Slice(operations=1_000, seconds=2.0, memory_bytes=4_096_000)
    shown = table(Result(CASES["idle"](Sizes()), {"c": [Turn(held, ())]}))
    assert shown.splitlines()[1].split()[:3] == ["server", "logins/s", "KiB/session"]
    assert shown.splitlines()[2].split()[:3] == ["c", "500", "4.0"]
