"""One question of a recursive server, from the first server it asks to the answer: RFC 1034 section 5.3.3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.sim.addresses import from_ip
from portside.sim.clock import SECOND
from portside.sim.nameserver.cache import Rank
from portside.sim.nameserver.keys import ROOT, Key, ancestors, is_within, key_of, text_of
from portside.sim.nameserver.zone import TYPE_A, TYPE_AAAA, TYPE_CNAME, TYPE_DS, TYPE_NS, TYPE_SOA
from portside.wire.dns import NO_ERROR, NO_SUCH_NAME, SERVER_FAILURE, DnsMessage, Question, Record
from portside.wire.dns_records import AAAA, CNAME, NS, A

if TYPE_CHECKING:
    from portside.sim.nameserver.recursive import Recursive

ALIASES_MAX: Final = 16
QUERIES_MAX: Final = 64  # for one question; RFC 1034 section 5.3.3: "bound the amount of work"
ROUNDS_MAX: Final = 3  # over all servers of a zone
LIMIT_NS: Final = 10 * SECOND  # BIND's resolver-query-timeout
STEPS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a question: RFC 1035's code, answers with their aliases first, and the SOA of what is not there."""

    rcode: int
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()


class Task:
    """One question. ``waiting`` are called when it has its answer; ``waits_for`` is the question it waits for."""

    def __init__(self, resolver: Recursive, question: Question) -> None:
        self.question = question
        self.waiting: list[Callable[[Outcome], object]] = []
        self.waits_for: Task | None = None
        self.is_over = False
        self._resolver = resolver
        self._name = question.name  # where the aliases have led
        self._aliases: list[Record] = []
        self._began_ns = resolver.stack.scheduler.now
        self._queries = self._steps = 0
        self._tried: dict[tuple[Key, int], int] = {}  # by zone and server: how often
        self._lame: dict[tuple[Key, int], None] = {}  # servers of a zone that do not know it
        self._looked_up: dict[tuple[Key, int], None] = {}  # names of servers whose addresses were asked for

    def known(self) -> Outcome | None:
        """Return the answer if it is remembered, following the aliases that are."""
        cache, kind = self._resolver.cache, self.question.type
        while True:
            key = key_of(self._name)
            negative = cache.denied(key, kind)
            records = cache.get(key, kind)
            if records:
                return Outcome(NO_ERROR, (*self._aliases, *records))
            if negative is not None:
                return Outcome(negative.rcode, tuple(self._aliases), negative.authority)
            alias = cache.get(key, TYPE_CNAME)
            if not alias:
                return None
            if len(self._aliases) >= ALIASES_MAX or any(key_of(each.name) == key for each in self._aliases):
                return Outcome(SERVER_FAILURE)
            self._aliases += alias[:1]
            assert isinstance(alias[0].data, CNAME)
            self._name = alias[0].data.target

    def step(self) -> None:
        """Go on: with what is known, with the next server, or with the address of one."""
        self._steps += 1
        found = self.known()
        if found is not None:
            self._finish(found)
            return
        late = self._resolver.stack.scheduler.now - self._began_ns > LIMIT_NS
        if late or self._queries >= QUERIES_MAX or self._steps > STEPS_MAX:
            self._fail()
            return
        zone, names = self._nearest()
        servers = self._servers(zone, names)
        if servers:
            self._ask(zone, servers)
        elif not self._look_up_server(names):
            self._fail()

    # ── whom to ask ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _nearest(self) -> tuple[Key, list[str]]:
        """Return the nearest zone whose servers are known, and their names. A DS is asked for above the cut."""
        key = key_of(self._name)
        for zone in ancestors(key)[1 if self.question.type == TYPE_DS and key else 0 :]:
            records = self._resolver.cache.get(zone, TYPE_NS, Rank.GLUE)
            names = [record.data.target for record in records if isinstance(record.data, NS)]
            if names:
                return zone, names
        return ROOT, list(self._resolver.hints.servers)

    def _servers(self, zone: Key, names: list[str]) -> list[int]:
        """Return the addresses to be asked next: of those that were asked least often."""
        found: dict[int, None] = {}
        for name in names:
            for record in self._addresses(name):
                if isinstance(record.data, A | AAAA):
                    found[from_ip(record.data.address)] = None
        usable = [one for one in found if (zone, one) not in self._lame and self._resolver.can_reach(one)]
        least = min((self._tried.get((zone, one), 0) for one in usable), default=ROUNDS_MAX)
        return [one for one in usable if self._tried.get((zone, one), 0) == least] if least < ROUNDS_MAX else []

    def _addresses(self, name: str) -> list[Record]:
        key, cache = key_of(name), self._resolver.cache
        known = [*cache.get(key, TYPE_A, Rank.GLUE), *cache.get(key, TYPE_AAAA, Rank.GLUE)]
        return known or self._resolver.hints.addresses(name)

    def _look_up_server(self, names: list[str]) -> bool:
        """Ask for the address of a server first. Returns False if there is none left to ask for."""
        for name in names:
            for kind in (TYPE_A, TYPE_AAAA):
                place = (key_of(name), kind)
                if place in self._looked_up:
                    continue
                self._looked_up[place] = None
                if self._would_wait_for_itself(name, kind):
                    continue
                self.waits_for = self._resolver.resolve(name, kind, self._go_on_soon)
                return True
        return False

    def _would_wait_for_itself(self, name: str, kind: int) -> bool:
        """Return whether that is waiting for us, maybe through others: then the servers cannot be found."""
        task = self._resolver.running(name, kind)
        while task is not None and task is not self:
            task = task.waits_for
        return task is self or (key_of(name), kind) == (key_of(self.question.name), self.question.type)

    def _go_on_soon(self, _: Outcome) -> None:
        # Whether it was known at once or not: in a step of its own, so that the depth of calls stays small.
        self._resolver.stack.scheduler.soon(self._go_on)

    def _go_on(self, _: object) -> None:
        self.waits_for = None
        if not self.is_over:
            self.step()

    # ── what they say ────────────────────────────────────────────────────────────────────────────────────────────────

    def _ask(self, zone: Key, servers: list[int]) -> None:
        server = self._resolver.fastest(servers)
        rounds = self._tried.get((zone, server), 0)
        self._tried[zone, server] = rounds + 1
        self._queries += 1
        question = Question(self._name, self.question.type)
        self._resolver.send(question, server, rounds, lambda answer: self._heard(zone, server, answer))

    def _heard(self, zone: Key, server: int, answer: DnsMessage | None) -> None:
        if answer is not None and not self._learn(zone, answer):
            self._lame[zone, server] = None
        self.step()

    def _learn(self, zone: Key, answer: DnsMessage) -> bool:
        """Remember what an answer says of the zone that was asked, and nothing else. Returns False if it is of no use.

        What is not within the zone is not the server's to say (RFC 2181 section 5.4.1, RFC 5452 section 6).
        """
        if answer.rcode not in {NO_ERROR, NO_SUCH_NAME}:
            return False
        if answer.is_authoritative:
            return self._learn_answer(zone, answer)
        return self._learn_referral(zone, answer)

    def _learn_answer(self, zone: Key, answer: DnsMessage) -> bool:
        """Remember the answer and the aliases that lead to it, or that there is none."""
        cache, kind, name = self._resolver.cache, self.question.type, self._name
        for _ in range(ALIASES_MAX):
            if not is_within(key_of(name), zone):
                return True  # where an alias leads out, it is for others to say
            same = [each for each in answer.answers if key_of(each.name) == key_of(name)]
            records = [each for each in same if each.type == kind]
            aliases = [each for each in same if each.type == TYPE_CNAME][:1]
            if records:
                cache.put(records, Rank.ANSWER)
                return True
            if not aliases:
                break
            cache.put(aliases, Rank.ANSWER)
            assert isinstance(aliases[0].data, CNAME)
            name = aliases[0].data.target
        has_led = name is not self._name
        soa = next((each for each in answer.authority if each.type == TYPE_SOA), None)
        above = soa is not None and is_within(key_of(name), key_of(soa.name)) and is_within(key_of(soa.name), zone)
        if above or not has_led:
            cache.deny(name, kind, answer.rcode, soa if above else None)
        return True

    def _learn_referral(self, zone: Key, answer: DnsMessage) -> bool:
        """Remember whom the server says to ask, who must be nearer to the name than itself."""
        key = key_of(self._name)
        cuts = [each for each in answer.authority if isinstance(each.data, NS) and is_within(key, key_of(each.name))]
        if not cuts:
            return False
        cut = key_of(cuts[0].name)
        if len(cut) <= len(zone) or not is_within(cut, zone):
            return False  # sideways or up again: such a server is lame
        names = [each for each in cuts if key_of(each.name) == cut]
        self._resolver.cache.put(names, Rank.REFERRAL)
        for record in names:
            assert isinstance(record.data, NS)
            self._learn_glue(zone, record.data.target, answer.additional)
        return True

    def _learn_glue(self, zone: Key, name: str, additional: tuple[Record, ...]) -> None:
        key = key_of(name)
        for kind in (TYPE_A, TYPE_AAAA):
            glue = [each for each in additional if each.type == kind and key_of(each.name) == key]
            if glue and is_within(key, zone):
                self._resolver.cache.put(glue, Rank.GLUE)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _fail(self) -> None:
        # RFC 9520: a failure is remembered for a moment, or whoever asks again makes it worse.
        self._resolver.cache.deny(self._name, self.question.type, SERVER_FAILURE, None)
        self._finish(Outcome(SERVER_FAILURE))

    def _finish(self, outcome: Outcome) -> None:
        self.is_over = True
        self._resolver.finished(self)
        for done in self.waiting:
            done(outcome)

    def __repr__(self) -> str:
        return f"<{self.question.type_name} of {text_of(key_of(self.question.name))}>"
