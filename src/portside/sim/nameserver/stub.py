"""A stub resolver as glibc's: it asks servers that recurse, one after the other, and remembers nothing.

Source: RFC 1034 section 5.3.1, RFC 1123 section 6.1; resolv.conf(5), and glibc's ``res_send.c`` for its times. Unlike
glibc, the one of two questions that stays without an answer is asked again of the next server, not of the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from portside.sim.clock import SECOND
from portside.sim.nameserver.asking import Answers, Exchange, query_for
from portside.sim.nameserver.keys import key_of
from portside.sim.nameserver.serving import PORT
from portside.sim.nameserver.zone import TYPE_CNAME
from portside.sim.seams import Stack
from portside.wire.dns import NOT_IMPLEMENTED, REFUSED, SERVER_FAILURE, DnsMessage, Question, Record
from portside.wire.dns_names import labels_of
from portside.wire.dns_records import CNAME

SERVERS_MAX: Final = 3  # MAXNS
ALIASES_MAX: Final = 16
_ASK_ELSEWHERE: Final = frozenset({SERVER_FAILURE, NOT_IMPLEMENTED, REFUSED})


@dataclass(frozen=True, slots=True)
class StubSettings:
    """What resolv.conf(5) says."""

    servers: tuple[int, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout_s: int = 5
    attempts: int = 2
    port: int = PORT

    def candidates(self, name: str) -> list[str]:
        """Return the names to ask for: with few dots the domains of ``search`` come first. Raises: ValueError."""
        labels = labels_of(name)
        if name.endswith("."):
            return [name]
        longer = [f"{name}.{domain.strip('.')}." for domain in self.search]
        whole = [f"{name}."]
        return whole + longer if len(labels) - 1 >= self.ndots else longer + whole

    def timeout_ns(self, place: int) -> int:
        """Return how long the server at that place is waited for: glibc shares the time out among those behind."""
        count = min(len(self.servers), SERVERS_MAX)
        seconds = self.timeout_s if place == 0 else max(1, (self.timeout_s << place) // count)
        return seconds * SECOND


class StubQuery:
    """Asks for several types of one name, at once and from one socket, until all have an answer or patience ends.

    ``done`` gets an answer for each type, None where no server gave one. It is never called at once.
    """

    def __init__(  # noqa: PLR0917 -- who asks, how, what, for whom
        self,
        stack: Stack,
        chance: Random,
        settings: StubSettings,
        name: str,
        kinds: Sequence[int],
        done: Callable[[Answers], object],
    ) -> None:
        self._stack = stack
        self._chance = chance
        self._settings = settings
        self._questions = [Question(name, kind) for kind in kinds]
        self._answers: Answers = [None] * len(kinds)
        self._done = done
        servers = list(enumerate(settings.servers[:SERVERS_MAX]))
        self._to_try = servers * settings.attempts
        if self._to_try:
            self._try_next()
        else:
            stack.scheduler.soon(done, self._answers)

    def _try_next(self) -> None:
        place, server = self._to_try.pop(0)
        left = [at for at, answer in enumerate(self._answers) if answer is None]
        # Two ids that are equal would make one answer fit both questions; glibc draws until they are not.
        numbers = self._chance.sample(range(1 << 16), len(left))
        queries = [
            query_for(self._questions[at], number, recursion=True) for at, number in zip(left, numbers, strict=True)
        ]
        Exchange(
            self._stack,
            self._chance,
            queries,
            (server, self._settings.port),
            self._settings.timeout_ns(place),
            lambda answers: self._heard(left, answers),
        )

    def _heard(self, left: list[int], answers: Answers) -> None:
        for at, answer in zip(left, answers, strict=True):
            if answer is not None and answer.rcode not in _ASK_ELSEWHERE:
                self._answers[at] = answer
        if self._to_try and None in self._answers:
            self._try_next()
        else:
            self._done(self._answers)


def records_of(answer: DnsMessage, kind: int) -> list[Record]:
    """Return the records of a type that the answer has for its question, by the aliases that it has, too."""
    (question,) = answer.questions
    name = key_of(question.name)
    for _ in range(ALIASES_MAX):
        same = [record for record in answer.answers if key_of(record.name) == name]
        found = [record for record in same if record.type == kind]
        alias = next((record.data for record in same if record.type == TYPE_CNAME), None)
        if found or not isinstance(alias, CNAME):
            return [replace(record, name=question.name) for record in found]
        name = key_of(alias.target)
    return []
