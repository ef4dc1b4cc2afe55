"""Counts what is told as events, by handlers and batteries, into the ledger of a worker's service."""

from __future__ import annotations

from typing import Final

from portside import events
from portside.serve.service import Service
from portside.serve.tally import place

KINDS: Final = (events.HandlerFailed, events.LoginTried, events.FileActed, events.Answered)

_HANDLER_FAILED: Final = place("handler_failed")
_LOGINS: Final = place("logins")
_LOGINS_REFUSED: Final = place("logins_refused")
_FILE_ACTS_FAILED: Final = place("file_acts_failed")
_FILE_ACTS: Final[dict[events.FileAct, int]] = {
    "upload": place("uploads"),
    "append": place("uploads"),
    "download": place("downloads"),
}
_ANSWERS: Final = place("answers_1xx")


def count_events(service: Service) -> None:
    """Count from now on, for the whole life of the process."""

    def count(event: events.Event) -> None:
        counter = place_of(event)
        if counter is not None:
            service.ledger.count(counter)

    events.subscribe(count, *KINDS)


def place_of(event: events.Event) -> int | None:
    """Return the place of the counter that the event is counted by, None for one that is not counted."""
    match event:
        case events.Answered(status=status):
            return _ANSWERS + status // 100 - 1 if 100 <= status <= 599 else None
        case events.FileActed(act=act, failed=failed):
            return _FILE_ACTS.get(act) if failed is None else _FILE_ACTS_FAILED
        case events.LoginTried(refused=refused):
            return _LOGINS if refused is None else _LOGINS_REFUSED
        case events.HandlerFailed():
            return _HANDLER_FAILED
    return None
