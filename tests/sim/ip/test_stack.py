"""The network layer, clause by clause."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from portside.sim.addresses import to_int
from portside.sim.clock import MILLISECOND
from portside.sim.encoding import encode
from portside.sim.frame import ArpFrame, IcmpFrame, OpaqueFrame, RawFrame, UdpFrame
from portside.sim.ip.icmp import Pong
from portside.wire.icmp import Echo, TimeExceeded, Unreachable
from portside.wire.icmpv6 import Icmpv6Error, NeighborSolicitation
from support.stacks import WIRE_NS, Heard, across, two

V4 = {"one": "10.0.0.1", "other": "10.0.0.2", "far": "10.0.2.2"}
V6 = {"one": "2001:db8::1", "other": "2001:db8::2", "far": "2001:db8:2::2"}
VERSIONS = pytest.mark.parametrize(("version", "names"), [(4, V4), (6, V6)])


def ping(net: Any, stack: Any, target: str, size: int = 56, seconds: float = 5) -> list[Any]:
    """Return what a ping was told."""
    answers: list[Any] = []
    stack.icmp.ping(to_int(target), 7, 1, answers.append, bytes(range(256)) * (size // 256) + bytes(size % 256))
    net.run(seconds)
    return answers


# ── neighbours ───────────────────────────────────────────────────────────────────────────────────────────────────────


@VERSIONS
def test_a_neighbour_is_asked_for_once_and_then_known(version: int, names: dict[str, str]) -> None:
    net, one, _ = two(version)
    kind: Any = ArpFrame if version == 4 else IcmpFrame
    (pong,) = ping(net, one, names["other"])
    assert isinstance(pong, Pong)
    asked = [f for f in net.sent("one:eth0", kind) if version == 4 or isinstance(f.message, NeighborSolicitation)]
    assert len(asked) == 1
    assert pong.rtt_ns == 4 * WIRE_NS  # who has it? I; then the echo and its answer
    (again,) = ping(net, one, names["other"])
    assert again.rtt_ns == 2 * WIRE_NS


@VERSIONS
def test_what_waits_for_a_neighbour_is_sent_in_order_when_it_answers(version: int, names: dict[str, str]) -> None:
    net, one, other = two(version)
    heard = Heard()
    other.udp.open(heard, (to_int(names["other"]), 9))
    socket = one.udp.open(Heard())
    for number in range(5):
        socket.send(bytes([number]), (to_int(names["other"]), 9))
    net.run()
    assert [data for data, _, _ in heard.got] == [bytes([number]) for number in range(5)]


@VERSIONS
def test_who_does_not_answer_is_asked_three_times_and_given_up(version: int, names: dict[str, str]) -> None:
    net, one, other = two(version)
    other.interfaces[0].port.turn(on=False)
    heard = Heard()
    socket = one.udp.open(heard)
    socket.connect((to_int(names["other"]), 9))
    socket.send(b"?")
    net.run(10)
    kind: Any = ArpFrame if version == 4 else IcmpFrame
    assert len(net.sent("one:eth0", kind)) == 3
    assert heard.errors == [errno.EHOSTUNREACH]
    assert one.scheduler.now >= 3_000 * MILLISECOND


def test_a_confirmed_neighbour_is_used_for_a_while_then_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    net, one, other = two()
    ping(net, one, "10.0.0.2")
    net.run(60)  # RFC 4861 section 7.3.2: REACHABLE for 30 s, then STALE
    assert [entry.state for entry in one.interfaces[0].neighbors] == ["STALE"]
    ping(net, one, "10.0.0.2", seconds=1)
    assert [entry.state for entry in one.interfaces[0].neighbors] == ["DELAY"]
    net.run(6)  # DELAY_FIRST_PROBE_TIME is 5 s; then it is asked, alone
    assert [entry.state for entry in one.interfaces[0].neighbors] == ["REACHABLE"]
    asked = [frame for frame in net.sent("one:eth0", ArpFrame) if frame.message.operation == 1]  # type: ignore[union-attr]
    assert [frame.target_mac == other.interfaces[0].mac for frame in asked] == [False, True]


# ── echo, and what nobody hears ──────────────────────────────────────────────────────────────────────────────────────


@VERSIONS
@pytest.mark.parametrize("size", [0, 1, 57, 1_000, 3_000, 60_000])
def test_an_echo_comes_back_as_it_was_whatever_its_size(version: int, names: dict[str, str], size: int) -> None:
    net, one, _ = two(version)
    (pong,) = ping(net, one, names["other"], size)
    assert pong.payload == bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert pong.ttl == 64


@VERSIONS
def test_a_damaged_packet_is_dropped_without_a_word(version: int, names: dict[str, str]) -> None:
    net, one, other = two(version)
    ping(net, one, names["other"], seconds=1)
    (echo,) = [f for f in net.sent("one:eth0", IcmpFrame) if isinstance(f.message, Echo)]  # type: ignore[union-attr]
    data = bytearray(encode(echo))
    data[-1] ^= 1
    net.frames.clear()
    other.interfaces[0].port.deliver(RawFrame(bytes(data)))
    net.run()
    assert other.counters["malformed"] == 1
    assert [way for where, way, _ in net.frames if where == "other:eth0"] == ["in"]


def test_loopback_is_within_the_host() -> None:
    net, one, _ = two()
    for target in ("127.0.0.1", "::1", "10.0.0.1"):
        (pong,) = ping(net, one, target)
        assert pong.rtt_ns == 0
    assert net.frames == []


def test_a_broadcast_is_heard_and_an_echo_to_it_is_not_answered() -> None:
    net, one, other = two()
    heard = Heard()
    other.udp.open(heard, (to_int("0.0.0.0"), 9))
    socket = one.udp.open(Heard(), (to_int("10.0.0.1"), 5_000), broadcast=True)
    for target in ("255.255.255.255", "10.0.0.255"):
        socket.send(b"all", (to_int(target), 9))
    net.run()
    assert [data for data, _, _ in heard.got] == [b"all", b"all"]
    assert ping(net, one, "10.0.0.255") == []
    with pytest.raises(OSError, match="Permission denied"):
        one.udp.open(Heard()).send(b"all", (to_int("10.0.0.255"), 9))


# ── UDP ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@VERSIONS
def test_a_port_where_nobody_listens_is_told_to_who_is_connected(version: int, names: dict[str, str]) -> None:
    net, one, _ = two(version)
    heard, deaf = Heard(), Heard()
    socket = one.udp.open(heard)
    socket.connect((to_int(names["other"]), 9))
    socket.send(b"?")
    one.udp.open(deaf).send(b"?", (to_int(names["other"]), 9))
    net.run()
    assert heard.errors == [errno.ECONNREFUSED]
    assert deaf.errors == []


def test_a_connected_socket_hears_only_its_peer_and_before_the_others() -> None:
    net, one, other = two()
    listening, connected = Heard(), Heard()
    other.udp.open(listening, (0, 9), reuse=True)
    socket = other.udp.open(connected, (to_int("10.0.0.2"), 9), reuse=True)
    mine, others = one.udp.open(Heard()), one.udp.open(Heard())
    socket.connect((to_int("10.0.0.1"), mine.local[1]))
    mine.send(b"mine", (to_int("10.0.0.2"), 9))
    others.send(b"others", (to_int("10.0.0.2"), 9))
    net.run()
    assert [data for data, _, _ in connected.got] == [b"mine"]
    assert [data for data, _, _ in listening.got] == [b"others"]


@pytest.mark.parametrize(
    ("first", "second", "collide"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "127.0.0.1", False),
        ("0.0.0.0", "10.0.0.1", True),
        ("::", "10.0.0.1", True),
        ("::", "0.0.0.0", True),
        ("10.0.0.1", "::1", False),
    ],
)
def test_what_is_bound_is_bound(first: str, second: str, collide: bool) -> None:
    _, one, _ = two()
    one.udp.open(Heard(), (to_int(first), 53))
    if collide:
        with pytest.raises(OSError, match="in use"):
            one.udp.open(Heard(), (to_int(second), 53))
    else:
        one.udp.open(Heard(), (to_int(second), 53))
    with pytest.raises(OSError, match="assign requested address"):
        one.udp.open(Heard(), (to_int("10.9.9.9"), 54))


def test_a_datagram_is_at_most_65507_bytes() -> None:
    net, one, other = two()
    heard = Heard()
    other.udp.open(heard, (0, 9))
    socket = one.udp.open(Heard())
    socket.send(bytes(65_507), (to_int("10.0.0.2"), 9))
    net.run()
    assert [len(data) for data, _, _ in heard.got] == [65_507]
    with pytest.raises(OSError, match="too long"):
        socket.send(bytes(65_508), (to_int("10.0.0.2"), 9))


# ── fragments ────────────────────────────────────────────────────────────────────────────────────────────────────────


def fragments(net: Any, one: Any, other: Any, names: dict[str, str]) -> list[OpaqueFrame]:
    """Return the fragments of a datagram of 4,000 bytes that was sent and has come."""
    ping(net, one, names["other"])
    one.udp.open(Heard()).send(bytes(range(250)) * 16, (to_int(names["other"]), 9))
    net.run()
    return [frame for frame in net.sent("one:eth0", OpaqueFrame) if isinstance(frame, OpaqueFrame)]


@VERSIONS
@pytest.mark.parametrize(
    ("order", "whole"),
    [
        ([0, 1, 2], True),
        ([2, 1, 0], True),
        ([1, 0, 0, 2], True),
        ([0, 2], False),
        ([1, 2], False),
    ],
)
def test_fragments_are_joined_in_whatever_order_they_come(
    version: int, names: dict[str, str], order: list[int], whole: bool
) -> None:
    net, one, other = two(version)
    pieces = fragments(net, one, other, names)
    assert len(pieces) == 3
    assert all(frame.size <= 1_514 for frame in pieces)
    heard = Heard()
    other.udp.open(heard, (to_int(names["other"]), 9))
    for place in order:
        other.interfaces[0].port.deliver(pieces[place])
    net.run()
    assert [data for data, _, _ in heard.got] == [bytes(range(250)) * 16] * whole


@VERSIONS
def test_fragments_that_overlap_end_their_packet(version: int, names: dict[str, str]) -> None:
    net, one, other = two(version)
    pieces = fragments(net, one, other, names)
    heard = Heard()
    other.udp.open(heard, (to_int(names["other"]), 9))
    first = pieces[0]
    wrong = OpaqueFrame(17, first.source, first.target, first.size, 64, first.payload, 8, True)
    wrong.identification, wrong.target_mac = first.identification, first.target_mac
    for frame in (first, wrong, pieces[1], pieces[2]):
        other.interfaces[0].port.deliver(frame)
    net.run(100)
    assert heard.got == []


@VERSIONS
def test_who_sent_a_part_only_is_told_when_the_time_is_up(version: int, names: dict[str, str]) -> None:
    net, one, other = two(version)
    pieces = fragments(net, one, other, names)
    net.frames.clear()
    other.interfaces[0].port.deliver(pieces[0])
    net.run(29)
    assert net.sent("other:eth0", IcmpFrame) == []
    net.run(10)
    told = [f.message for f in net.sent("other:eth0", IcmpFrame) if isinstance(f.message, TimeExceeded | Icmpv6Error)]  # type: ignore[union-attr]
    assert [message.code for message in told] == [1]  # RFC 792: fragment reassembly time exceeded


# ── routers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@VERSIONS
def test_a_router_forwards_with_one_hop_less_to_live(version: int, names: dict[str, str]) -> None:
    net, one, _, _ = across(version=version)
    (pong,) = ping(net, one, names["far"])
    assert pong.ttl == 63
    assert pong.source == to_int(names["far"])


@VERSIONS
def test_a_packet_that_has_lived_long_enough_is_told_of(version: int, names: dict[str, str]) -> None:
    net, one, router, _ = across(version=version)
    frame = UdpFrame(one.source_for(to_int(names["far"])), 5_000, to_int(names["far"]), 9, b"", ttl=1)
    one.send(frame)
    net.run()
    (told,) = [f for f in net.sent("router:eth0", IcmpFrame) if isinstance(f.message, TimeExceeded | Icmpv6Error)]  # type: ignore[union-attr]
    assert told.message.code == 0  # type: ignore[union-attr]
    assert told.source == router.interfaces[0].networks[0][0]  # type: ignore[union-attr]
    assert b"\x13\x88" in told.message.original  # type: ignore[union-attr]


@VERSIONS
def test_a_network_without_a_route_is_unreachable(version: int, names: dict[str, str]) -> None:
    net, one, _, _ = across(version=version)
    heard = Heard()
    socket = one.udp.open(heard)
    socket.connect((to_int("192.0.2.1" if version == 4 else "2001:db8:ffff::1"), 9))
    socket.send(b"?")
    net.run()
    assert heard.errors == [errno.ENETUNREACH]


@VERSIONS
def test_a_host_behind_a_router_that_is_not_there_is_unreachable(version: int, names: dict[str, str]) -> None:
    net, one, _, _ = across(version=version)
    heard = Heard()
    socket = one.udp.open(heard)
    socket.connect((to_int("10.0.2.99" if version == 4 else "2001:db8:2::99"), 9))
    socket.send(b"?")
    net.run(10)
    assert heard.errors == [errno.EHOSTUNREACH]


@VERSIONS
def test_the_mtu_of_a_path_is_learned_from_the_router_that_cannot_pass_it(version: int, names: dict[str, str]) -> None:
    net, one, _, other = across(mtu=1_300, version=version)
    heard = Heard()
    other.udp.open(heard, (0, 9))
    socket = one.udp.open(Heard())
    target = to_int(names["far"])
    socket.send(bytes(1_400), (target, 9))
    net.run()
    assert heard.got == []  # it was too long, and must not be cut on the way
    assert one.mtu_to(target) == 1_300
    socket.send(bytes(1_400), (target, 9))
    net.run()
    assert [len(data) for data, _, _ in heard.got] == [1_400]
    net.run(601)
    assert one.mtu_to(target) == 1_500  # RFC 1191 section 6.3: tried again after ten minutes


def test_a_router_cuts_up_what_may_be_cut() -> None:
    net, one, _, other = across(mtu=600)
    heard = Heard()
    other.udp.open(heard, (0, 9))
    frame = UdpFrame(to_int("10.0.1.2"), 5_000, to_int("10.0.2.2"), 9, bytes(1_400))
    frame.identification = 77
    one.send(frame)
    net.run()
    pieces = net.sent("router:eth1", OpaqueFrame)
    assert [(piece.offset, piece.more) for piece in pieces] == [(0, True), (576, True), (1_152, False)]  # type: ignore[union-attr]
    assert all(piece.size <= 614 and piece.ttl == 63 for piece in pieces)  # type: ignore[union-attr]
    assert [len(data) for data, _, _ in heard.got] == [1_400]


def test_errors_are_not_answered_by_errors() -> None:
    net, one, router, _ = across()
    ping(net, one, "10.0.2.2")
    net.frames.clear()
    lost = Unreachable(3, bytes(28))
    frame = IcmpFrame(to_int("10.0.1.2"), to_int("192.0.2.1"), lost, 8 + 28)
    one.send(frame)  # to a network that the router does not know
    net.run()
    assert net.sent("router:eth0", IcmpFrame) == []
    assert router.counters == {}


def test_errors_are_bounded() -> None:
    net, one, _, other = across()
    ping(net, one, "10.0.2.2")
    socket = one.udp.open(Heard())
    for _ in range(200):
        socket.send(b"?", (to_int("10.0.2.2"), 9))
    net.run()
    assert 50 <= len(net.sent("other:eth0", IcmpFrame)) <= 60
    assert other.counters["icmp errors held back"] > 100
