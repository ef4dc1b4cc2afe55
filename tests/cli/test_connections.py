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

from portside.address import Address, InternetAddress, UnixAddress
from portside.cli import connections as module
from portside.cli.connections import (
    Entry,
    by_owner,
    by_peer,
    by_port,
    choose,
    dump,
    list_sockets,
    listing_lines,
    parse_state,
)
from portside.cli.main import main
from portside.errors import LocalError, UsageError
from portside.net.netlink import ask
from portside.net.owners import Process, processes_by_socket
from portside.wire.netlink import NLM_F_DUMP_INTR, NLMSG_DONE, DumpReader, DumpRefused, build_message
from portside.wire.sock_diag import SOCK_DIAG_BY_FAMILY, OpenSocket

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


# ── filters, order and looks, on sockets made up ─────────────────────────────────────────────────────────────────────


def entry(
    local: Address,
    peer: Address | None = None,
    *,
    protocol: str = "tcp",
    state: str | None = None,
    inode: int = 1,
    user: str = "anna",
    processes: tuple[Process, ...] = (Process(4_711, "server"),),
) -> Entry:
    kind = "datagram" if protocol == "udp" else "stream"
    state = state or ("ESTABLISHED" if peer else "LISTEN")
    return Entry(OpenSocket(protocol, kind, "IPv4", state, local, peer, 0, 0, 1_000, inode), user, processes)


def at(text: str) -> InternetAddress:
    host, _, port = text.rpartition(":")
    return InternetAddress(host.strip("[]"), int(port))


def test_the_order_is_protocol_then_listening_then_addresses_as_numbers() -> None:
    entries = [
        entry(UnixAddress("/b"), protocol="unix", state="LISTEN"),
        entry(UnixAddress(""), protocol="unix", state="CONNECTED", inode=5),
        entry(UnixAddress("/a"), protocol="unix", state="LISTEN"),
        entry(at("10.0.0.10:80"), at("10.0.0.1:9")),
        entry(at("10.0.0.9:80"), at("10.0.0.1:10")),
        entry(at("10.0.0.9:80"), at("10.0.0.1:9")),
        entry(at("[::1]:80")),
        entry(at("10.0.0.9:443")),
        entry(at("10.0.0.9:80"), protocol="udp", state="UNCONNECTED"),
    ]
    assert [
        str(each.socket.local) + (f" {each.socket.peer}" if each.socket.peer else "") for each in choose(entries, [])
    ] == [
        "10.0.0.9:443",
        "[::1]:80",
        "10.0.0.9:80 10.0.0.1:9",
        "10.0.0.9:80 10.0.0.1:10",
        "10.0.0.10:80 10.0.0.1:9",
        "10.0.0.9:80",
        "unix:/a",
        "unix:/b",
        "unix:",
    ]
    assert choose(reversed(entries), []) == choose(entries, [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.1", True),
        ("192.0.2.1:443", True),
        ("::ffff:192.0.2.1", True),
        (":443", True),
        ("192.0.2.0/24", True),
        ("192.0.2.7/24", True),
        ("192.0.2.1:444", False),
        ("192.0.2.2", False),
        ("::/0", False),
        ("/run/x", False),
    ],
)
def test_peers_are_chosen_by_address_port_and_network(text: str, found: bool) -> None:
    assert by_peer(text)(entry(at("10.0.0.1:50000"), at("192.0.2.1:443"))) is found
    assert not by_peer(text)(entry(at("10.0.0.1:80")))


def test_a_peer_with_a_zone_is_chosen_without_it() -> None:
    assert by_peer("fe80::1")(entry(at("[fe80::2%eth0]:80"), at("[fe80::1%eth0]:50000")))
    assert by_peer("[fe80::1]:50000")(entry(at("[fe80::2%eth0]:80"), at("[fe80::1%eth0]:50000")))


@pytest.mark.parametrize("text", ["example.org", "192.0.2.1:http", "192.0.2.0/33", "", "300.1.1.1"])
def test_what_is_no_peer_is_a_mistake(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert main(["connections", "--peer", text]) == 2
    assert "is no peer: an address, ADDRESS:PORT" in capsys.readouterr().err


def test_ports_are_chosen_by_number_or_service(monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_port("443")(entry(at("10.0.0.1:50000"), at("192.0.2.1:443")))
    assert not by_port("44")(entry(at("10.0.0.1:50000"), at("192.0.2.1:443")))

    def named(name: str, protocol: str) -> int:
        if (name, protocol) != ("https", "tcp"):
            raise OSError("service/proto not found")
        return 443

    monkeypatch.setattr(module, "getservbyname", named)
    assert by_port("https")(entry(at("10.0.0.1:443")))
    with pytest.raises(UsageError, match="'htps' is neither a port from 0 to 65535 nor a service of this system"):
        by_port("htps")


@pytest.mark.parametrize("text", ["anna", "1000", "4711", "server"])
def test_owners_are_chosen_by_user_process_or_program(text: str) -> None:
    assert by_owner(text)(entry(at("10.0.0.1:80")))
    assert not by_owner(text + "x")(entry(at("10.0.0.1:80")))


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("LISTEN", "LISTEN"),
        ("listening", "LISTEN"),
        ("time_wait", "TIME-WAIT"),
        ("syn-recv", "SYN-RECEIVED"),
        ("fin-wait1", "FIN-WAIT-1"),
        ("estab", "ESTABLISHED"),
        ("unconnected", "UNCONNECTED"),
    ],
)
def test_states_are_known_in_every_spelling(text: str, state: str) -> None:
    assert parse_state(text) == state


def test_an_unknown_state_gets_the_nearest_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connections", "--state", "establishd"]) == 2
    assert "there is no state 'establishd'; did you mean ESTABLISHED?" in capsys.readouterr().err
    with pytest.raises(UsageError, match="there are ESTABLISHED"):
        parse_state("zzz")


LONG = "[2001:db8:1111:2222:3333:4444:5555:6666]:50000"
SAMPLE = [
    entry(at("0.0.0.0:22")),
    entry(at("192.168.178.145:50022"), at("198.151.101.140:443"), user="postgres", processes=(Process(1, "firefox"),)),
]


def test_without_a_terminal_every_socket_is_one_line() -> None:
    lines = listing_lines([*SAMPLE, entry(at(LONG), at(LONG))], None)
    assert lines[0].split() == ["PROTO", "STATE", "RECV", "SEND", "LOCAL", "PEER", "OWNER"]
    assert len(lines) == 4
    assert lines[1].split() == ["tcp", "LISTEN", "0", "0", "0.0.0.0:22", "-", "anna", "server", "(4711)"]


def test_columns_are_aligned() -> None:
    heading, one, two = listing_lines(SAMPLE, None)
    for title, cells in (("LOCAL", ("0.0.0.0:22", "192.168.178.145")), ("OWNER", ("anna", "postgres"))):
        assert [line.index(cell) for line, cell in zip((one, two), cells, strict=True)] == [heading.index(title)] * 2
    assert heading.index("RECV") + 3 == one.index(" 0 ") + 1 == two.index(" 0 ") + 1


def test_eighty_columns_hold_ipv4_with_the_owner_below() -> None:
    lines = listing_lines(SAMPLE, 80)
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["PROTO", "STATE", "RECV", "SEND", "LOCAL", "PEER"]
    assert lines[2] == " " * lines[0].index("LOCAL") + "anna server (4711)"
    assert lines[4] == " " * lines[0].index("LOCAL") + "postgres firefox (1)"


def test_eighty_columns_hold_the_longest_ipv6_addresses() -> None:
    lines = listing_lines([entry(at(LONG), at(LONG))], 80)
    assert max(map(len, lines)) <= 80
    assert lines[2].strip() == f"to {LONG}"
    assert lines[3].strip() == "anna server (4711)"


def test_narrower_terminals_get_the_queues_below() -> None:
    lines = listing_lines(SAMPLE, 42)
    assert max(map(len, lines)) <= 42
    assert [line.strip() for line in lines[5:]] == [
        "to 198.151.101.140:443",
        "recv 0 send 0",
        "postgres firefox (1)",
    ]


def test_unix_sockets_have_a_table_of_their_own() -> None:
    pair = [
        entry(UnixAddress("/run/x.sock"), UnixAddress(""), protocol="unix", state="CONNECTED", inode=5),
        entry(UnixAddress(""), UnixAddress("/run/x.sock"), protocol="unix", state="CONNECTED", inode=6),
    ]
    lines = listing_lines([*SAMPLE, *pair], None)
    assert lines[3] == ""
    assert lines[4].startswith("TYPE")
    assert lines[5].split()[:2] == ["unix", "stream"]
    assert "#6" in lines[6]


def test_several_processes_are_counted() -> None:
    shared = entry(at("0.0.0.0:80"), processes=(Process(1, "a"), Process(2, "b"), Process(3, "c")))
    assert listing_lines([shared], None)[1].endswith("anna a (1) and 2 more")


def test_numbers_instead_of_names() -> None:
    assert listing_lines(SAMPLE, None, numeric=True)[1].endswith("1000 server (4711)")


def test_hostile_names_do_not_reach_the_terminal() -> None:
    hostile = entry(at("0.0.0.0:80"), processes=(Process(1, "\x1b[2J\r\n"),))
    for columns in (None, 40):
        lines = listing_lines([hostile, entry(UnixAddress("@\x1b]0;x\x07"), protocol="unix")], columns)
        assert "\x1b" not in "".join(lines)
        assert all("\n" not in line and "\r" not in line for line in lines)
