"""How much an account may still store, counted across all processes of the service.

What lies under the account's root is measured by a walk when it is first asked for, and again after ten minutes
without an upload. Uploads in between are added, and whatever takes bytes away has it measured anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portside.protocols.ftp.visit import Visit

BELIEVED_S: Final = 600.0


async def room_bytes(visit: Visit) -> int | None:
    """Return how many bytes the account may add, not below 0; None where nothing bounds it."""
    quota_bytes = visit.account.quota_bytes
    if quota_bytes is None:
        return None
    used_bytes = visit.server.counters.value(_key(visit)) - 1  # 0 is for those that nobody has measured
    if used_bytes < 0:
        used_bytes = await _measure(visit)
    return max(0, quota_bytes - used_bytes)


async def take_room(visit: Visit, received_bytes: int, replaced_bytes: int) -> bool:
    """Count what an upload adds before it is committed; False if the account may not have so much.

    Others may have ended meanwhile, who were told of the same room.
    """
    quota_bytes, counters = visit.account.quota_bytes, visit.server.counters
    if quota_bytes is None:
        return True
    if counters.value(_key(visit)):
        used_bytes = counters.add(_key(visit), received_bytes - replaced_bytes, lasts_s=BELIEVED_S) - 1
    else:
        used_bytes = await _measure(visit) - replaced_bytes  # what was received is beneath the root already
    return used_bytes <= quota_bytes or received_bytes <= replaced_bytes


async def _measure(visit: Visit) -> int:
    counters = visit.server.counters
    used_bytes = await visit.run_blocking(visit.storage.usage_bytes)
    counters.forget(_key(visit))
    counters.add(_key(visit), used_bytes + 1, lasts_s=BELIEVED_S)
    return used_bytes


def forget_usage(visit: Visit) -> None:
    """Have it measured anew: something was taken away, and nobody has looked how much."""
    if visit.account.quota_bytes is not None:
        visit.server.counters.forget(_key(visit))


def _key(visit: Visit) -> str:
    return f"quota {visit.account.name}"
