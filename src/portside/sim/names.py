"""Names of hosts to addresses and back, for one host: its own file of names, then servers that it asks.

As glibc with ``hosts: files dns`` in nsswitch.conf(5): what the file has, no server is asked for; nothing is kept.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from portside.sim.addresses import from_ip, is_v4
from portside.sim.clock import Scheduler
from portside.sim.nameserver.asking import Answers
from portside.sim.nameserver.keys import reverse_name
from portside.sim.nameserver.preference import preferred
from portside.sim.nameserver.stub import StubQuery, StubSettings, records_of
from portside.sim.nameserver.zone import TYPE_A, TYPE_AAAA
from portside.wire.dns import NO_ERROR, NO_SUCH_NAME
from portside.wire.dns_records import AAAA, PTR, A

_TYPE_PTR: Final = 12
_KINDS: Final = {socket.AF_INET: (TYPE_A,), socket.AF_INET6: (TYPE_AAAA,)}
_WORDS: Final = {
    socket.EAI_NONAME: "Name or service not known",
    socket.EAI_NODATA: "No address associated with hostname",
    socket.EAI_AGAIN: "Temporary failure in name resolution",
    socket.EAI_FAIL: "Non-recoverable failure in name resolution",
}


class NameFailure(socket.gaierror):
    """A name was not found; ``errno`` is a number of EAI_*."""


def _failure(number: int) -> NameFailure:
    return NameFailure(number, _WORDS[number])


class Names:
    """See ``seams.Names``. ``hosts`` has the addresses of each name; it is shared, and may grow.

    ``settings`` is what resolv.conf has, if more is to be said than ``servers``.
    """

    def __init__(  # noqa: PLR0917 -- the host it is for, and its two files
        self,
        stack: Any,
        scheduler: Scheduler,
        chance: Random,
        hosts: Mapping[str, list[int]],
        servers: tuple[int, ...] = (),
        settings: StubSettings | None = None,
    ) -> None:
        self._stack = stack
        self._scheduler = scheduler
        self._chance = chance
        self._hosts = hosts
        self._settings = settings or StubSettings(servers)

    def look_up(self, host: str, family: int, done: Callable[[list[int] | OSError], object]) -> None:
        """Find the addresses of a name, in the order to try them."""
        found = [
            address
            for address in self._hosts.get(host.rstrip(".").lower(), ())
            if family == socket.AF_UNSPEC or is_v4(address) == (family == socket.AF_INET)
        ]
        if found:
            self._scheduler.soon(done, preferred(found, self._stack))
            return
        try:
            candidates = self._settings.candidates(host) if self._settings.servers else []
        except ValueError:
            candidates = []
        if not candidates:
            self._scheduler.soon(done, _failure(socket.EAI_NONAME))
            return
        kinds = _KINDS.get(socket.AddressFamily(family), (TYPE_A, TYPE_AAAA))
        _Search(self._query, candidates, kinds, lambda answer: done(self._ordered(answer)))

    def reverse(self, address: int, done: Callable[[str | OSError], object]) -> None:
        """Find the name of an address."""
        found = next((name for name, addresses in self._hosts.items() if address in addresses), None)
        if found is not None or not self._settings.servers:
            self._scheduler.soon(done, found or _failure(socket.EAI_NONAME))
        else:
            self._query(reverse_name(address), (_TYPE_PTR,), lambda answers: done(_name_in(answers)))

    def _query(self, name: str, kinds: tuple[int, ...], done: Callable[[Answers], object]) -> None:
        StubQuery(self._stack, self._chance, self._settings, name, kinds, done)

    def _ordered(self, answer: list[int] | OSError) -> list[int] | OSError:
        return answer if isinstance(answer, OSError) else preferred(answer, self._stack)


class _Search:
    """Goes through the names to ask for until one has addresses: resolv.conf(5), ``search``."""

    def __init__(
        self,
        query: Callable[[str, tuple[int, ...], Callable[[Answers], object]], None],
        candidates: list[str],
        kinds: tuple[int, ...],
        done: Callable[[list[int] | OSError], object],
    ) -> None:
        self._query = query
        self._candidates = candidates
        self._kinds = kinds
        self._done = done
        self._worst = socket.EAI_NONAME
        self._next()

    def _next(self) -> None:
        self._query(self._candidates.pop(0), self._kinds, self._heard)

    def _heard(self, answers: Answers) -> None:
        found = _addresses_in(answers, self._kinds)
        if found:
            self._done(found)
            return
        number = _number_of(answers)
        if number != socket.EAI_NONAME and self._worst != socket.EAI_AGAIN:
            self._worst = number
        if self._candidates and number != socket.EAI_FAIL:
            self._next()
        else:
            self._done(_failure(self._worst))


def _addresses_in(answers: Answers, kinds: tuple[int, ...]) -> list[int]:
    found: dict[int, None] = {}
    for answer, kind in zip(answers, kinds, strict=True):
        for record in () if answer is None else records_of(answer, kind):
            if isinstance(record.data, A | AAAA):
                found[from_ip(record.data.address)] = None
    return list(found)


def _number_of(answers: Answers) -> int:
    """Return the number of EAI_* for answers without an address."""
    rcodes = [None if answer is None else answer.rcode for answer in answers]
    if None in rcodes:
        return socket.EAI_AGAIN  # nobody answered, or nobody could
    if NO_SUCH_NAME in rcodes:
        return socket.EAI_NONAME
    return socket.EAI_NODATA if NO_ERROR in rcodes else socket.EAI_FAIL


def _name_in(answers: Answers) -> str | OSError:
    (answer,) = answers
    records = [] if answer is None else records_of(answer, _TYPE_PTR)
    names = [record.data.target.rstrip(".") for record in records if isinstance(record.data, PTR)]
    return names[0] if names else _failure(socket.EAI_AGAIN if answer is None else socket.EAI_NONAME)
