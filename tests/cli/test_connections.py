"""``portside connections``: real sockets found and told apart, filters, order, layouts, and systems without netlink."""

from __future__ import annotations

import errno
import json
import os
import pwd
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from portside.cli import open_sockets as module
from portside.cli.main import main
from portside.cli.open_sockets import dump, list_sockets
from portside.errors import LocalError
from portside.net.netlink import ask
from portside.net.owners import processes_by_socket
from portside.wire.netlink import NLM_F_DUMP_INTR, NLMSG_DONE, DumpReader, DumpRefused, build_message
from portside.wire.sock_diag import SOCK_DIAG_BY_FAMILY

# The kernel hands out a port again while others' connections on it are in TIME-WAIT: look at our own sockets only.
OURS = ("--owner", str(os.getpid()))

needs_netlink = pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="netlink is Linux's")


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["connections", *arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert isinstance(rows, list)
    return rows


@pytest.fixture
def open_sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


# ── real sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────


@needs_netlink
def test_both_ends_of_a_connection_and_their_listener_are_found(
    capsys: pytest.CaptureFixture[str], open_sockets: ExitStack
) -> None:
    listener = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=7))
    port = listener.getsockname()[1]
    client = open_sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
    server = open_sockets.enter_context(listener.accept()[0])
    client.sendall(b"hello")
    listening, one, two = told(capsys, "--port", str(port), *OURS)
    assert (listening["protocol"], listening["state"], listening["peer"]) == ("tcp", "LISTEN", None)
    assert listening["local"] == {"host": "127.0.0.1", "port": port}
    assert (listening["receive_queue"], listening["send_queue"]) == (0, 7)
    assert (one["local"], one["peer"]) == (two["peer"], two["local"])
    assert {one["state"], two["state"]} == {"ESTABLISHED"}
    at_server = one if one["local"]["port"] == port else two
    assert at_server["receive_queue"] == 5
    assert at_server["inode"] == os.fstat(server.fileno()).st_ino
    assert at_server["uid"] == os.getuid()
    assert at_server["user"] == pwd.getpwuid(os.getuid()).pw_name
    assert os.getpid() in [process["pid"] for process in at_server["processes"]]


@needs_netlink
def test_the_keys_are_the_documented_ones(capsys: pytest.CaptureFixture[str], open_sockets: ExitStack) -> None:
    port = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
    (row,) = told(capsys, "--port", str(port), *OURS)
    assert list(row) == [
        "protocol",
        "type",
        "family",
        "state",
        "local",
        "peer",
        "receive_queue",
        "send_queue",
        "uid",
        "user",
        "processes",
        "inode",
        "peer_inode",
    ]


@needs_netlink
@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no dual-stack IPv6 here")
def test_ipv4_on_a_dual_stack_socket_is_shown_as_ipv4(
    capsys: pytest.CaptureFixture[str], open_sockets: ExitStack
) -> None:
    listener = open_sockets.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
    port = listener.getsockname()[1]
    client = open_sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
    open_sockets.enter_context(listener.accept()[0])
    listening, *ends = told(capsys, "--port", str(port), *OURS)
    assert listening["local"] == {"host": "::", "port": port}
    assert sorted(end["local"]["host"] for end in ends) == ["127.0.0.1", "127.0.0.1"]
    assert client.getsockname()[1] in {end["local"]["port"] for end in ends}
    assert {end["family"] for end in ends} == {"IPv4", "IPv6"}


@needs_netlink
def test_udp_sockets_are_found(capsys: pytest.CaptureFixture[str], open_sockets: ExitStack) -> None:
    bound = open_sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    bound.bind(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    connected = open_sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    connected.connect(("127.0.0.1", port))
    rows = told(capsys, "--udp", "--port", str(port), *OURS)
    assert [(row["protocol"], row["type"], row["state"]) for row in rows] == [
        ("udp", "datagram", "UNCONNECTED"),
        ("udp", "datagram", "CONNECTED"),
    ]
    assert rows[1]["peer"] == {"host": "127.0.0.1", "port": port}
    (only,) = told(capsys, "--listening", "--port", str(port), *OURS)
    assert only["state"] == "UNCONNECTED"


@needs_netlink
def test_unix_sockets_are_found_with_the_names_of_their_peers(
    capsys: pytest.CaptureFixture[str], open_sockets: ExitStack, tmp_path: Path
) -> None:
    path = str(tmp_path / "x.sock")
    listener = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(path)
    listener.listen(3)
    client = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(path)
    server = open_sockets.enter_context(listener.accept()[0])
    listening, accepted = [row for row in told(capsys, "--unix") if row["local"] == {"path": path}]
    assert (listening["state"], listening["type"], listening["peer"]) == ("LISTEN", "stream", None)
    assert accepted["inode"] == os.fstat(server.fileno()).st_ino
    assert accepted["peer_inode"] == os.fstat(client.fileno()).st_ino
    (connecting,) = told(capsys, "--peer", path)
    assert connecting["inode"] == os.fstat(client.fileno()).st_ino
    assert connecting["local"] == {"path": ""}


@needs_netlink
def test_nameless_unix_pairs_are_shown_when_asked_for(
    capsys: pytest.CaptureFixture[str], open_sockets: ExitStack
) -> None:
    one, two = socket.socketpair()
    open_sockets.enter_context(one)
    open_sockets.enter_context(two)
    inode = os.fstat(one.fileno()).st_ino
    assert inode not in {row["inode"] for row in told(capsys)}
    (row,) = [row for row in told(capsys, "--unix") if row["inode"] == inode]
    assert row["peer_inode"] == os.fstat(two.fileno()).st_ino


@needs_netlink
def test_the_filters_narrow_the_list(capsys: pytest.CaptureFixture[str], open_sockets: ExitStack) -> None:
    listener = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    port = str(listener.getsockname()[1])
    client = open_sockets.enter_context(socket.create_connection(("127.0.0.1", int(port))))
    open_sockets.enter_context(listener.accept()[0])

    def count(*arguments: str) -> int:
        rows = told(capsys, "--port", port, *arguments)
        return sum(os.getpid() in [process["pid"] for process in row["processes"]] for row in rows)

    assert count() == 3
    assert count("--tcp") == 3
    assert count("--udp") == 0
    assert count("--udp", "--tcp") == 3
    assert count("--listening") == 1
    assert count("--state", "listen") == 1
    assert count("--state", "established") == 2
    assert count("--state", "ESTAB", "--state", "listening") == 3
    assert count("--peer", f"127.0.0.1:{port}") == 1
    assert count("--peer", f":{port}") == 1
    assert count("--peer", f"127.0.0.1:{client.getsockname()[1]}") == 1
    assert count("--peer", "127.0.0.0/8") == 2
    assert count("--peer", "10.0.0.0/8") == 0
    assert count("--owner", str(os.getpid())) == 3
    assert count("--owner", pwd.getpwuid(os.getuid()).pw_name) == 3
    assert count("--owner", str(os.getuid())) == 3
    assert count("--owner", "nobody-has-this-name") == 0


@needs_netlink
def test_a_connection_in_time_wait_has_no_owner(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
        server = listener.accept()[0]
        near, far = client.getsockname()[1], client.getpeername()[1]
        client.close()
        assert server.recv(1) == b""  # the client's end came first: it keeps TIME-WAIT
        server.close()
    rows = [row for row in told(capsys, "--port", str(near), "--peer", f":{far}") if row["state"] == "TIME-WAIT"]
    assert [(row["local"]["port"], row["uid"], row["user"], row["inode"]) for row in rows] == [(near, None, None, None)]


@needs_netlink
def test_nothing_found_is_said_to_people_and_an_empty_array_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--owner", "nobody-has-this-name") == []
    assert main(["connections", "--owner", "nobody-has-this-name"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "no socket is like that\n")


@needs_netlink
def test_a_family_unknown_to_the_kernel_is_refused_by_it() -> None:
    reader = DumpReader(SOCK_DIAG_BY_FAMILY, 1)
    request = build_message(SOCK_DIAG_BY_FAMILY, 0x301, 1, bytes([250]) + bytes(55))
    with pytest.raises(DumpRefused):
        ask(4, request, reader)


@needs_netlink
def test_owners_are_found_by_inode() -> None:
    with socket.socket() as sock:
        inode = os.fstat(sock.fileno()).st_ino
        assert os.getpid() in [process.pid for process in processes_by_socket({inode})[inode]]
    assert processes_by_socket({inode}) == {}


# ── interrupted dumps, and systems without netlink ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("calm_at", "answer"), [(1, b"1"), (3, b"3"), (100, b"4")])
def test_an_interrupted_dump_is_asked_for_again_and_at_last_taken_as_it_is(calm_at: int, answer: bytes) -> None:
    asked = []

    def ask_busy_kernel(protocol: int, request: bytes, reader: DumpReader) -> None:
        asked.append(request)
        sequence = int.from_bytes(request, sys.byteorder)
        flags = NLM_F_DUMP_INTR if len(asked) < calm_at else 0
        reader.feed(build_message(SOCK_DIAG_BY_FAMILY, flags, sequence, str(len(asked)).encode()))
        reader.feed(build_message(NLMSG_DONE, flags, sequence, struct.pack("=i", 0)))

    payloads = dump(lambda sequence: sequence.to_bytes(4, sys.byteorder), ask_busy_kernel)
    assert [bytes(payload) for payload in payloads] == [answer]


def refuse(*_: object) -> None:
    raise LocalError("this system has no netlink")


def test_without_netlink_psutil_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], open_sockets: ExitStack, tmp_path: Path
) -> None:
    pytest.importorskip("psutil")
    monkeypatch.setattr(module, "dump", refuse)
    listener = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    port = listener.getsockname()[1]
    open_sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
    bound = open_sockets.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    bound.bind(str(tmp_path / "log"))
    (listening, *_) = told(capsys, "--port", str(port), *OURS)
    assert listening["state"] == "LISTEN"
    assert listening["local"] == {"host": "127.0.0.1", "port": port}
    assert (listening["receive_queue"], listening["uid"], listening["inode"]) == (None, None, None)
    assert listening["processes"][0]["pid"] == os.getpid()
    (unix,) = [row for row in told(capsys, "--unix") if row["local"] == {"path": str(tmp_path / "log")}]
    assert unix["type"] == "datagram"
    assert main(["connections", "--port", str(port)]) == 0


def test_without_netlink_and_psutil_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "dump", refuse)
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert main(["connections"]) == 3
    assert "pip install 'portside[standard]'" in capsys.readouterr().err


def test_a_kernel_that_refuses_for_other_reasons_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> None:
        raise DumpRefused(errno.ENOMEM)

    monkeypatch.setattr(module, "dump", out_of_memory)
    with pytest.raises(DumpRefused):
        list_sockets({"tcp"})
