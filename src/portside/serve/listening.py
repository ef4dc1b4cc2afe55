"""The sockets of a server: opened once, kept by the supervisor, and handed to workers as these come and go.

Nothing that waits in a socket's queue is lost with a worker, because no socket is closed while its endpoint is asked
for. A reload asks anew; what is asked for again stays as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from portside.address import Endpoint
from portside.errors import AddressNotAvailable, NameNotFound
from portside.net.sockets import Bound, bind, give_to, open_slot, prepare_stream, remove_path
from portside.serve.settings import MODELS_WITH_WORKERS, ServiceSettings

Key = tuple[object, ...]


def key_of(endpoint: Endpoint) -> Key:
    """Return what makes two endpoints the same socket: not their options, nor whether TLS is spoken on it."""
    scheme = "tcp" if endpoint.scheme == "tls" else endpoint.scheme
    return (scheme, endpoint.host, endpoint.port, endpoint.path, endpoint.fd, endpoint.name)


class Listening:
    """The sockets of one endpoint: those that ``bind`` gave, and as many more of each as there are worker slots."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Bind it. Raises: LocalError."""
        self.asked = endpoint
        try:
            self.bounds = bind(endpoint)
        except NameNotFound as error:  # whose name it is, we cannot be there
            raise AddressNotAvailable(f"{endpoint}: {error}") from error
        self._slots: list[list[Bound]] = [self.bounds]

    def open_slots(self, count: int) -> None:
        """Have at least so many sockets on each address. Raises: LocalError."""
        while len(self._slots) < count:
            self._slots.append([open_slot(bound) for bound in self.bounds])

    def refit(self, endpoint: Endpoint) -> None:
        """Take over what may change while the socket stays: the options, the mode, whether TLS is spoken."""
        if endpoint == self.asked:
            return
        self.asked = endpoint
        for slot, bounds in enumerate(self._slots):
            self._slots[slot] = [_refitted(bound, endpoint) for bound in bounds]
        self.bounds = self._slots[0]

    def for_slot(self, slot: int, slots: int) -> list[Bound]:
        """Return the sockets of one worker slot among ``slots``. Every socket is somebody's: none is left unserved."""
        return [bound for number, bounds in enumerate(self._slots) if number % slots == slot for bound in bounds]

    def all(self) -> Iterator[Bound]:
        for bounds in self._slots:
            yield from bounds

    def give_to(self, user_id: int) -> None:
        for bound in self.all():
            if bound.endpoint.is_internet:
                give_to(bound, user_id)
            elif bound.made_file is not None:
                with suppress(OSError):
                    os.chown(bound.endpoint.path, user_id, -1)

    def close(self) -> None:
        for bound in self.all():
            remove_path(bound)
            bound.socket.close()


def told_as(bound: Bound, asked: Endpoint) -> Bound:
    """Return the socket with what is asked of it: TLS may come and go on the same port."""
    scheme = asked.scheme if asked.is_internet else bound.endpoint.scheme
    return replace(bound, endpoint=replace(bound.endpoint, scheme=scheme, options=asked.options, mode=asked.mode))


def _refitted(bound: Bound, asked: Endpoint) -> Bound:
    bound = told_as(bound, asked)
    endpoint = bound.endpoint
    with suppress(OSError):  # what it serves, it goes on serving
        if not endpoint.is_datagram:
            prepare_stream(bound.socket, asked.options)
            bound.socket.listen(asked.options.backlog)  # on a socket that listens already: only the backlog changes
        if bound.made_file is not None and asked.mode is not None:
            os.chmod(endpoint.path, asked.mode)
    return bound


SHARED_BY_ALL: Final = "prefork"  # its workers are a pool on the same sockets


def slots_of(settings: ServiceSettings) -> int:
    """Return how many workers the service has."""
    if settings.model == SHARED_BY_ALL:
        return settings.pool
    return settings.workers if settings.model in MODELS_WITH_WORKERS else 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Which sockets each service will have once its workers are ready, and which of them are new."""

    by_service: dict[str, list[Listening]]
    new: list[Listening]

    def bounds(self, settings: ServiceSettings, slot: int) -> tuple[Bound, ...]:
        """Return the sockets of one of the service's worker slots."""
        # A pool shares; so do slots of their own where one service asks for several endpoints.
        slots = 1 if settings.model == SHARED_BY_ALL else slots_of(settings)
        mine = 0 if slots == 1 else slot
        return tuple(
            told_as(bound, asked)
            for listening, asked in zip(self.by_service[settings.name], settings.listen, strict=True)
            for bound in listening.for_slot(mine, slots)
        )

    def endpoints(self, settings: ServiceSettings, *, only_new: bool = False) -> list[Endpoint]:
        """Return the service's endpoints as they came to be, all or those that nobody had before."""
        return [
            told_as(bound, asked).endpoint
            for listening, asked in zip(self.by_service[settings.name], settings.listen, strict=True)
            if not only_new or any(listening is new for new in self.new)
            for bound in listening.bounds
        ]

    def refit(self, services: Iterable[ServiceSettings]) -> None:
        """Give the sockets what the services ask of them, now that nobody asks for the old any more."""
        for settings in services:
            for listening, asked in zip(self.by_service[settings.name], settings.listen, strict=True):
                listening.refit(asked)

    def all(self) -> Iterator[Listening]:
        for listenings in self.by_service.values():
            yield from listenings


NOTHING: Final = Plan({}, [])


def plan(services: Sequence[ServiceSettings], present: Plan = NOTHING) -> Plan:
    """Return the sockets for the services, those present reused where their endpoint is asked for again.

    A service keeps its own first (port 0 is asked for by many), then takes over what another one gives up.
    Raises: LocalError; whatever was bound on the way is closed again.
    """
    spare = {name: list(listenings) for name, listenings in present.by_service.items()}
    found: dict[tuple[str, int], Listening] = {}
    for keep_own in (True, False):
        for settings in services:
            for index, endpoint in enumerate(settings.listen):
                place = (settings.name, index)
                if place not in found:
                    owners = [settings.name] if keep_own else list(spare)
                    listening = _take(spare, owners, endpoint)
                    if listening is not None:
                        found[place] = listening
    new: list[Listening] = []
    try:
        by_service = {}
        for settings in services:
            listenings = []
            for index, endpoint in enumerate(settings.listen):
                listening = found.get((settings.name, index))
                if listening is None:
                    listening = Listening(endpoint)
                    new.append(listening)
                if settings.model != SHARED_BY_ALL:
                    listening.open_slots(slots_of(settings))
                listenings.append(listening)
            by_service[settings.name] = listenings
    except BaseException:
        close(new)
        raise
    return Plan(by_service, new)


def _take(spare: dict[str, list[Listening]], owners: Iterable[str], endpoint: Endpoint) -> Listening | None:
    for owner in owners:
        for listening in spare.get(owner, ()):
            if key_of(listening.asked) == key_of(endpoint):
                spare[owner].remove(listening)
                return listening
    return None


def close(listenings: Iterable[Listening]) -> None:
    for listening in listenings:
        listening.close()


def print_ready(lines: Iterable[str]) -> None:
    """Tell people, and whoever started us, where we listen: on stderr, each line whole."""
    text = "".join(f"{line}\n" for line in lines)
    if text and sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()
