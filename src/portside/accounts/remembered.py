"""Logins that were verified a moment ago: clients who log in for each file wait for one hash, and not for each."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from typing import Final

REMEMBERED_MAX: Final = 1_024


class Remembered:
    """Which name, password and hash belong together, for ``lasts_s`` seconds from when that was verified.

    What is kept is a digest under a key that only this process has, and that ends with it. The hash is a part of it:
    a password that is changed is forgotten. What was wrong is never kept, so no guess is any faster.
    """

    def __init__(self, lasts_s: float, *, size_max: int = REMEMBERED_MAX) -> None:
        self._lasts_s = lasts_s
        self._size_max = size_max
        self._key = os.urandom(hashlib.blake2b.MAX_KEY_SIZE)
        self._ends_s: OrderedDict[bytes, float] = OrderedDict()  # the one that ends first comes first
        self._lock = threading.Lock()

    def add(self, name: str, password: str, password_hash: str, now_s: float) -> None:
        digest = self._digest(name, password, password_hash)
        with self._lock:
            self._ends_s[digest] = now_s + self._lasts_s
            self._ends_s.move_to_end(digest)
            while len(self._ends_s) > self._size_max:
                self._ends_s.popitem(last=False)

    def has(self, name: str, password: str, password_hash: str, now_s: float) -> bool:
        digest = self._digest(name, password, password_hash)
        with self._lock:
            ends_s = self._ends_s.get(digest)
            if ends_s is not None and ends_s <= now_s:
                del self._ends_s[digest]
            return ends_s is not None and now_s < ends_s

    def _digest(self, name: str, password: str, password_hash: str) -> bytes:
        made = hashlib.blake2b(key=self._key, digest_size=32)
        for text in (name, password, password_hash):
            data = text.encode("utf-8", "surrogatepass")
            made.update(len(data).to_bytes(8, "big") + data)  # the lengths tell "ab" "c" from "a" "bc"
        return made.digest()
