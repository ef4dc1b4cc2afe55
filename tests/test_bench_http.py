"""``benchmarks/http_bench.py``: the whole once, small, and that its load believes no server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from portside.cli.rig.load import COMPILERS, compile_c
from support.waiting import WITHIN_S

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C compiler")


def test_every_case_is_measured_without_an_error(tmp_path: Path) -> None:
    small = ("--size", "1MiB", "--files", "20", "--connections", "3", "--downloads", "2", "--seconds", "0.05")
    command = [sys.executable, str(BENCHMARKS / "http_bench.py"), "--json", "--servers", "portside", "--rounds", "1"]
    done = subprocess.run(
        [*command, *small, "--dir", str(tmp_path)], capture_output=True, text=True, timeout=WITHIN_S * 2, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    cases = {case["name"]: case["servers"] for case in json.loads(done.stdout)["cases"]}
    assert set(cases) == {"small", "large", "hello"}
    for name, servers in cases.items():
        assert "portside" in {one["server"] for one in servers}
        assert [(one["errors"], one["first_error"]) for one in servers] == [(0, "")] * len(servers), name
        assert all(one["rate"] > 0 for one in servers), name
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = BENCHMARKS / "c"
    return compile_c(source / "http_load.c", tmp_path_factory.mktemp("load"), str(source / "ftp_content.c"))


def answered_with(answer: bytes, generator: Path) -> dict[str, object]:
    """Return what the load says of a server that gives that answer to the first request, and then leaves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass

        server = threading.Thread(target=serve)
        server.start()
        port = listener.getsockname()[1]
        command = [str(generator), "--mode", "hello", "--port", str(port), "--seconds", "0.01"]
        done = subprocess.run(command, input="\n\n", capture_output=True, text=True, timeout=WITHIN_S, check=False)
        server.join(WITHIN_S)
    ready, finished, told = done.stdout.splitlines()
    assert (ready, finished) == ("ready", "done")
    result: dict[str, object] = json.loads(told)
    return result


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\nHello, world!", "HTTP/1.1 404 Not Found"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHello, world", "another Content-Length"),
        (b"HTTP/1.1 200 OK\r\n\r\nHello, world!", "another Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!", "another content"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!!", "more than was asked for"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello", "closed in the middle"),
        (b"", "closed"),
    ],
)
def test_the_load_believes_no_answer(generator: Path, answer: bytes, error: str) -> None:
    told = answered_with(answer, generator)
    assert (told["operations"], told["errors"], told["first_error"]) == (0, 1, error)
