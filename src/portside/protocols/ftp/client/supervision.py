"""Watching over work that has no timeout of its own: a handshake, a file that the kernel copies.

The work goes on beside whoever watches it (``Network.start``). It is looked at now and then, and counts as stuck when
no byte has moved for a while; then its connection is taken away, and it ends with that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from portside.contracts import Network, Work
from portside.errors import PortsideError

PAUSE_S_MIN: Final = 0.001
PAUSE_S_MAX: Final = 0.05  # nobody notices that the end of something longer is noticed so much later


async def until_done(work: Work, network: Network, look: Callable[[], None]) -> None:
    """Return when the work is over, whatever came of it. ``look`` is called meanwhile, and ends the waiting by raising.

    It is for what is nearly over: the pauses between two looks grow from nothing.
    """
    pause_s = 0.0
    while not work.done:
        look()
        await network.sleep(pause_s)
        pause_s = min(max(2 * pause_s, PAUSE_S_MIN), PAUSE_S_MAX)


async def guarded(
    act: Coroutine[Any, Any, None],
    network: Network,
    stop: Callable[[], Awaitable[None]],
    *,
    timeout_s: float,
    what: str,
) -> None:
    """Carry out something within so many seconds; if it takes longer, or nobody waits any more, ``stop`` must end it.

    Raises: TimeoutError, with ``what`` there was none of; what the act raises.
    """
    give_up_s = network.now_s() + timeout_s

    def look() -> None:
        if network.now_s() >= give_up_s:
            raise TimeoutError(f"no {what} within {timeout_s:g} s")

    work = network.start(act)
    try:
        await until_done(work, network, look)
    except BaseException:
        await stop()
        with contextlib.suppress(PortsideError, OSError):
            await work.wait()
        raise
    await work.wait()
