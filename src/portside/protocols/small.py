"""The small services of 1983: echo, discard, daytime, chargen and time, each over TCP and UDP.

Source: RFC 862 (echo), 863 (discard), 864 (chargen), 867 (daytime), 868 (time).

Over UDP the runtime drops an answer that is longer than its question unless ``--amplify`` is on, so that nobody's
address can be flooded through us; chargen cuts its answer to fit, daytime and time have nothing to cut.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeAlias

from portside.contracts import Battery, Connection, Message
from portside.protocols.telling import teller

Clock: TypeAlias = Callable[[], float]
"""Gives seconds since 1970-01-01 00:00 UTC, as ``time.time`` does; a test gives its own."""


# ── echo and discard ─────────────────────────────────────────────────────────────────────────────────────────────────


async def echo(visitor: Connection) -> None:
    """Send back what comes, until the end. Source: RFC 862."""
    async for data in visitor:
        await visitor.write(data)


async def echo_datagram(message: Message) -> None:
    """Send the datagram back as it came. Source: RFC 862."""
    await message.reply(message.data)


async def discard(visitor: Connection) -> None:
    """Read and throw away, until the end. Source: RFC 863."""
    async for _ in visitor:
        pass


async def discard_datagram(message: Message) -> None:
    """Throw the datagram away, without an answer. Source: RFC 863."""


def echo_battery() -> Battery:
    return Battery("echo", stream=echo, datagram=echo_datagram, port=7)


def discard_battery() -> Battery:
    return Battery("discard", stream=discard, datagram=discard_datagram, port=9)


# ── chargen ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_RING: Final = bytes(range(0x20, 0x7F))  # the 95 printing characters of ASCII, in their order
_LINE_CHARACTERS: Final = 72
CHARGEN_DATAGRAM_BYTES_MAX: Final = 512  # RFC 864: a random number of characters between 0 and 512


def build_chargen_line(number: int) -> bytes:
    """Return line ``number`` of the rotating pattern: characters N to N + 71 of the ring, then CR LF. RFC 864."""
    first = number % len(_RING)
    return (_RING + _RING)[first : first + _LINE_CHARACTERS] + b"\r\n"


CHARGEN_PATTERN: Final = b"".join(build_chargen_line(number) for number in range(len(_RING)))
"""The 95 different lines, 7,030 bytes; line 95 is line 0 again."""

_CHARGEN_BLOCK: Final = CHARGEN_PATTERN * 9  # about 64 KB: few calls for many bytes, and it ends where it began


async def chargen(visitor: Connection) -> None:
    """Send the pattern until the caller breaks the connection, and throw away what comes. Source: RFC 864.

    A caller that only half-closes still wants to read: `` </dev/null nc host 19`` gets its characters.
    """
    listening = True
    while True:
        await visitor.write(_CHARGEN_BLOCK)
        if listening:
            listening = await _throw_away(visitor)
        # A reader as fast as we are never makes a write wait; the others on the loop want their turn too.
        await visitor.network.sleep(0)


async def _throw_away(visitor: Connection) -> bool:
    """Read what has come already. Returns False at the end of the stream."""
    try:
        return bool(await visitor.read(timeout_s=0))
    except TimeoutError:
        return True


def chargen_battery(amplify: bool = False, count: Callable[[], int] | None = None) -> Battery:
    """Return the chargen battery.

    A datagram is answered by as many characters as the question has bytes, at most 512. With ``amplify`` there are as
    many as ``count`` says; its default is the RFC's: any number from 0 to 512.
    """

    def any_count() -> int:
        return random.randint(0, CHARGEN_DATAGRAM_BYTES_MAX)

    choose = count or any_count

    async def chargen_datagram(message: Message) -> None:
        wanted = choose() if amplify else min(len(message.data), CHARGEN_DATAGRAM_BYTES_MAX)
        await message.reply(CHARGEN_PATTERN[:wanted])

    return Battery("chargen", stream=chargen, datagram=chargen_datagram, port=19)


# ── daytime ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# Not strftime: %A and %B follow the locale, and the RFC asks for ASCII.
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def build_daytime(now_s: float) -> bytes:
    """Return the date and time in UTC as one line in the RFC's first form.

    Shape:  ``Weekday, Month Day, Year Time-Zone`` and CR LF: ``Monday, February 22, 1982 17:37:43-UTC``.
    Source: RFC 867.
    """
    now = datetime.fromtimestamp(now_s, UTC)
    date = f"{_DAYS[now.weekday()]}, {_MONTHS[now.month - 1]} {now.day}, {now.year}"
    return f"{date} {now.hour:02}:{now.minute:02}:{now.second:02}-UTC\r\n".encode("ascii")


def daytime_battery(clock: Clock = time.time, service: str = "daytime") -> Battery:
    tell = teller(service)

    async def daytime(visitor: Connection) -> None:
        answer = build_daytime(clock())
        tell(visitor, "out", answer)
        await visitor.write(answer)

    async def daytime_datagram(message: Message) -> None:
        await message.reply(build_daytime(clock()))

    return Battery("daytime", stream=daytime, datagram=daytime_datagram, port=13, speaks=True)


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

SECONDS_FROM_1900_TO_1970: Final = (
    2_208_988_800  # RFC 868: "the time 2,208,988,800 corresponds to 00:00 1 Jan 1970 GMT"
)


def build_time(now_s: float) -> bytes:
    """Return the seconds since 1900-01-01 00:00 UTC as 32 bits in network order.

    The number starts again at 0 on 2036-02-07 at 06:28:16 UTC, as the RFC foresees ("this base will serve until the
    year 2036"): readers take the era nearest to what they know.
    Source: RFC 868.
    """
    return ((int(now_s // 1) + SECONDS_FROM_1900_TO_1970) % 2**32).to_bytes(4, "big")


def time_battery(clock: Clock = time.time) -> Battery:
    async def tell_time(visitor: Connection) -> None:
        await visitor.write(build_time(clock()))

    async def tell_time_datagram(message: Message) -> None:
        await message.reply(build_time(clock()))

    return Battery("time", stream=tell_time, datagram=tell_time_datagram, port=37)
