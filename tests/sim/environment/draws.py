"""Everything that is drawn by chance, for the tests and for the processes that they compare."""

from __future__ import annotations

import os
import random
import secrets
import uuid
from random import random as imported_by_name


def drawn() -> list[object]:
    """Return something of everything that is drawn by chance."""
    deck = list(range(10))
    random.shuffle(deck)
    return [
        *(imported_by_name(), random.randint(1, 10**9), random.choice("abcdef"), random.gauss(0, 1), deck),
        *(os.urandom(9).hex(), secrets.token_hex(8), secrets.randbelow(10**9), secrets.choice("abcdef")),
        *(str(uuid.uuid4()), str(uuid.uuid1()), random.Random().random(), random.SystemRandom().random()),
    ]
