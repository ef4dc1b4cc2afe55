"""``portside connections``: filters, order and layouts, on sockets made up."""

from __future__ import annotations

import pytest

from portside.address import Address, InternetAddress, UnixAddress
from portside.cli import connections as module
from portside.cli.connections import (
    by_owner,
    by_peer,
    by_port,
    choose,
    listing_lines,
    parse_state,
)
from portside.cli.main import main
from portside.cli.open_sockets import Entry
from portside.errors import UsageError
from portside.net.owners import Process
from portside.wire.sock_diag import OpenSocket


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


def test_a_list_in_the_environment_has_commas(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORTSIDE_STATE", "listen,nonsense")
    assert main(["connections"]) == 2
    assert "there is no state 'nonsense'" in capsys.readouterr().err


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
