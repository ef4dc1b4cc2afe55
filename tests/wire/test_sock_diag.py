"""The kernel's descriptions of sockets, byte by byte, and what becomes of truncated or strange ones."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import InternetAddress, UnixAddress
from portside.errors import MalformedMessage
from portside.wire.netlink import ATTRIBUTE, HEADER, NLM_F_DUMP, NLM_F_REQUEST, parse_messages
from portside.wire.sock_diag import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    SOCK_DIAG_BY_FAMILY,
    STATES,
    UNIX_DIAG_NAME,
    UNIX_DIAG_PEER,
    UNIX_DIAG_RQLEN,
    UNIX_DIAG_UID,
    InetParser,
    OpenSocket,
    build_inet_request,
    build_unix_request,
    parse_unix_sockets,
)

ESTABLISHED, SYN_RECV, TIME_WAIT, CLOSE, LISTEN = 1, 3, 6, 7, 10  # net/tcp_states.h


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, sys.byteorder)


def inet_message(
    source: str,
    port: int,
    target: str = "",
    peer_port: int = 0,
    *,
    state: int = ESTABLISHED,
    queues: tuple[int, int] = (0, 0),
    uid: int = 0,
    inode: int = 1,
    interface: int = 0,
) -> memoryview:
    """Return struct inet_diag_msg as linux/inet_diag.h lays it out, member by member."""
    is_ipv6 = ":" in source
    kind = IPv6Address if is_ipv6 else IPv4Address
    ends = [kind(text).packed.ljust(16, b"\0") if text else bytes(16) for text in (source, target)]
    return memoryview(
        bytes([AF_INET6 if is_ipv6 else AF_INET, state, 0, 0])
        + port.to_bytes(2, "big")
        + peer_port.to_bytes(2, "big")
        + ends[0]
        + ends[1]
        + number(interface)
        + bytes(8)  # cookie
        + number(0)  # expires
        + number(queues[0])
        + number(queues[1])
        + number(uid)
        + number(inode)
    )


def attribute(kind: int, data: bytes) -> bytes:
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(data), kind) + data + bytes(-len(data) % 4)


def unix_message(
    inode: int,
    *,
    kind: int = 1,
    state: int = ESTABLISHED,
    name: bytes | None = None,
    peer: int | None = None,
    queues: tuple[int, int] | None = (0, 0),
    uid: int | None = 0,
) -> memoryview:
    """Return struct unix_diag_msg of linux/unix_diag.h with its attributes."""
    data = bytes([1, kind, state, 0]) + number(inode) + bytes(8)
    if name is not None:
        data += attribute(UNIX_DIAG_NAME, name)
    if peer is not None:
        data += attribute(UNIX_DIAG_PEER, number(peer))
    if queues is not None:
        data += attribute(UNIX_DIAG_RQLEN, number(queues[0]) + number(queues[1]))
    if uid is not None:
        data += attribute(UNIX_DIAG_UID, number(uid))
    return memoryview(data)


def tcp(message: memoryview, interfaces: dict[int, str] | None = None) -> OpenSocket:
    return InetParser(IPPROTO_TCP, interfaces).parse(message)


def udp(message: memoryview) -> OpenSocket:
    return InetParser(IPPROTO_UDP).parse(message)


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_for_tcp_is_as_the_kernel_reads_it() -> None:
    data = build_inet_request(AF_INET6, IPPROTO_TCP, 5)
    assert len(data) == HEADER.size + 56  # struct inet_diag_req_v2
    (message,) = parse_messages(data)
    assert (message.type, message.flags, message.sequence) == (SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 5)
    assert bytes(message.payload) == bytes([AF_INET6, IPPROTO_TCP, 0, 0]) + b"\xff" * 4 + bytes(48)


def test_a_request_for_unix_is_as_the_kernel_reads_it() -> None:
    (message,) = parse_messages(build_unix_request(5))
    assert len(message.payload) == 24  # struct unix_diag_req
    # Everything in its ten states; names, peers, queues and owners are to be shown.
    assert bytes(message.payload) == bytes([1, 0, 0, 0]) + b"\xff" * 4 + number(0) + number(0x55) + bytes(8)


# ── TCP and UDP ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tcp_connection() -> None:
    message = inet_message("192.0.2.1", 43_210, "198.51.100.7", 443, queues=(3, 5), uid=1_000, inode=77)
    assert tcp(message) == OpenSocket(
        protocol="tcp",
        kind="stream",
        family="IPv4",
        state="ESTABLISHED",
        local=InternetAddress("192.0.2.1", 43_210),
        peer=InternetAddress("198.51.100.7", 443),
        receive_queue=3,
        send_queue=5,
        uid=1_000,
        inode=77,
    )


def test_a_listener_has_no_peer() -> None:
    found = tcp(inet_message("::", 9_000, "::", state=LISTEN, queues=(2, 4_096)))
    assert (found.local, found.peer, found.state) == (InternetAddress("::", 9_000), None, "LISTEN")
    assert found.is_listening


def test_mapped_addresses_are_shown_as_ipv4() -> None:
    found = tcp(inet_message("::ffff:192.0.2.1", 9_000, "::ffff:198.51.100.7", 50_000))
    assert (str(found.local), str(found.peer), found.family) == ("192.0.2.1:9000", "198.51.100.7:50000", "IPv6")


def test_a_link_local_address_has_its_zone_by_name_where_known() -> None:
    message = inet_message("fe80::1", 22, "fe80::2", 50_000, interface=3)
    assert str(tcp(message).local) == "[fe80::1%3]:22"
    assert str(tcp(message, {3: "eth0"}).peer) == "[fe80::2%eth0]:50000"
    assert str(tcp(inet_message("2001:db8::1", 22, interface=3)).local) == "[2001:db8::1]:22"


@pytest.mark.parametrize(("state", "name"), [(TIME_WAIT, "TIME-WAIT"), (SYN_RECV, "SYN-RECEIVED")])
def test_what_the_kernel_alone_holds_has_no_owner(state: int, name: str) -> None:
    found = tcp(inet_message("192.0.2.1", 80, "192.0.2.2", 50_000, state=state, inode=0))
    assert (found.state, found.uid) == (name, None)


@pytest.mark.parametrize("state", range(1, 14))
def test_every_state_of_the_kernel_has_a_name(state: int) -> None:
    assert tcp(inet_message("192.0.2.1", 80, state=state)).state in STATES


def test_a_state_yet_to_be_invented_is_shown_by_its_number() -> None:
    assert tcp(inet_message("192.0.2.1", 80, state=99)).state == "STATE-99"


def test_udp_sockets_are_connected_or_not() -> None:
    bound = udp(inet_message("0.0.0.0", 53, state=CLOSE))
    assert (bound.protocol, bound.kind, bound.state, bound.is_listening) == ("udp", "datagram", "UNCONNECTED", True)
    connected = udp(inet_message("192.0.2.1", 50_000, "192.0.2.2", 53))
    assert (connected.state, connected.is_listening) == ("CONNECTED", False)
    assert not udp(inet_message("0.0.0.0", 0, state=CLOSE)).is_listening


@given(st.integers(0, 71))
def test_a_truncated_message_is_refused(length: int) -> None:
    message = inet_message("192.0.2.1", 80)
    assert len(message) == 72  # struct inet_diag_msg
    with pytest.raises(MalformedMessage, match="struct inet_diag_msg has 72"):
        tcp(message[:length])


def test_attributes_behind_the_message_are_passed_over() -> None:
    message = bytes(inet_message("192.0.2.1", 80)) + attribute(11, b"\1")  # INET_DIAG_SKV6ONLY
    assert tcp(memoryview(message)).local == InternetAddress("192.0.2.1", 80)


@given(st.binary(min_size=72, max_size=90))
def test_any_message_is_a_socket_or_refused(data: bytes) -> None:
    try:
        found = tcp(memoryview(data))
    except MalformedMessage:
        assert data[0] not in {AF_INET, AF_INET6}
        return
    assert isinstance(found.local, InternetAddress)
    assert found.local.ip
    assert 0 <= found.local.port <= 65_535


ends = st.tuples(st.ip_addresses(v=4).map(str), st.integers(0, 65_535))


@given(ends, ends, st.integers(0, (1 << 32) - 1))
def test_numbers_and_addresses_are_those_of_the_message(
    local: tuple[str, int], peer: tuple[str, int], inode: int
) -> None:
    found = tcp(inet_message(*local, *peer, inode=inode))
    assert found.local == InternetAddress(*local)
    assert found.peer == (None if peer == ("0.0.0.0", 0) else InternetAddress(*peer))
    assert found.inode == inode


# ── unix ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_unix_connection_learns_its_peers_name_from_the_peer() -> None:
    found = {
        each.inode: each
        for each in parse_unix_sockets(
            [
                unix_message(1, name=b"/run/x.sock\0", state=LISTEN, queues=(0, 128)),
                unix_message(2, name=b"/run/x.sock\0", peer=3, uid=33),
                unix_message(3, peer=2, queues=(7, 0)),
            ]
        )
    }
    assert (found[1].local, found[1].peer, found[1].state) == (UnixAddress("/run/x.sock"), None, "LISTEN")
    assert found[1].is_listening
    assert (found[2].peer, found[2].peer_inode, found[2].uid) == (UnixAddress(""), 3, 33)
    assert (found[3].local, found[3].peer) == (UnixAddress(""), UnixAddress("/run/x.sock"))
    assert (found[3].state, found[3].receive_queue) == ("CONNECTED", 7)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/run/x\0", "/run/x"),
        (b"/run/x", "/run/x"),
        (b"\0name", "@name"),
        (b"\0na\0me", "@na\0me"),
        (b"", ""),
        (b"/\xff", "/\udcff"),
    ],
)
def test_names_are_paths_or_abstract(raw: bytes, path: str) -> None:
    (found,) = parse_unix_sockets([unix_message(1, name=raw)])
    assert found.local == UnixAddress(path)


def test_what_an_older_kernel_does_not_tell_is_absent() -> None:
    (found,) = parse_unix_sockets([unix_message(1, queues=None, uid=None)])
    assert (found.receive_queue, found.send_queue, found.uid, found.peer_inode) == (None, None, None, None)


@pytest.mark.parametrize(("kind", "name"), [(1, "stream"), (2, "datagram"), (5, "seqpacket"), (9, "type-9")])
def test_unix_sockets_have_types(kind: int, name: str) -> None:
    (found,) = parse_unix_sockets([unix_message(1, kind=kind, state=CLOSE)])
    assert (found.kind, found.state) == (name, "UNCONNECTED")


def test_a_datagram_socket_with_a_name_is_open_to_everybody() -> None:
    named, nameless = parse_unix_sockets(
        [unix_message(1, kind=2, state=CLOSE, name=b"/dev/log\0"), unix_message(2, kind=2, state=CLOSE)]
    )
    assert (named.is_listening, nameless.is_listening) == (True, False)


@given(st.data())
def test_a_truncated_unix_message_is_refused(data: st.DataObject) -> None:
    message = unix_message(1, name=b"/run/x.sock\0", peer=3)
    # Behind the fixed part and each attribute a message may end; anywhere else it was cut.
    whole = {16, 32, 40, 52, len(message)}
    length = data.draw(st.sampled_from([at for at in range(len(message)) if at not in whole]))
    with pytest.raises(MalformedMessage):
        list(parse_unix_sockets([message[:length]]))


@pytest.mark.parametrize("kind", [UNIX_DIAG_PEER, UNIX_DIAG_RQLEN, UNIX_DIAG_UID])
def test_an_attribute_too_short_for_its_number_is_refused(kind: int) -> None:
    message = bytes([1, 1, 1, 0]) + bytes(12) + attribute(kind, b"abc")
    with pytest.raises(MalformedMessage, match="has 3 bytes"):
        list(parse_unix_sockets([memoryview(message)]))


def test_another_family_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="family 2 is not AF_UNIX"):
        list(parse_unix_sockets([memoryview(bytes([2, 1, 1, 0]) + bytes(12))]))
    with pytest.raises(MalformedMessage, match="family 1 is neither"):
        tcp(memoryview(bytes([1]) + bytes(71)))


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_unix_sockets_or_refused(messages: list[bytes]) -> None:
    try:
        found = list(parse_unix_sockets(map(memoryview, messages)))
    except MalformedMessage:
        return
    assert len(found) == len(messages)
