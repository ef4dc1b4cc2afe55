"""A recursive server of names: asks from the root down, remembers, and answers those who cannot ask themselves.

Source: RFC 1034 section 5.3.3; RFC 2181 section 5.4.1 (trust), RFC 2308 (what is not there), RFC 5452 (equal questions
are asked once, and answers looked at twice).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from portside.sim.clock import MILLISECOND, SECOND
from portside.sim.nameserver.asking import Exchange, query_for
from portside.sim.nameserver.authority import complaint, reply_to
from portside.sim.nameserver.cache import Cache
from portside.sim.nameserver.keys import Key, address_data, key_of
from portside.sim.nameserver.serving import PORT
from portside.sim.nameserver.task import Outcome, Task
from portside.sim.nameserver.zone import TYPE_ANY
from portside.sim.seams import End, Stack
from portside.wire.dns import NOT_IMPLEMENTED, REFUSED, DnsMessage, Edns, Question, Record
from portside.wire.dns_records import NS

UNKNOWN_RTT_NS: Final = 10 * MILLISECOND  # a server not asked yet is tried before one that is known to be slow
TIMEOUT_NS: Final = 800 * MILLISECOND  # BIND's first; it doubles with every round over a zone's servers
SLOW_NS: Final = 10 * SECOND


@dataclass(frozen=True, slots=True)
class Hints:
    """Where the root's servers are: names, and the addresses of each."""

    servers: Mapping[str, tuple[int, ...]]

    def names(self) -> list[Record]:
        return [Record(".", 0, NS(name)) for name in self.servers]

    def addresses(self, name: str) -> list[Record]:
        found = next((each for server, each in self.servers.items() if key_of(server) == key_of(name)), ())
        return [Record(name, 0, address_data(address)) for address in found]


class Recursive:
    """A recursive server: ``serve(stack, Recursive(stack, chance, {"a.root.": (address,)}))``.

    ``queries`` counts the messages it sent to other servers.
    """

    def __init__(self, stack: Stack, chance: Random, roots: Mapping[str, tuple[int, ...]], *, port: int = PORT) -> None:
        self.stack = stack
        self.hints = Hints(roots)
        self.cache = Cache(stack.scheduler)
        self.queries = 0
        self._chance = chance
        self._port = port
        self._tasks: dict[tuple[Key, int], Task] = {}
        self._rtts: dict[int, int] = {}

    # ── for clients ──────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, query: DnsMessage, _: End, reply: Callable[[DnsMessage], object]) -> None:
        """Answer a query: see ``serving.Answerer``."""
        refusal = complaint(query)
        if refusal is not None:
            reply(replace(refusal, recursion_available=True))
            return
        (question,) = query.questions
        if question.type == TYPE_ANY:
            reply(replace(reply_to(query, NOT_IMPLEMENTED), recursion_available=True))  # RFC 8482: a choice
        elif query.recursion_desired:
            self.resolve(question.name, question.type, lambda outcome: reply(_reply(query, outcome)))
        else:
            known = Task(self, question).known()
            reply(_reply(query, known or Outcome(REFUSED)))

    def resolve(self, name: str, kind: int, done: Callable[[Outcome], object]) -> Task | None:
        """Find records; ``done`` hears of it, at once if they are known. Returns what is waited for then.

        Equal questions at the same time are one: RFC 5452 section 5.
        """
        place = (key_of(name), kind)
        task = self._tasks.get(place)
        if task is None:
            task = self._tasks[place] = Task(self, Question(name, kind))
            task.waiting.append(done)
            task.step()
            return None if task.is_over else task
        task.waiting.append(done)
        return task

    def running(self, name: str, kind: int) -> Task | None:
        """Return what is being asked about this already."""
        return self._tasks.get((key_of(name), kind))

    def finished(self, task: Task) -> None:
        """Take note that a question has its answer."""
        place = (key_of(task.question.name), task.question.type)
        if self._tasks.get(place) is task:
            del self._tasks[place]

    # ── for tasks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def can_reach(self, address: int) -> bool:
        """Return whether there is a way to a server, in its version of IP."""
        try:
            self.stack.source_for(address)
        except OSError:
            return False
        return True

    def fastest(self, addresses: list[int]) -> int:
        """Return the server that answered soonest of late; those that were not asked yet are shuffled."""
        return min(addresses, key=lambda one: self._rtts.get(one, 0) or self._chance.randrange(1, UNKNOWN_RTT_NS))

    def send(self, question: Question, server: int, rounds: int, done: Callable[[DnsMessage | None], object]) -> None:
        """Ask one server; None if it does not answer."""
        self.queries += 1
        began_ns = self.stack.scheduler.now
        query = query_for(question, self._chance.getrandbits(16), recursion=False, edns=Edns())

        def heard(answers: list[DnsMessage | None]) -> None:
            took_ns = self.stack.scheduler.now - began_ns
            old_ns = self._rtts.get(server, took_ns)
            # Smoothed as TCP's round trips are; one that does not answer counts as slow for a while.
            slow_ns = min(SLOW_NS, 2 * max(old_ns, took_ns, TIMEOUT_NS))
            self._rtts[server] = slow_ns if answers[0] is None else max(1, (7 * old_ns + took_ns) // 8)
            done(answers[0])

        Exchange(self.stack, self._chance, [query], (server, self._port), TIMEOUT_NS << rounds, heard)


def _reply(query: DnsMessage, outcome: Outcome) -> DnsMessage:
    return replace(
        reply_to(query, outcome.rcode),
        recursion_available=True,
        answers=tuple(outcome.answers),
        authority=tuple(outcome.authority),
    )
