"""The gate, the sweep and the sorting of ends: without sockets, with a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from portside import events
from portside.address import Address, Endpoint, InternetAddress, UnixAddress
from portside.contracts import Battery
from portside.errors import (
    ConnectionEnded,
    ConnectionLost,
    EndOfStream,
    ForeignAwait,
    LineTooLong,
    MalformedMessage,
    TlsFailed,
)
from portside.events import EndReason
from portside.serve.endings import how_it_ended
from portside.serve.ledger import LocalLedger
from portside.serve.limits import Gate
from portside.serve.service import Service
from portside.serve.settings import Limits, ServiceSettings
from portside.serve.sweeper import Sweeper

ANNA, BERT = InternetAddress("192.0.2.1", 40_000), InternetAddress("2001:db8::7", 40_001)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Visitor:
    """A connection as the conductor sees it."""

    @property
    def moved_bytes(self) -> int:
        return self.bytes_in + self.bytes_out

    @property
    def all_bytes_in(self) -> int:
        return self.bytes_in

    @property
    def all_bytes_out(self) -> int:
        return self.bytes_out

    def companions(self) -> list[Any]:
        return []

    def __init__(self, peer: Address = ANNA) -> None:
        self.id = f"test-{id(self)}"
        self.local, self.peer = InternetAddress("192.0.2.200", 7), peer
        self.state = "reading"
        self.bytes_in = self.bytes_out = 0
        self.counted_bytes = 0, 0
        self.swept_bytes, self.swept_s = -1, 0.0
        self.age_s = 0.0
        self.ended_because: EndReason | None = None
        self.farewell = b""
        self.line_limit = 0
        self.paced: tuple[float | None, float | None] | None = None
        self.closed = False

    def end(self, reason: EndReason, farewell: bytes = b"") -> None:
        if self.ended_because is None:
            self.ended_because, self.farewell = reason, farewell

    def pace(self, bytes_in_per_s: float | None, bytes_out_per_s: float | None) -> None:
        self.paced = (bytes_in_per_s, bytes_out_per_s)

    async def close(self) -> None:
        self.closed = True


async def wait_forever(visitor: Any) -> None: ...


def words_of(why: str) -> bytes:
    return f"BYE {why}\r\n".encode()


def service_of(
    handler: Callable[..., Any] = wait_forever,
    *,
    limits: Limits = Limits(),  # noqa: B008  (frozen)
    refusal: Callable[[str], bytes] | None = words_of,
    clock: Callable[[], float] | None = None,
    **settings: Any,
) -> Service:
    battery = Battery("test", stream=handler, refusal=refusal)
    made = ServiceSettings(
        "test", (Endpoint("tcp", host="::", port=7),), lambda: battery, "test:handler", limits=limits, **settings
    )
    return Service(made, battery, LocalLedger(), clock=clock or Clock())


@pytest.fixture
def heard() -> Iterator[list[events.Event]]:
    happened: list[events.Event] = []
    unsubscribe = events.subscribe(happened.append)
    yield happened
    unsubscribe()


# ── the gate ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def gate(limits: Limits = Limits(), **lists: Any) -> Gate:  # noqa: B008
    networks = {name: tuple(map(ip_network, texts)) for name, texts in lists.items()}
    return Gate(limits, LocalLedger(), clock=Clock(), **networks)


def test_deny_wins_over_allow_and_allow_shuts_out_the_others() -> None:
    one = gate(allow=["192.0.2.0/24"], deny=["192.0.2.128/25"])
    assert one.admit(InternetAddress("192.0.2.1", 1)) is None
    assert one.admit(InternetAddress("192.0.2.200", 1)) == "denied"
    assert one.admit(InternetAddress("198.51.100.1", 1)) == "denied"
    assert one.admit(BERT) == "denied"


def test_only_deny_lets_everybody_else_in() -> None:
    one = gate(deny=["2001:db8::/32"])
    assert one.admit(BERT) == "denied"
    assert one.admit_datagram(BERT) == "denied"
    assert one.admit(ANNA) is None
    assert one.admit(InternetAddress("fe80::1%eth0", 1)) is None


def test_a_peer_without_an_address_is_no_matter_of_lists_or_of_limits_per_address() -> None:
    one = gate(Limits(per_ip=1, connections=3), allow=["192.0.2.0/24"])
    assert [one.admit(UnixAddress("")) for _ in range(4)] == [None, None, None, "connections"]


def test_places_are_given_back() -> None:
    one = gate(Limits(per_ip=1))
    assert one.admit(ANNA) is None
    assert one.admit(InternetAddress(ANNA.host, 1)) == "per_ip"
    one.release(ANNA)
    assert one.admit(ANNA) is None


# ── how a connection ends ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (None, "done"),
        (ConnectionLost("reset"), "peer"),
        (EndOfStream(b"ab", "4 bytes"), "peer"),
        (LineTooLong(11, 10), "peer"),
        (MalformedMessage("no request"), "peer"),
        (TlsFailed("no"), "tls"),
        (TimeoutError("nothing came within 1 s"), "timeout"),
        (ConnectionEnded("idle"), "idle"),
        (ForeignAwait("shout", "thread", "asyncio.sleep"), "handler"),
        (ZeroDivisionError("division by zero"), "handler"),
        (FileNotFoundError(2, "No such file"), "handler"),
        (SystemExit(1), "handler"),
    ],
)
def test_whose_fault_it_was(error: BaseException | None, reason: str) -> None:
    visitor: Any = Visitor()
    assert how_it_ended(visitor, error)[0] == reason


def test_what_ended_it_from_outside_counts_whatever_the_handler_made_of_it() -> None:
    visitor: Any = Visitor()
    visitor.ended_because = "life"
    assert how_it_ended(visitor, ZeroDivisionError()) == ("life", None)


def test_a_bug_is_told_once_and_the_connection_is_closed_and_released(heard: list[events.Event]) -> None:
    async def buggy(visitor: Any) -> None:
        raise ZeroDivisionError("in the handler")

    service = service_of(buggy)
    visitor: Any = Visitor()
    assert service.admit(ANNA) is None
    service.converse_blocking(visitor)
    assert [type(event) for event in heard] == [
        events.ConnectionOpened,
        events.HandlerFailed,
        events.ConnectionClosed,
    ]
    closed = heard[-1]
    assert isinstance(closed, events.ConnectionClosed)
    assert (closed.reason, closed.detail) == ("handler", "ZeroDivisionError: in the handler")
    assert visitor.closed
    assert service.places == 0
    assert service.live == {}


def test_a_foreign_await_is_a_handler_s_failure_that_says_what_to_do(heard: list[events.Event]) -> None:
    async def foreign(visitor: Any) -> None:
        await asyncio.sleep(1)

    service = service_of(foreign, model="thread")
    service.admit(ANNA)
    service.converse_blocking(Visitor())  # type: ignore[arg-type]
    failed = next(event for event in heard if isinstance(event, events.HandlerFailed))
    assert isinstance(failed.error, ForeignAwait)
    assert "test:handler" in str(failed.error)
    assert "--model event" in str(failed.error)


def test_a_plain_handler_gets_plain_methods() -> None:
    seen = []

    def plain(visitor: Any) -> None:
        seen.append(type(visitor).__name__)

    service = service_of(plain)
    service.admit(ANNA)
    service.converse_blocking(Visitor())  # type: ignore[arg-type]
    assert seen == ["PlainStream"]


def test_limits_are_set_before_the_handler_starts() -> None:
    service = service_of(limits=Limits(line_bytes=77, bytes_in_per_s=5.0))
    visitor: Any = Visitor()
    service.admit(ANNA)
    service.converse_blocking(visitor)
    assert visitor.line_limit == 77
    assert visitor.paced == (5.0, None)


def test_a_refused_peer_is_counted_and_told_of(heard: list[events.Event]) -> None:
    service = service_of(limits=Limits(connections=1))
    assert service.admit(ANNA) is None
    assert service.admit(BERT) == "connections"
    assert heard == [events.LimitHit("test", BERT, "connections")]
    assert service.ledger.tally().limit_connections == 1  # type: ignore[attr-defined]
    assert service.refusal("connections") == b"BYE too many connections\r\n"
    assert service.places == 1


def test_a_battery_whose_words_fail_has_none(caplog: pytest.LogCaptureFixture) -> None:
    def broken(why: str) -> bytes:
        raise KeyError(why)

    assert service_of(refusal=broken).refusal("per_ip") == b""
    assert "refusal failed" in caplog.text


# ── the sweep ────────────────────────────────────────────────────────────────────────────────────────────────────────


def swept(visitor: Visitor, seconds: int, clock: Clock, sweeper: Sweeper) -> int | None:
    """Tick once a second, and return after how many the visitor was ended."""
    for second in range(1, seconds + 1):
        clock.now_s += 1.0
        visitor.age_s += 1.0
        sweeper.tick()
        if visitor.ended_because is not None:
            return second
    return None


def sweeping(**limits: Any) -> tuple[Visitor, Clock, Sweeper, Service]:
    clock = Clock()
    service = service_of(limits=Limits(**limits), clock=clock)
    visitor: Any = Visitor()
    service.opened(visitor)
    return visitor, clock, Sweeper(service, clock), service


def test_idle_counts_from_when_a_handler_begins_to_wait_and_not_from_the_last_look_at_it() -> None:
    visitor, clock, sweeper, _ = sweeping(idle_s=5.0)
    visitor.state = "busy"
    assert swept(visitor, 10, clock, sweeper) is None
    visitor.state = "reading"  # just before the next look, a second after the last one
    assert swept(visitor, 10, clock, sweeper) == 6


@pytest.mark.parametrize("state", ["reading", "writing", "closing"])
def test_idle_goes_at_most_two_seconds_late_and_never_early(state: str) -> None:
    visitor, clock, sweeper, _ = sweeping(idle_s=5.0)
    visitor.state = state
    visitor.bytes_in = 10
    clock.now_s += 0.999  # the bytes came just after the last look
    ended_after = swept(visitor, 20, clock, sweeper)
    assert ended_after is not None
    assert 5.0 <= ended_after + 0.999 <= 7.0
    assert visitor.ended_because == "idle"


def test_only_who_waits_for_input_is_told_in_words() -> None:
    reading, clock, sweeper, _ = sweeping(idle_s=2.0)
    swept(reading, 10, clock, sweeper)
    writing, clock, sweeper, _ = sweeping(idle_s=2.0)
    writing.state = "writing"
    swept(writing, 10, clock, sweeper)
    assert (reading.farewell, writing.farewell) == (b"BYE idle for too long\r\n", b"")


def test_whoever_moves_a_byte_in_time_stays() -> None:
    visitor, clock, sweeper, _ = sweeping(idle_s=3.0)
    for _ in range(20):
        assert swept(visitor, 2, clock, sweeper) is None
        visitor.bytes_out += 1


def test_a_busy_handler_is_not_idle_and_starts_to_be_when_it_waits() -> None:
    visitor, clock, sweeper, _ = sweeping(idle_s=3.0)
    visitor.state = "busy"
    assert swept(visitor, 50, clock, sweeper) is None
    visitor.state = "reading"
    assert swept(visitor, 50, clock, sweeper) == 4


def test_a_life_ends_whatever_it_does() -> None:
    visitor, clock, sweeper, _ = sweeping(life_s=10.0, idle_s=1_000.0)
    visitor.state = "busy"
    assert swept(visitor, 50, clock, sweeper) == 10
    assert visitor.ended_because == "life"


def test_the_sweep_counts_who_is_there() -> None:
    visitor, _, sweeper, service = sweeping()
    visitor.bytes_in, visitor.bytes_out = 3, 4
    sweeper.tick()
    tally = service.ledger.tally()  # type: ignore[attr-defined]
    assert (tally.open, tally.bytes_in, tally.bytes_out) == (1, 3, 4)


def test_bytes_are_counted_once_however_often_and_never_taken_back() -> None:
    visitor, _, sweeper, service = sweeping()
    counted = []
    for bytes_in in (3, 10, 7, 12):  # as if a companion's were missing for a moment
        visitor.bytes_in = bytes_in
        sweeper.tick()
        counted.append(service.ledger.tally().bytes_in)  # type: ignore[attr-defined]
    visitor.bytes_in, visitor.age_s = 20, 0.05
    service.closed(visitor, None)
    tally = service.ledger.tally()  # type: ignore[attr-defined]
    assert (counted, tally.bytes_in) == ([3, 10, 10, 12], 20)
    assert (tally.ended_done, tally.lasted_us, tally.lasted_100ms, tally.moved_1k) == (1, 50_000, 1, 1)
