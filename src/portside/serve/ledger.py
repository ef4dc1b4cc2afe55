"""Who holds how many places, counted across all workers of a service, exactly, whoever dies.

A ledger answers one question, ``take``: is there a place for this host now? It is asked between accept and everything
else, so it must be quick, and it must be right when several processes ask at once and when one of them is killed in
the middle of it.

``LocalLedger`` is a dict, for one process. ``SharedLedger`` is memory that the supervisor maps before it forks: each
worker writes only its own slot of it (a hash table of hosts and a head of counters) and reads those of the others.
So a worker that was killed cannot leave a wrong count behind: the supervisor wipes its slot. Taking and giving back
happen under a file lock, which the kernel releases when its holder dies. The supervisor itself never takes the lock.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar, cast

from portside.errors import LocalError
from portside.events import Limit
from portside.serve.tally import TALLY_NAMES, Tally

Result = TypeVar("Result")

Host = str  # the text of an IP address; "" for a peer that has none (a unix socket), which no limit per host concerns

SLOTS: Final = 1_024  # workers of one service at a time, those of earlier reloads that keep connections included


class Ledger(Protocol):
    """The places of a service. Every method is quick and may be called from any thread."""

    def take(self, host: Host, now_s: float, *, connections: int, per_ip: int, accept_rate: float) -> Limit | None:
        """Take a place for the host and return None, or return the limit that stands against it."""

    def give_back(self, host: Host) -> None:
        """Give back a place that ``take`` gave."""

    def take_datagram(self, host: Host, now_s: float, *, per_s: float) -> bool:
        """Return whether one more datagram of the host is within ``per_s``."""

    def count(self, counter: int, amount: int = 1) -> None:
        """Add to the counter of this worker that stands at that place of ``TALLY_NAMES``."""

    def count_all(self, *amounts: tuple[int, int]) -> None:
        """Add to several counters, each given with its amount."""

    def put(self, counter: int, value: int) -> None:
        """Set the counter of this worker that stands at that place of ``TALLY_NAMES``."""


class LocalLedger:
    """The ledger of a single process: dicts. It is also the model that the shared one is tested against."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: Counter[Host] = Counter()
        self._total = 0
        self._next_accept_s = 0.0
        self._next_datagram_s: dict[Host, float] = {}
        self._counters = [0] * len(TALLY_NAMES)

    @property
    def total(self) -> int:
        return self._total

    def take(self, host: Host, now_s: float, *, connections: int, per_ip: int, accept_rate: float) -> Limit | None:
        with self._lock:
            if self._total >= connections:
                return "connections"
            if host and self._places[host] >= per_ip:
                return "per_ip"
            next_s = next_arrival_s(self._next_accept_s, now_s, accept_rate)
            if next_s is None:
                return "accept_rate"
            self._next_accept_s = next_s
            self._total += 1
            self._places[host] += 1
            return None

    def give_back(self, host: Host) -> None:
        with self._lock:
            self._total -= 1
            self._places[host] -= 1
            if not self._places[host]:
                del self._places[host]

    def take_datagram(self, host: Host, now_s: float, *, per_s: float) -> bool:
        with self._lock:
            if len(self._next_datagram_s) > DATAGRAM_HOSTS_MAX:
                self._next_datagram_s = {key: at for key, at in self._next_datagram_s.items() if at > now_s}
                if len(self._next_datagram_s) > DATAGRAM_HOSTS_MAX:
                    self._next_datagram_s.clear()  # a flood of forged sources: memory matters more than their counts
            next_s = next_arrival_s(self._next_datagram_s.get(host, 0.0), now_s, per_s)
            if next_s is None:
                return False
            self._next_datagram_s[host] = next_s
            return True

    def count(self, counter: int, amount: int = 1) -> None:
        with self._lock:
            self._counters[counter] += amount

    def count_all(self, *amounts: tuple[int, int]) -> None:
        with self._lock:
            for counter, amount in amounts:
                self._counters[counter] += amount

    def put(self, counter: int, value: int) -> None:
        self._counters[counter] = value

    def tally(self) -> Tally:
        return Tally(*self._counters)


DATAGRAM_HOSTS_MAX: Final = 65_536


def next_arrival_s(expected_s: float, now_s: float, per_s: float) -> float | None:
    """Return when the next arrival is due if one at ``now_s`` is within the rate, or None if it is not.

    A token bucket that holds one second's worth (at least one token), kept as a single time: ``expected_s`` is when
    the bucket will be full again, so whoever is killed between two writes cannot leave half of it behind.
    Source: the generic cell rate algorithm, ITU-T I.371 annex A, in its virtual scheduling form.
    """
    interval_s = 1.0 / per_s
    tolerance_s = max(1.0, interval_s)
    due_s = max(expected_s, now_s) + interval_s
    # An arrival may be early by the tolerance; the slack keeps rounding from costing the last token.
    return due_s if due_s - now_s <= tolerance_s + 1e-9 else None


# ── shared memory ────────────────────────────────────────────────────────────────────────────────────────────────────

# All in words of eight bytes. First a page of head, then the table of datagram rates, then the slots.
PAGE_WORDS: Final = mmap.PAGESIZE // 8
_HIGHEST: Final = 0  # slots in use are below this number
_ACTIVE: Final = 1  # how many slots are in use
_NEXT_ACCEPT: Final = 2  # seconds (a double), see next_arrival_s
_OWNERS: Final = 64  # one word a slot: 1 while it is in use

_DATAGRAM_SETS: Final = 8_192  # of eight hosts each: as many as DATAGRAM_HOSTS_MAX
_DATAGRAM_WAYS: Final = 8
_DATAGRAM_WORDS: Final = _DATAGRAM_SETS * _DATAGRAM_WAYS * 2  # a key, and the seconds of next_arrival_s

# Of a slot: a head of one page (the total of places, then the tally), then its table of (key, second key, count).
_TOTAL: Final = 0
_TALLY: Final = 8
_ENTRY_WORDS: Final = 3

_OWNERS_PAGES: Final = -(-(_OWNERS + SLOTS) // PAGE_WORDS)
_SLOTS_AT: Final = _OWNERS_PAGES * PAGE_WORDS + -(-_DATAGRAM_WORDS // PAGE_WORDS) * PAGE_WORDS
_DATAGRAMS_AT: Final = _OWNERS_PAGES * PAGE_WORDS


def _keys(host: Host) -> tuple[int, int]:
    """Return 128 bits that stand for the host. Hashes of text are keyed per process family: nobody outside can aim."""
    return hash(host) or 1, hash(host + "/")


class SharedLedger:
    """A service's ledger in memory that all its workers share.

    The supervisor makes it, ``claim``s a slot before it forks a worker and ``wipe``s it after it has reaped the
    worker; the worker calls ``join`` with its slot and then uses the rest.
    """

    def __init__(self, connections: int) -> None:
        """Reserve room for so many connections a slot. Only pages that are used take memory."""
        self.connections = connections
        self.capacity = 1 << max(6, (2 * connections - 1).bit_length())  # half empty, so that probing stays short
        self._slot_words = PAGE_WORDS + -(-self.capacity * _ENTRY_WORDS // PAGE_WORDS) * PAGE_WORDS
        size_bytes = (_SLOTS_AT + SLOTS * self._slot_words) * 8
        try:
            self._fd = os.memfd_create("portside-ledger", os.MFD_CLOEXEC)
            os.ftruncate(self._fd, size_bytes)
            self._map = mmap.mmap(self._fd, size_bytes)
        except (OSError, OverflowError, ValueError) as error:
            raise LocalError(f"no memory to count {connections} connections across workers: {error}") from error
        self._words = memoryview(self._map).cast("q")
        self._seconds = memoryview(self._map).cast("d")
        self.retired = Tally()  # the supervisor's: what workers that are gone have counted
        self._lock = threading.Lock()
        self._slot = -1
        self._at = 0
        self._places: dict[Host, int] = {}  # this worker's hosts, and where in its table each one stands
        self._hosts: dict[int, Host] = {}  # the same the other way around

    def close(self) -> None:
        """Let the memory go; for tests and for the supervisor, when the service is gone."""
        self._words.release()
        self._seconds.release()
        self._map.close()
        os.close(self._fd)

    # ── the supervisor's side ────────────────────────────────────────────────────────────────────────────────────────

    def claim(self) -> int:
        """Return a free slot, now in use. Raises: LocalError when workers of earlier reloads hold them all."""
        words = self._words
        for slot in range(SLOTS):
            if not words[_OWNERS + slot]:
                words[_OWNERS + slot] = 1
                self._count_owners()
                return slot
        raise LocalError(f"{SLOTS} workers of this service are still there: earlier ones keep their connections")

    def wipe(self, slot: int) -> None:
        """Forget what a worker that is gone held; its tally is kept in ``retired``."""
        self.retired.add(self.tally_of(slot), live=False)
        # The owner first: from then on nobody looks into the slot, so it need not be emptied in one stroke.
        self._words[_OWNERS + slot] = 0
        self._count_owners()
        start, length = (_SLOTS_AT + slot * self._slot_words) * 8, self._slot_words * 8
        try:
            self._map.madvise(mmap.MADV_REMOVE, start, length)  # gives the pages back, and they read as zero
        except (OSError, AttributeError):
            self._map[start : start + length] = bytes(length)

    def _count_owners(self) -> None:
        owners = [slot for slot in range(SLOTS) if self._words[_OWNERS + slot]]
        self._words[_HIGHEST] = owners[-1] + 1 if owners else 0
        self._words[_ACTIVE] = len(owners)

    def tally_of(self, slot: int) -> Tally:
        at = _SLOTS_AT + slot * self._slot_words + _TALLY
        return Tally(*self._words[at : at + len(TALLY_NAMES)])

    def tally(self) -> Tally:
        """Return the sum over all workers, those that are gone included."""
        total = Tally()
        total.add(self.retired)
        for slot in self._owned():
            total.add(self.tally_of(slot))
        return total

    # ── the worker's side ────────────────────────────────────────────────────────────────────────────────────────────

    def join(self, slot: int) -> None:
        """Use the slot that was claimed for this process."""
        self._slot = slot
        self._at = _SLOTS_AT + slot * self._slot_words
        self._lock = threading.Lock()
        self._places, self._hosts = {}, {}

    @property
    def total(self) -> int:
        """How many places are taken now, in all workers."""
        return sum(self._words[_SLOTS_AT + slot * self._slot_words + _TOTAL] for slot in self._owned())

    def _owned(self) -> Iterator[int]:
        words = self._words
        return (slot for slot in range(words[_HIGHEST]) if words[_OWNERS + slot])

    def _exclusively(self, act: Callable[[bool], Result]) -> Result:
        """Keep other threads out, and other processes where there are any; ``act`` is told whether there are.

        A worker that is alone does without the file lock, which costs two system calls. When it stops being alone,
        the other one has just been forked and is milliseconds away from its first question.
        """
        with self._lock:
            if self._words[_ACTIVE] <= 1:
                return act(False)
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                return act(True)
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def take(self, host: Host, now_s: float, *, connections: int, per_ip: int, accept_rate: float) -> Limit | None:
        return self._exclusively(
            lambda shared: self._take(
                shared, host, now_s, connections=connections, per_ip=per_ip, accept_rate=accept_rate
            )
        )

    def _take(
        self, shared: bool, host: Host, now_s: float, *, connections: int, per_ip: int, accept_rate: float
    ) -> Limit | None:
        words, at = self._words, self._at
        total = self.total if shared else words[at + _TOTAL]
        if total >= connections or 2 * len(self._places) >= self.capacity:
            return "connections"
        place = self._places.get(host)
        mine = 0 if place is None else words[place + 2]
        if host and mine + (self._held_elsewhere(host) if shared else 0) >= per_ip:
            return "per_ip"
        next_s = next_arrival_s(self._seconds[_NEXT_ACCEPT], now_s, accept_rate)
        if next_s is None:
            return "accept_rate"
        self._seconds[_NEXT_ACCEPT] = next_s
        if place is None:
            place = self._insert(host)
        words[place + 2] += 1
        words[at + _TOTAL] += 1
        return None

    def give_back(self, host: Host) -> None:
        self._exclusively(lambda _: self._give_back(host))

    def _give_back(self, host: Host) -> None:
        words = self._words
        place = self._places[host]
        words[self._at + _TOTAL] -= 1
        words[place + 2] -= 1
        if not words[place + 2]:
            self._remove(host, place)

    def _held_elsewhere(self, host: Host) -> int:
        """Return how many places the other workers hold for the host."""
        first, second = _keys(host)
        words, held = self._words, 0
        for slot in self._owned():
            if slot != self._slot:
                table = _SLOTS_AT + slot * self._slot_words + PAGE_WORDS
                place = self._find(table, first, second)
                if words[place]:
                    held += words[place + 2]
        return held

    def _find(self, table: int, first: int, second: int) -> int:
        """Return the place of the keys in the table, or the empty one where they would go (linear probing)."""
        words, mask = self._words, self.capacity - 1
        index = first & mask
        for _ in range(self.capacity):
            place = table + index * _ENTRY_WORDS
            if not words[place] or (words[place] == first and words[place + 1] == second):
                break
            index = (index + 1) & mask
        return place

    def _insert(self, host: Host) -> int:
        first, second = _keys(host)
        place = self._find(self._at + PAGE_WORDS, first, second)
        words = self._words
        words[place + 1], words[place + 2], words[place] = second, 0, first
        self._places[host], self._hosts[place] = place, host
        return place

    def _remove(self, host: Host, place: int) -> None:
        """Empty a place and move up those behind it that probing would no longer reach (Knuth 6.4, algorithm R)."""
        words, mask, table = self._words, self.capacity - 1, self._at + PAGE_WORDS
        del self._places[host], self._hosts[place]
        hole = index = (place - table) // _ENTRY_WORDS
        while True:
            index = (index + 1) & mask
            at = table + index * _ENTRY_WORDS
            if not words[at]:
                break
            home = words[at] & mask
            # It may stay if its home lies cyclically behind the hole and not behind itself.
            if (index - home) & mask < (index - hole) & mask:
                continue
            to = table + hole * _ENTRY_WORDS
            words[to + 1], words[to + 2], words[to] = words[at + 1], words[at + 2], words[at]
            moved = self._hosts.pop(at)
            self._places[moved], self._hosts[to] = to, moved
            hole = index
        at = table + hole * _ENTRY_WORDS
        words[at] = words[at + 1] = words[at + 2] = 0

    def take_datagram(self, host: Host, now_s: float, *, per_s: float) -> bool:
        return self._exclusively(lambda _: self._take_datagram(host, now_s, per_s))

    def _take_datagram(self, host: Host, now_s: float, per_s: float) -> bool:
        first, _ = _keys(host)
        words, seconds = self._words, self._seconds
        start = _DATAGRAMS_AT + (first & (_DATAGRAM_SETS - 1)) * _DATAGRAM_WAYS * 2
        oldest = start
        for at in range(start, start + _DATAGRAM_WAYS * 2, 2):
            if words[at] == first:
                next_s = next_arrival_s(seconds[at + 1], now_s, per_s)
                if next_s is None:
                    return False
                seconds[at + 1] = next_s
                return True
            if seconds[at + 1] < seconds[oldest + 1]:
                oldest = at
        # A new host takes the place of whoever's bucket filled up first: in all likelihood it is full again.
        words[oldest] = first
        seconds[oldest + 1] = cast("float", next_arrival_s(0.0, now_s, per_s))
        return True

    # ── this worker's counters ───────────────────────────────────────────────────────────────────────────────────────

    def count(self, counter: int, amount: int = 1) -> None:
        with self._lock:
            self._words[self._at + _TALLY + counter] += amount

    def count_all(self, *amounts: tuple[int, int]) -> None:
        words, at = self._words, self._at + _TALLY
        with self._lock:
            for counter, amount in amounts:
                words[at + counter] += amount

    def put(self, counter: int, value: int) -> None:
        self._words[self._at + _TALLY + counter] = value
