"""Numbers and places that all processes of a service share: memory that the supervisor maps before it forks.

Batteries count in it who failed to log in how often, and who holds how many sessions; see ``contracts.Counters``. Every
access happens under a file lock, which the kernel releases when its holder dies, and every write leaves an entry either
as it was or as it shall be. A place belongs to a process, named by its number and the time it was started (numbers come
again): those of processes that died are free as soon as somebody looks for room.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Final

from portside.errors import LocalError

SETS: Final = 8_192  # of numbers: a key belongs to one set, and where that is full the first to be forgotten goes
WAYS: Final = 8  # numbers in a set
PLACES_MAX: Final = 16_384  # pairs of a key and a process that holds places under it

# All in words of eight bytes: a page of head, the numbers, the places.
PAGE_WORDS: Final = mmap.PAGESIZE // 8
_HIGHEST: Final = 0  # places in use stand below this number
_NUMBERS_AT: Final = PAGE_WORDS
_NUMBER_WORDS: Final = 4  # two of the key (the first is 0 where the entry is free), the number, until when (a double)
_SET_WORDS: Final = WAYS * _NUMBER_WORDS
_PLACES_AT: Final = _NUMBERS_AT + SETS * _SET_WORDS
_PLACE_WORDS: Final = 5  # two of the key, the process, when it was started, how many places it holds
_SIZE_BYTES: Final = (_PLACES_AT + PLACES_MAX * _PLACE_WORDS) * 8

_KEY: Final = struct.Struct("=qq")
_MOST: Final = (1 << 63) - 1


class _Exclusively:
    """A thread lock and a file lock, held for the length of a ``with``: a login takes them three times."""

    __slots__ = ("_fd", "_lock")

    def __init__(self, lock: threading.Lock, fd: int) -> None:
        self._lock, self._fd = lock, fd

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
        except BaseException:
            self._lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)
        finally:
            self._lock.release()


class SharedCounters:
    """The counters of one service. Made before the first fork; every process that comes of it may use them."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        try:
            self._fd = os.memfd_create("portside-counters", os.MFD_CLOEXEC)
            os.ftruncate(self._fd, _SIZE_BYTES)
            self._map = mmap.mmap(self._fd, _SIZE_BYTES)  # only pages that are used take memory
        except OSError as error:
            raise LocalError(f"no memory for the counters of a service: {error.strerror}") from error
        self._words = memoryview(self._map).cast("q")
        self._seconds = memoryview(self._map).cast("d")
        self._secret = os.urandom(16)  # nobody outside can aim at a set
        self._lock = threading.Lock()
        self._clock = clock
        self._me = (0, 0)  # this process, once it has asked who it is

    def close(self) -> None:
        """Let the memory go; for tests and for the supervisor, when the service is gone."""
        self._words.release()
        self._seconds.release()
        self._map.close()
        os.close(self._fd)

    def _exclusively(self) -> _Exclusively:
        """Keep other threads out, and other processes, for the length of a ``with``."""
        return _Exclusively(self._lock, self._fd)

    def _key(self, key: str) -> tuple[int, int]:
        from hashlib import blake2b  # which brings OpenSSL along: not at the start of servers that count nothing here

        digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16, key=self._secret).digest()
        first, second = _KEY.unpack(digest)
        return first or 1, second

    # ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, key: str, amount: int, *, lasts_s: float) -> int:
        first, second = self._key(key)
        with self._exclusively():
            now_s = self._clock()
            at, is_there = self._entry(first, second)
            number = self._number_at(at, now_s) if is_there else 0
            number = max(-_MOST, min(_MOST, number + amount))
            words = self._words
            if not is_there:
                words[at] = 0  # whoever stood there is gone before the new one comes
            words[at + 2] = number
            self._seconds[at + 3] = now_s + lasts_s
            words[at + 1], words[at] = second, first
            return number

    def value(self, key: str) -> int:
        first, second = self._key(key)
        with self._exclusively():
            at, is_there = self._entry(first, second)
            return self._number_at(at, self._clock()) if is_there else 0

    def forget(self, key: str) -> None:
        first, second = self._key(key)
        with self._exclusively():
            at, is_there = self._entry(first, second)
            if is_there:
                self._words[at] = 0
                self._seconds[at + 3] = 0.0

    def _entry(self, first: int, second: int) -> tuple[int, bool]:
        """Return where the key's number stands and True, or where it would go and False."""
        start = _NUMBERS_AT + (first & (SETS - 1)) * _SET_WORDS
        words = self._words[start : start + _SET_WORDS].tolist()
        for at in range(0, _SET_WORDS, _NUMBER_WORDS):
            if words[at] == first and words[at + 1] == second:
                return start + at, True
        until_s = self._seconds[start + 3 : start + _SET_WORDS : _NUMBER_WORDS].tolist()  # 0.0 where it is free
        return start + until_s.index(min(until_s)) * _NUMBER_WORDS, False

    def _number_at(self, at: int, now_s: float) -> int:
        return self._words[at + 2] if self._seconds[at + 3] > now_s else 0

    # ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def hold(self, key: str, places: int) -> bool:
        wanted = self._key(key)
        with self._exclusively():
            held = self._held(wanted)
            if self._sum(held) >= places:
                held = [at for at in held if not self._free_if_dead(at)]
                if self._sum(held) >= places:
                    return False
            mine = self._mine(held)
            if mine is not None:
                self._words[mine + 4] += 1
                return True
            return self._take_place(wanted)

    def let_go(self, key: str) -> None:
        with self._exclusively():
            mine = self._mine(self._held(self._key(key)))
            if mine is None:
                return
            if self._words[mine + 4] > 1:
                self._words[mine + 4] -= 1
            else:
                self._free(mine)

    def _held(self, key: tuple[int, int]) -> list[int]:
        """Return where the places under the key stand, one entry for each process."""
        table = self._map[_PLACES_AT * 8 : (_PLACES_AT + self._words[_HIGHEST] * _PLACE_WORDS) * 8]
        wanted, found, at = _KEY.pack(*key), [], -1
        while (at := table.find(wanted, at + 1)) >= 0:
            if at % (_PLACE_WORDS * 8) == 0:
                found.append(_PLACES_AT + at // 8)
        return found

    def _sum(self, held: list[int]) -> int:
        return sum([self._words[at + 4] for at in held])

    def _mine(self, held: list[int]) -> int | None:
        me = self._who_i_am()
        return next((at for at in held if (self._words[at + 2], self._words[at + 3]) == me), None)

    def _who_i_am(self) -> tuple[int, int]:
        process = os.getpid()
        if self._me[0] != process:  # forked since it was asked last
            self._me = (process, started_at(process) or 0)
        return self._me

    def _take_place(self, key: tuple[int, int]) -> bool:
        """Enter this process under the key; False where there is no room even after the dead are gone."""
        at = self._free_entry()
        if at is None:
            for one in self._entries():
                self._free_if_dead(one)
            at = self._free_entry()
        if at is None:
            return False
        words = self._words
        words[_HIGHEST] = max(words[_HIGHEST], (at - _PLACES_AT) // _PLACE_WORDS + 1)
        words[at + 2], words[at + 3] = self._who_i_am()
        words[at + 4] = 1
        words[at + 1], words[at] = key[1], key[0]
        return True

    def _entries(self) -> range:
        return range(_PLACES_AT, _PLACES_AT + self._words[_HIGHEST] * _PLACE_WORDS, _PLACE_WORDS)

    def _free_entry(self) -> int | None:
        words, highest = self._words, self._words[_HIGHEST]
        if highest < PLACES_MAX:
            return _PLACES_AT + highest * _PLACE_WORDS
        return next((at for at in self._entries() if not words[at]), None)

    def _free_if_dead(self, at: int) -> bool:
        words = self._words
        if not words[at] or is_alive(words[at + 2], words[at + 3]):
            return False
        self._free(at)
        return True

    def _free(self, at: int) -> None:
        words = self._words
        words[at] = 0
        highest = words[_HIGHEST]
        while highest and not words[_PLACES_AT + (highest - 1) * _PLACE_WORDS]:
            highest -= 1
        words[_HIGHEST] = highest


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def started_at(process: int) -> int | None:
    """Return when the process was started, in ticks since the machine's start, 0 if there is none that lives.

    None where the system does not tell. Source: proc(5), /proc/pid/stat, fields 3 and 22.
    """
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the second field, a name, may hold anything
    except (FileNotFoundError, ProcessLookupError):
        return 0 if os.path.exists("/proc/self/stat") else None
    except OSError:
        return None
    return 0 if fields[0] in {b"Z", b"X"} else int(fields[19])


def is_alive(process: int, started: int) -> bool:
    """Return whether the process that was started then still lives, and not another of its number."""
    found = started_at(process)
    if found is not None:
        return found == started
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
