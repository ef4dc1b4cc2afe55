"""Programs that people have used for decades, against batteries and handlers."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support import peers
from support.client import connect, exchange, read_to_end
from support.server import Server
from support.waiting import WITHIN_S

Run = Callable[..., Server]
C_CLIENT = Path(__file__).with_name("client.c")

LINES = b"hello\nworld\n"
SHOUTED = b"HELLO\nWORLD\n"


# ── ncat, socat, telnet ──────────────────────────────────────────────────────────────────────────────────────────────


def test_ncat_sends_lines_half_closes_and_hears_the_rest(run: Run) -> None:
    server = run("shout")
    done = peers.run("ncat", "127.0.0.1", server.port, input=LINES)
    assert (done.returncode, done.stdout) == (0, SHOUTED)


def test_ncat_reaches_a_dual_stack_endpoint_both_ways(run: Run) -> None:
    server = run("who", listen=["tcp://[::]:0"])
    over_4 = peers.run("ncat", "-4", "127.0.0.1", server.port).stdout
    over_6 = peers.run("ncat", "-6", "::1", server.port).stdout
    assert re.match(rb"127\.0\.0\.1:\d+ 127\.0\.0\.1:%d " % server.port, over_4)
    assert re.match(rb"\[::1\]:\d+ \[::1\]:%d " % server.port, over_6)


def test_ncat_speaks_to_a_unix_socket(run: Run, tmp_path: Path) -> None:
    run("shout", listen=[f"unix:{tmp_path}/shout.sock?mode=600"])
    path = tmp_path / "shout.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    assert peers.run("ncat", "-U", str(path), input=LINES).stdout == SHOUTED


def test_socat_over_tcp_unix_abstract_and_udp(run: Run, tmp_path: Path) -> None:
    name = f"portside-{tmp_path.name}"
    server = run("shout", listen=["tcp://[::1]:0", f"unix:{tmp_path}/s", f"unix:@{name}"])
    targets = [f"TCP6:[::1]:{server.port}", f"UNIX-CONNECT:{tmp_path}/s", f"ABSTRACT-CONNECT:{name}"]
    heard = [peers.run("socat", "-t", WITHIN_S, "-", target, input=LINES).stdout for target in targets]
    assert heard == [SHOUTED] * 3


def test_socat_sends_a_datagram_and_hears_the_answer(run: Run) -> None:
    server = run("shout_message", listen=["udp://127.0.0.1:0"])
    with subprocess.Popen(
        [peers.program("socat"), "-", f"UDP:127.0.0.1:{server.port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as socat:
        assert socat.stdin is not None
        assert socat.stdout is not None
        socat.stdin.write(b"hello\n")
        socat.stdin.flush()
        assert socat.stdout.readline() == b"HELLO\n"
        socat.terminate()


def test_telnet_holds_a_conversation(run: Run) -> None:
    server = run("shout")
    with subprocess.Popen(
        [peers.program("telnet"), "127.0.0.1", str(server.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as telnet:
        assert telnet.stdin is not None
        assert telnet.stdout is not None
        for word in (b"one", b"two"):
            telnet.stdin.write(word + b"\n")
            telnet.stdin.flush()
            assert any(line.strip() == word.upper() for line in telnet.stdout)  # behind telnet's own words
        telnet.terminate()


# ── curl and whoami ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_curl_is_told_who_it_is(battery: Run) -> None:
    server = battery("whoami")
    done = peers.run("curl", "--silent", "--show-error", "--include", f"http://127.0.0.1:{server.port}/")
    head, _, page = done.stdout.partition(b"\r\n\r\n")
    assert done.returncode == 0, done.stderr
    assert head.startswith(b"HTTP/1.0 200 ")
    assert b"127.0.0.1" in page
    length = re.search(rb"(?i)^content-length: (\d+)\r?$", head, re.MULTILINE)
    assert length is not None
    assert int(length[1]) == len(page)


def test_curl_asks_for_the_head_alone(battery: Run) -> None:
    server = battery("whoami")
    done = peers.run("curl", "--silent", "--show-error", "--head", f"http://127.0.0.1:{server.port}/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"HTTP/1.0 200 ")


def test_curl_posts_in_vain(battery: Run) -> None:
    server = battery("whoami")
    done = peers.run("curl", "--silent", "--include", "--data", "x=1", f"http://127.0.0.1:{server.port}/")
    assert re.match(rb"HTTP/1\.0 (4|5)\d\d ", done.stdout)


# ── the small services ───────────────────────────────────────────────────────────────────────────────────────────────


def test_echo_sends_every_byte_back(battery: Run) -> None:
    everything = bytes(range(256)) * 4_096
    assert exchange(battery("echo").at(), everything) == everything


def test_discard_says_nothing(battery: Run) -> None:
    assert exchange(battery("discard").at(), b"anything" * 10_000) == b""


def test_daytime_is_a_line(battery: Run) -> None:
    line = exchange(battery("daytime").at(), b"")
    assert line.endswith(b"\r\n")
    assert str(datetime.now(UTC).year).encode() in line


def test_time_is_seconds_since_1900(battery: Run) -> None:
    seconds = int.from_bytes(exchange(battery("time").at(), b""))
    assert abs(seconds - 2_208_988_800 - time.time()) < 5  # the offset is RFC 868's own example


def test_chargen_turns_its_lines(battery: Run) -> None:
    with connect(battery("chargen").at()) as connection, connection.makefile("rb") as lines:
        first, second = lines.readline(), lines.readline()
    assert len(first) == len(second) == 74
    assert first[1:72] == second[:71]


def test_directory_answers_names_with_ports(battery: Run) -> None:
    server = battery("directory")
    answer = exchange(server.at(), b"directory\nno-such-name\n").splitlines()
    assert f"directory,{server.port},tcp".encode() in answer
    assert answer[-1] == b"no-such-name,unknown"


# ── programs compiled here ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def c_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of client.c."""
    made = tmp_path_factory.mktemp("c") / "client"
    subprocess.run([peers.program("cc"), "-Wall", "-Werror", "-o", str(made), str(C_CLIENT)], check=True)
    return made


def test_a_c_program_exchanges_lines_and_half_closes(run: Run, c_client: Path, model: str) -> None:
    server = run("shout", model=model)
    text = b"".join(b"line %d\n" % number for number in range(10_000))
    done = subprocess.run(
        [c_client, "127.0.0.1", str(server.port)], input=text, capture_output=True, timeout=WITHIN_S, check=False
    )
    assert (done.returncode, done.stdout) == (0, text.upper()), done.stderr


def test_a_c_program_reaches_the_name_localhost(run: Run, c_client: Path) -> None:
    server = run("shout", listen=["tcp://[::]:0"])
    done = subprocess.run([c_client, "localhost", str(server.port)], input=LINES, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, SHOUTED), done.stderr


def test_several_endpoints_are_one_service(battery: Run, tmp_path: Path) -> None:
    server = battery("echo", listen=["tcp://127.0.0.1:0", "tcp://[::1]:0", f"unix:{tmp_path}/echo"])
    assert [exchange(ready, b"same") for ready in server.ready] == [b"same"] * 3


def test_one_after_the_other_on_one_connection(run: Run) -> None:
    with connect(run("shout").at()) as connection:
        for word in (b"a", b"bb", b"ccc"):
            connection.sendall(word + b"\r\n")
            assert connection.recv(100) == word.upper() + b"\n"
        connection.shutdown(1)
        assert read_to_end(connection) == b""
