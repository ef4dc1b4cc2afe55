"""TCP's numbers counted from each connection's first, and windows as they are meant."""

from __future__ import annotations

from typing import Any

from portside.observe.packets.flows import Flows, Relative
from portside.wire.tcp import Flags, Segment
from portside.wire.tcp_options import WindowScale
from support.capturing import A, B

SYN, ACK, FIN = Flags.SYN, Flags.ACK, Flags.FIN
WRAP = 1 << 32


class Line:
    """One connection from A port 40000 to B port 80, seen by ``Flows``."""

    def __init__(self, flows: Flows | None = None) -> None:
        self.flows = flows or Flows()

    def there(self, sequence: int, acknowledgement: int = 0, *, flags: int = ACK, **more: Any) -> Relative:
        segment = Segment(40_000, 80, sequence % WRAP, acknowledgement % WRAP, flags, **more)
        return self.flows.follow(A, B, segment)

    def back(self, sequence: int, acknowledgement: int = 0, *, flags: int = ACK, **more: Any) -> Relative:
        segment = Segment(80, 40_000, sequence % WRAP, acknowledgement % WRAP, flags, **more)
        return self.flows.follow(B, A, segment)


def test_a_connection_is_counted_from_both_syns() -> None:
    line = Line()
    scale = (WindowScale(7),)
    assert line.there(1_000, flags=SYN, window=64_240, options=scale) == Relative(0, 0, 64_240, False)
    assert line.back(9_000, 1_001, flags=SYN | ACK, window=65_160, options=(WindowScale(2),)) == Relative(
        0, 1, 65_160, False
    )
    assert line.there(1_001, 9_001, window=500) == Relative(1, 1, 500 << 7, False)
    assert line.back(9_001, 1_001, window=500, payload=b"hello") == Relative(1, 1, 500 << 2, False)
    assert line.there(1_001, 9_006, flags=FIN | ACK, window=1) == Relative(1, 6, 128, False)


def test_without_its_beginning_what_comes_first_is_byte_one() -> None:
    line = Line()
    assert line.there(5_000, 70_000, window=500, payload=b"abc") == Relative(1, 1, 500, False)
    assert line.back(70_000, 5_003, window=500, payload=b"x") == Relative(1, 4, 500, False)
    assert line.back(70_001, 5_003) == Relative(2, 4, 0, False)


def test_numbers_go_round() -> None:
    line = Line()
    line.there(WRAP - 2, flags=SYN)
    assert line.there(WRAP - 1, payload=b"abc").sequence == 1
    assert line.there(2, payload=b"abc").sequence == 4
    assert not line.there(5, payload=b"abc").is_again


def test_windows_are_scaled_where_both_syns_say_so() -> None:
    """RFC 7323 section 2.2."""
    line = Line()
    line.there(1, flags=SYN, options=(WindowScale(7),))
    line.back(1, 2, flags=SYN | ACK)
    assert line.there(2, 2, window=10).window_bytes == 10
    other = Line()
    other.there(1, flags=SYN, options=(WindowScale(15),))
    other.back(1, 2, flags=SYN | ACK, options=(WindowScale(0),))
    assert other.there(2, 2, window=1).window_bytes == 1 << 14  # section 2.3: more is taken for 14
    assert other.back(2, 2, window=1).window_bytes == 1


def test_what_has_passed_by_before_passes_again() -> None:
    line = Line()
    assert not line.there(1_000, flags=SYN).is_again
    assert line.there(1_000, flags=SYN).is_again
    assert not line.there(1_001, payload=b"abc").is_again
    assert line.there(1_001, payload=b"abc").is_again
    assert line.there(1_001, payload=b"ab").is_again
    assert not line.there(1_001, payload=b"abcd").is_again  # a byte of it is new
    assert not line.there(1_005).is_again  # an acknowledgement has no bytes
    assert not line.there(1_005, flags=FIN | ACK).is_again
    assert line.there(1_005, flags=FIN | ACK).is_again


def test_a_new_connection_between_the_same_ports_is_counted_anew() -> None:
    line = Line()
    line.there(1_000, flags=SYN)
    line.back(9_000, 1_001, flags=SYN | ACK)
    assert line.there(500_000, flags=SYN).sequence == 0
    assert line.back(77, 500_001, flags=SYN | ACK) == Relative(0, 1, 0, False)
    assert line.there(500_001, 78).acknowledgement == 1


def test_connections_are_told_apart_and_the_oldest_forgotten() -> None:
    flows = Flows(flows_max=2)
    line = Line(flows)
    line.there(1_000, flags=SYN)
    flows.follow(A, B, Segment(40_001, 80, 5, flags=SYN))
    assert line.there(1_001, payload=b"abc").sequence == 1
    flows.follow(A, B, Segment(40_002, 80, 5, flags=SYN))
    assert line.there(2_000, payload=b"abc").sequence == 1  # counted anew
