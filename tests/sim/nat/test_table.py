"""The memory of a NAT: bounded, fair to ports, and what it makes of packets that errors quote."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portside.sim.addresses import to_int
from portside.sim.clock import SECOND, Scheduler
from portside.sim.encoding import encode_packet
from portside.sim.frame import IcmpFrame, TcpFrame, UdpFrame
from portside.sim.nat.policy import Policy
from portside.sim.nat.quotes import retold
from portside.sim.nat.table import Table
from portside.wire.icmp import Echo
from portside.wire.numbers import TCP, UDP

INNER, REMOTE, OUTER = to_int("192.168.1.2"), to_int("198.51.100.2"), to_int("203.0.113.5")


def table(scheduler: Scheduler | None = None, **policy: Any) -> Table:
    return Table(scheduler or Scheduler(), Random(1), Policy(**policy))


def test_no_port_stands_for_two_and_when_all_are_taken_there_is_none() -> None:
    """RFC 4787 REQ-3: no overloading."""
    known = table(ports=(2_000, 2_019), sessions_max=1_000)
    made = [known.outward(UDP, (INNER + number, 5_000), (REMOTE, 9)) for number in range(30)]
    ports = [mapping.outer_port for mapping in made if mapping is not None]
    assert len(ports) == len(set(ports)) == 11  # the inner one, and ten that are even as it is
    assert all(port % 2 == 0 for port in ports)
    assert made[11:] == [None] * 19


def test_a_flood_fills_the_table_and_no_more_and_what_is_over_makes_room() -> None:
    scheduler = Scheduler()
    known = table(scheduler, sessions_max=100)
    for number in range(500):
        known.outward(UDP, (INNER, 5_000), (REMOTE, number))
    assert len(list(known.entries())) == 100
    assert known.outward(UDP, (INNER, 5_000), (REMOTE, 99)) is not None  # who is known goes on
    assert known.outward(TCP, (INNER, 5_000), (REMOTE, 80)) is None
    scheduler.run(301 * SECOND)
    assert known.outward(TCP, (INNER, 5_000), (REMOTE, 80)) is not None
    assert len(list(known.entries())) == 1


def test_a_low_port_stays_low() -> None:
    """RFC 4787 section 4.2.1: well-known ports are given for well-known ports."""
    known = table()
    first = known.outward(UDP, (INNER, 123), (REMOTE, 123))
    second = known.outward(UDP, (INNER + 1, 123), (REMOTE, 123))
    assert first is not None
    assert second is not None
    assert first.outer_port == 123
    assert second.outer_port < 1_024
    assert second.outer_port % 2 == 1


PORTS = st.integers(1, 65_535)


@given(st.sampled_from(["tcp", "udp", "icmp"]), PORTS, PORTS, PORTS, st.binary(max_size=60), st.integers(28, 120))
def test_a_quoted_packet_is_what_would_have_been_sent(  # noqa: PLR0917 -- drawn by hypothesis
    kind: str, port: int, remote_port: int, outer_port: int, payload: bytes, quoted: int
) -> None:
    """RFC 5508 REQ-4, and the sums of RFC 1624: byte by byte the packet with the other end, as far as it is quoted."""

    def packet(source: int, source_port: int) -> bytes:
        frame: Any
        if kind == "tcp":
            frame = TcpFrame(source, source_port, REMOTE, remote_port, 7, 8, 16, 100, payload)
        elif kind == "udp":
            frame = UdpFrame(source, source_port, REMOTE, remote_port, payload)
        else:
            frame = IcmpFrame(source, REMOTE, Echo(source_port, 1, payload), 8 + len(payload))
        return encode_packet(frame)[:quoted]

    protocol = {"tcp": TCP, "udp": UDP, "icmp": 1}[kind]
    assert retold(packet(OUTER, outer_port), protocol, (INNER, port), is_source=True) == packet(INNER, port)
    assert retold(packet(INNER, port), protocol, (OUTER, outer_port), is_source=True) == packet(OUTER, outer_port)
