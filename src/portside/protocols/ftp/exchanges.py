"""The course of a transfer: what is said when it begins and when it ends, and that nothing of it stays behind."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from portside import events
from portside.accounts.rates import Pacer, Rate
from portside.contracts import Connection
from portside.errors import LocalError, PeerError
from portside.protocols.ftp.data import Way
from portside.protocols.ftp.refusals import reply_to
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.session import Refused, fitted
from portside.protocols.ftp.transfers import Failed, Representation, Transfer
from portside.protocols.ftp.visit import Visit
from portside.storage.contract import StorageError
from portside.storage.failures import storage_error
from portside.units import size_in_words

RECEIVING: Final = frozenset({"STOR", "STOU", "APPE"})


class Exchange(Protocol):
    """What one transfer moves, whichever way, and what follows from how it ends."""

    verb: str
    path: str  # or what was typed
    is_short: bool  # all of it goes out at once, and it takes nobody's turn away

    async def move(self, data: Connection, how: Representation) -> None:
        """Move the bytes over the data connection, to the end of the stream."""

    async def complete(self, data: Connection) -> Reply:
        """Everything has moved: make it last, and return the reply. Raises: Failed, StorageError."""

    async def give_up(self, error: BaseException) -> None:
        """It did not come about, for whatever reason."""

    async def close(self) -> None:
        """Let go of everything, after either of the two."""


async def begin(visit: Visit, exchange: Exchange, opening: str, rates: tuple[Rate, ...]) -> None:
    """Say 150, and have the exchange go on beside the conversation. Raises: Refused.

    A short one whose data connection is there already is over before anybody could say a word to it: it takes its turn
    in the conversation, and says its two replies in one breath.
    """
    session, begun = visit.session, Reply(150, (opening,))
    way: Way | None = None
    try:
        how = Representation(
            is_binary=session.is_binary,
            deflate_level=session.deflate_level if session.is_deflated else None,
            tls=visit.protection,
            pacer=Pacer(visit.network, visit.server.counters, rates),
        )
        way = visit.take_way()
        transfer = Transfer(visit.control, way, f"{exchange.verb} {exchange.path}".rstrip())
        is_at_once = exchange.is_short and how.waits_for_nobody and await way.has_come()
        if not is_at_once:
            # Here, not beside the conversation: what is said to a STAT behind the command must not come before it.
            await visit.say(begun)
            transfer.begin(visit.network.start(_conduct(visit, transfer, exchange, how)))
    except BaseException as error:
        await exchange.give_up(error)
        await exchange.close()
        if way is not None:
            await way.close()
        if isinstance(error, LocalError):  # no thread is left
            raise Refused(451, f"{error}.") from error
        raise
    if is_at_once:
        await _conduct(visit, transfer, exchange, how, begun)
    else:
        visit.transfer = transfer


async def _conduct(visit: Visit, transfer: Transfer, exchange: Exchange, how: Representation, *unsaid: Reply) -> None:
    """A transfer to its last reply. Says that before it closes: some clients read it first."""
    try:
        await visit.say(*unsaid, await _reply_of(visit, transfer, exchange, how))
    except PeerError:  # nobody is there any more to whom it could be said
        raise
    except Exception:  # a bug of ours, which the visit hears of when it waits: the client must not wait as well
        await visit.say(*unsaid, Reply(451, ("Something went wrong here.",)))
        raise
    finally:
        await exchange.close()
        await transfer.close()


async def _reply_of(visit: Visit, transfer: Transfer, exchange: Exchange, how: Representation) -> Reply:
    bounds = visit.server.bounds
    failure: Failed | StorageError

    async def job(data: Connection) -> Reply:
        if not events.listening(events.Spoke):
            await exchange.move(data, how)
        else:
            await _move_and_tell(visit, transfer, exchange, data, how)
        return await exchange.complete(data)

    try:
        return await transfer.carry_out(
            job, how, opens_within_s=bounds.opens_within_s, stalls_after_s=bounds.stalls_after_s
        )
    except (Failed, StorageError) as error:
        failure = error
    except OSError as error:
        failure = storage_error(error, exchange.path)
    except LocalError as error:  # no descriptor is left, or the like
        failure = Failed(451, str(error))
    except BaseException as error:
        await exchange.give_up(error)
        raise
    await exchange.give_up(failure)
    return fitted(reply_to(failure), exchange.verb)


async def _move_and_tell(
    visit: Visit, transfer: Transfer, exchange: Exchange, data: Connection, how: Representation
) -> None:
    """Move the bytes; whoever watches the conversation hears of the data connection, and what went over it."""
    protection = "" if data.tls is None else f", {data.tls.version}"
    visit.tell_of_data("out" if transfer.is_active else "in", f"connect {data.peer} to {data.local}{protection}")
    outcome = " until it broke"
    try:
        await exchange.move(data, how)
        outcome = ""
    finally:
        moved = data.bytes_in + data.bytes_out
        direction: Literal["in", "out"] = "in" if exchange.verb in RECEIVING else "out"
        visit.tell_of_data(direction, f"{transfer.title}: {size_in_words(moved)}{outcome}", moved)


def why(error: BaseException) -> str:
    """Return the sentence for the records."""
    if isinstance(error, Refused):
        return str(error.reply)
    return error.why if isinstance(error, Failed | StorageError) else str(error) or type(error).__name__
