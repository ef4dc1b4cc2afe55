"""How much an account may still store, counted across all processes of the service.

What lies under the account's root is measured by a walk when it is first asked for, and again after ten minutes
without an upload. Uploads in between are added, and whatever takes bytes away has it measured anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from portside.accounts.account import Account
from portside.contracts import Counters

BELIEVED_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Quota:
    """An account's. ``measure`` returns how many bytes lie under its root now."""

    account: Account
    counters: Counters
    measure: Callable[[], Awaitable[int]]

    async def room_bytes(self) -> int | None:
        """Return how many bytes the account may add, not below 0; None where nothing bounds it."""
        quota_bytes = self.account.quota_bytes
        if quota_bytes is None:
            return None
        used_bytes = self.counters.value(self._key) - 1  # 0 is for those that nobody has measured
        if used_bytes < 0:
            used_bytes = await self._measure()
        return max(0, quota_bytes - used_bytes)

    async def take(self, received_bytes: int, replaced_bytes: int) -> bool:
        """Count what an upload adds before it is committed; False if the account may not have so much.

        Others may have ended meanwhile, who were told of the same room.
        """
        quota_bytes = self.account.quota_bytes
        if quota_bytes is None:
            return True
        if not self.counters.value(self._key):
            used_bytes = await self.measure() - replaced_bytes  # what was received is beneath the root already
            if self._begin_count(used_bytes):
                return used_bytes <= quota_bytes or received_bytes <= replaced_bytes
        used_bytes = self.counters.add(self._key, received_bytes - replaced_bytes, lasts_s=BELIEVED_S) - 1
        return used_bytes <= quota_bytes or received_bytes <= replaced_bytes

    async def _measure(self) -> int:
        used_bytes = await self.measure()
        if self._begin_count(used_bytes):
            return used_bytes
        return max(0, self.counters.value(self._key) - 1)

    def _begin_count(self, used_bytes: int) -> bool:
        """Count from what was measured; False if somebody has begun to count meanwhile, and perhaps taken already."""
        count = self.counters.add(self._key, used_bytes + 1, lasts_s=BELIEVED_S)
        if count == used_bytes + 1:
            return True
        if self.counters.add(self._key, -used_bytes - 1, lasts_s=BELIEVED_S) <= 0:
            self.counters.forget(self._key)  # and somebody has had it forgotten: the next one measures
        return False

    def forget(self) -> None:
        """Have it measured anew: something was taken away, and nobody has looked how much."""
        if self.account.quota_bytes is not None:
            self.counters.forget(self._key)

    @property
    def _key(self) -> str:
        return f"quota {self.account.name}"
