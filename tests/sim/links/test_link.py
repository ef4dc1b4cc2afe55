"""Links: exact times, queues that fill, and mishaps as often as they were asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from portside.errors import MalformedMessage, UsageError
from portside.sim.addresses import to_int
from portside.sim.clock import MICROSECOND, MILLISECOND, SECOND, Scheduler
from portside.sim.encoding import decode, open_packet
from portside.sim.frame import AnyFrame, OpaqueFrame, RawFrame, UdpFrame
from portside.sim.impairments import LinkSettings
from portside.sim.link import Fate, Line, Link
from portside.sim.port import Port
from portside.sim.rules import Rule, alter, delay, drop, let_pass

A, B = to_int("10.0.0.1"), to_int("10.0.0.2")


def datagram(number: int = 0, size: int = 100) -> UdpFrame:
    """Return a frame of so many bytes."""
    return UdpFrame(A, number, B, 9, bytes(size - 42))


class Cable:
    """A link, and who heard what at its far end, when."""

    def __init__(self, seed: int = 1, **settings: object) -> None:
        self.scheduler = Scheduler()
        self.heard: list[tuple[int, AnyFrame]] = []
        self.near = Port("near", 1, lambda frame: None)
        self.far = Port("far", 2, lambda frame: self.heard.append((self.scheduler.now, frame)))
        wanted = LinkSettings.of(**settings)
        self.link = Link("cable", self.scheduler, seed, (self.near, self.far), (wanted, wanted))
        self.line: Line = self.link.there

    def send(self, count: int, size: int = 100, every_ns: int = 0) -> list[tuple[int, AnyFrame]]:
        for number in range(count):
            frame = datagram(number, size)
            self.scheduler.at(self.scheduler.now + number * every_ns, self.near_send, frame)
        self.scheduler.run()
        return self.heard

    def near_send(self, frame: AnyFrame) -> None:
        self.near.send(frame)

    @property
    def times(self) -> list[int]:
        return [time_ns for time_ns, _ in self.heard]

    @property
    def numbers(self) -> list[int]:
        return [frame.source_port for _, frame in self.heard if isinstance(frame, UdpFrame)]


def test_an_ideal_link_only_takes_time() -> None:
    cable = Cable(delay="20ms")
    cable.send(3)
    assert cable.times == [20 * MILLISECOND] * 3
    assert cable.line.counts() == (3, 300, 0, 0)


def test_a_frame_takes_its_bits_over_the_rate_and_the_distance() -> None:
    cable = Cable(rate="1Mbit/s", delay="5ms")
    cable.send(3, size=1_250)  # 10,000 bits: 10 ms each
    assert cable.times == [15 * MILLISECOND, 25 * MILLISECOND, 35 * MILLISECOND]


def test_a_part_of_a_nanosecond_is_one() -> None:
    cable = Cable(rate=3 * SECOND)  # 800 bits at three a nanosecond
    cable.send(1)
    assert cable.times == [267]


def test_a_full_queue_drops_what_comes_last() -> None:
    cable = Cable(rate="1Mbit/s", queue_frames=2)
    cable.send(5)
    assert cable.numbers == [0, 1, 2]  # one on the wire, two in the queue
    assert cable.line.dropped == 2
    cable = Cable(rate="1Mbit/s", queue_frames=None, queue_bytes=250)
    cable.send(5)
    assert cable.numbers == [0, 1, 2]


def test_the_queue_can_be_read() -> None:
    cable = Cable(rate="800kbit/s")  # 1 ms a frame
    for number in range(4):
        cable.near.send(datagram(number))
    assert cable.line.queued() == (3, 300)
    cable.scheduler.run(1_500_000)
    assert cable.line.queued() == (2, 200)
    cable.scheduler.run()
    assert cable.line.queued() == (0, 0)


def test_directions_are_independent() -> None:
    cable = Cable(delay="1ms")
    cable.link.back.change(delay="7ms", loss=1)
    heard_back: list[AnyFrame] = []
    cable.near.receive_with(heard_back.append)
    cable.far.send(datagram())
    cable.send(1)
    assert cable.times == [MILLISECOND]
    assert heard_back == []


def test_loss_is_as_often_as_it_was_asked_for_and_alone() -> None:
    cable = Cable(loss="10%")
    cable.send(50_000, size=42)
    missing = set(range(50_000)) - set(cable.numbers)
    assert len(missing) == pytest.approx(5_000, rel=0.05)
    assert sum(number + 1 in missing for number in missing) == pytest.approx(500, rel=0.2)


def test_bursts_lose_as_much_in_the_long_run_but_together() -> None:
    cable = Cable(loss="10%", burst=5)
    cable.send(50_000, size=42)
    missing = sorted(set(range(50_000)) - set(cable.numbers))
    bursts = 1 + sum(later - earlier > 1 for earlier, later in pairwise(missing))
    assert len(missing) == pytest.approx(5_000, rel=0.1)
    assert len(missing) / bursts == pytest.approx(5, rel=0.1)


def test_jitter_does_not_let_frames_overtake_one_another() -> None:
    cable = Cable(delay="10ms", jitter="5ms")
    cable.send(1_000, every_ns=100 * MICROSECOND)
    assert cable.numbers == list(range(1_000))
    late = [time_ns - number * 100 * MICROSECOND for number, time_ns in enumerate(cable.times)]
    assert min(late) >= 10 * MILLISECOND
    assert max(late) <= 15 * MILLISECOND
    assert len(set(late)) > 100


def test_reordering_holds_some_frames_back() -> None:
    cable = Cable(reorder="10%", reorder_delay="1ms")
    cable.send(10_000, size=42, every_ns=100 * MICROSECOND)
    assert sorted(cable.numbers) == list(range(10_000))
    overtaken = sum(later < earlier for earlier, later in pairwise(cable.numbers))
    assert overtaken == pytest.approx(1_000, rel=0.2)


def test_duplicates_come_twice() -> None:
    cable = Cable(duplicate="10%")
    cable.send(10_000, size=42)
    assert len(cable.heard) == pytest.approx(11_000, rel=0.02)
    assert sorted(set(cable.numbers)) == list(range(10_000))


def test_every_flipped_bit_is_noticed_by_a_checksum_or_makes_it_another_frame() -> None:
    cable = Cable(corrupt=1)
    cable.send(2_000)
    unnoticed = 0
    for _, frame in cable.heard:
        assert isinstance(frame, RawFrame)
        try:
            opened = decode(frame.data)
            if isinstance(opened, OpaqueFrame):
                open_packet(opened)
                unnoticed += 1
        except MalformedMessage:
            continue
    assert unnoticed == 0


def test_what_one_mishap_draws_is_nothing_to_another() -> None:
    alone, both = Cable(loss="10%"), Cable(loss="10%", duplicate="50%", jitter="1ms")
    alone.send(1_000)
    both.send(1_000)
    assert sorted(set(both.numbers)) == alone.numbers


def test_the_same_seed_gives_the_same_and_another_gives_another() -> None:
    one, same, other = Cable(3, loss="10%"), Cable(3, loss="10%"), Cable(4, loss="10%")
    for cable in (one, same, other):
        cable.send(200)
    assert one.numbers == same.numbers != other.numbers


def test_a_link_that_is_down_carries_nothing_until_it_is_up() -> None:
    cable = Cable(delay="1ms")
    cable.near.send(datagram(1))
    cable.link.down()
    cable.near.send(datagram(2))
    cable.link.up()
    cable.near.send(datagram(3))
    cable.scheduler.run()
    assert cable.numbers == [1, 3]


def test_settings_change_while_frames_are_on_their_way() -> None:
    cable = Cable(delay="10ms")
    cable.near.send(datagram(1))
    cable.link.change(delay="1ms", loss="50%")
    cable.link.change(loss=0)
    cable.near.send(datagram(2))
    cable.scheduler.run()
    assert list(zip(cable.numbers, cable.times, strict=True)) == [(2, MILLISECOND), (1, 10 * MILLISECOND)]


def test_rules_choose_frames_by_what_they_are() -> None:
    cable = Cable(delay="1ms", loss=1)
    odd = cable.line.add(Rule(lambda frame: frame.source_port % 2, drop))
    cable.line.add(Rule(lambda frame: frame.source_port == 4, delay(5 * MILLISECOND)))
    cable.line.add(Rule(lambda frame: frame.source_port == 6, alter(lambda frame: datagram(60))))
    cable.line.add(Rule(lambda frame: True, let_pass, count=2))
    cable.send(10)
    assert cable.numbers == [0, 2, 60, 4]
    cable.line.remove(odd)
    cable.line.change(loss=0)
    cable.heard.clear()
    cable.send(2)
    assert cable.numbers == [0, 1]


def test_the_third_of_a_kind_can_be_lost_and_no_other() -> None:
    cable = Cable()
    cable.line.add(Rule(lambda frame: frame.source_port % 2 == 0, drop, first=2, count=1))
    cable.send(10)
    assert cable.numbers == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_watchers_are_told_what_becomes_of_each_frame() -> None:
    cable = Cable(rate="1Mbit/s", delay="1ms", queue_frames=1, loss="50%")
    told: list[tuple[int, Fate, int, int]] = []
    cable.line.watch(lambda line, frame, fate, *times: told.append((frame.source_port, fate, *times)))
    cable.send(3, size=125)
    assert {number: times for number, fate, *times in told if fate != "dropped"} == {
        0: [0, 2 * MILLISECOND],
        1: [MILLISECOND, 3 * MILLISECOND],
    }
    assert (2, "dropped", 0, 0) in told
    assert {number for number, fate, *_ in told if fate == "delivered"} == set(cable.numbers)


# ── CoDel: RFC 8289 ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_codel_leaves_a_short_queue_alone() -> None:
    cable = Cable(rate="10Mbit/s", queue="codel")
    cable.send(1_000, size=1_250, every_ns=MILLISECOND)
    assert cable.numbers == list(range(1_000))


def test_codel_drops_sooner_and_sooner_while_the_queue_stands() -> None:
    cable = Cable(rate="10Mbit/s", queue="codel", queue_frames=None)
    dropped: list[int] = []
    cable.line.watch(lambda line, frame, fate, *_: dropped.append(cable.scheduler.now) if fate == "dropped" else None)
    cable.send(4_000, size=1_250, every_ns=MILLISECOND * 9 // 10)  # a ninth too many
    assert len(dropped) > 10
    gaps = [later - earlier for earlier, later in pairwise(dropped)]
    for number, gap in enumerate(gaps[:8], 1):  # section 5.3: interval over the root of how many were dropped
        assert gap == pytest.approx(100 * MILLISECOND / (number) ** 0.5, abs=2 * MILLISECOND)


def test_codel_keeps_the_wait_near_its_target() -> None:
    waits = {}
    for queue in ("drop-tail", "codel"):
        cable = Cable(rate="10Mbit/s", queue=queue, queue_frames=1_000)
        cable.send(20_000, size=1_250, every_ns=MILLISECOND * 99 // 100)
        waits[queue] = cable.times[-1] - cable.heard[-1][1].source_port * (MILLISECOND * 99 // 100)
    assert waits["codel"] < 30 * MILLISECOND < waits["drop-tail"]


# ── as people write them ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rate": "10MB"}, "a byte has 8 bits"),
        ({"delay": "5 parsecs"}, "there is no unit 'parsecs'"),
        ({"loss": "120%"}, "between 0 and 1"),
        ({"los": 0.1}, "a link has no 'los'"),
        ({"burst": 0.5}, "one frame long at least"),
        ({"queue": "red"}, "drop-tail or codel"),
        ({"rate": "0bit/s"}, "one that is down"),
    ],
)
def test_mistakes_are_told(settings: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        LinkSettings.of(**settings)


def test_quantities_are_read() -> None:
    settings = LinkSettings.of(rate="1.5Mbit/s", delay="250us", jitter=0.001, loss="2.5%", queue_bytes="64KiB")
    assert (settings.rate, settings.delay_ns, settings.jitter_ns) == (1_500_000, 250_000, 1_000_000)
    assert (settings.loss, settings.queue_bytes) == (0.025, 65_536)
