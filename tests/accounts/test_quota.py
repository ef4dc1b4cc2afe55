"""What an account may still store, counted while others measure, store and take away."""

from __future__ import annotations

import asyncio

from portside.accounts.account import Account
from portside.accounts.counters import LocalCounters
from portside.accounts.quota import Quota


class Disk:
    """What lies under a root; a measurement lasts until it is let go, and tells what lay there when it began."""

    def __init__(self) -> None:
        self.stored_bytes = 0
        self.measured = 0
        self.held: list[asyncio.Event] = []

    async def measure(self) -> int:
        self.measured += 1
        found = self.stored_bytes
        if self.held:
            await self.held.pop(0).wait()
        return found


def quota_of(disk: Disk, quota_bytes: int = 100) -> Quota:
    return Quota(Account("anna", quota_bytes=quota_bytes), LocalCounters(clock=lambda: 0.0), disk.measure)


def test_a_late_measurement_does_not_undo_what_was_taken_meanwhile() -> None:
    async def story() -> None:
        disk = Disk()
        quota = quota_of(disk)
        late = asyncio.Event()
        disk.held = [late]
        slow = asyncio.ensure_future(quota.room_bytes())
        await asyncio.sleep(0)
        assert await quota.room_bytes() == 100
        assert await quota.take(60, 0)
        late.set()
        assert await slow == 40
        assert not await quota.take(60, 0)

    asyncio.run(story())


def test_of_uploads_that_nobody_has_measured_before_as_many_come_about_as_there_is_room_for() -> None:
    async def story() -> None:
        disk = Disk()
        quota = quota_of(disk)
        first, second = asyncio.Event(), asyncio.Event()
        disk.held = [first, second]
        disk.stored_bytes = 60  # the first one's bytes lie there already, under a hidden name
        one = asyncio.ensure_future(quota.take(60, 0))
        await asyncio.sleep(0)
        other = asyncio.ensure_future(quota.take(60, 0))
        await asyncio.sleep(0)
        first.set()
        assert await one
        second.set()
        assert not await other

    asyncio.run(story())


def test_what_was_forgotten_is_measured_anew_and_counted_from_there() -> None:
    async def story() -> None:
        disk = Disk()
        quota = quota_of(disk)
        assert await quota.room_bytes() == 100
        assert await quota.take(30, 0)
        quota.forget()
        disk.stored_bytes = 10
        assert await quota.room_bytes() == 90
        assert await quota.take(60, 10)
        assert await quota.room_bytes() == 40
        assert disk.measured == 2

    asyncio.run(story())
