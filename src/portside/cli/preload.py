"""Imports for a server that is about to become another user, who may not be able to read them.

An interpreter in somebody's home directory is common, and such a home closed to others as well. What workers import
late, to start fast, must then be there before ``--user`` is taken on. A handler's own imports are its owner's care.
"""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import suppress
from typing import Final

import portside.net
import portside.observe
import portside.protocols
import portside.serve

# What functions of these rooms import, and what Python itself imports late on behalf of them: name look-ups, threads
# for an executor, tracebacks. A test compares the first kind with the code.
LATE: Final = (
    "asyncio",
    "concurrent.futures.thread",
    "cryptography",
    "cryptography.hazmat.primitives",
    "cryptography.hazmat.primitives.asymmetric",
    "cryptography.x509.oid",
    "ctypes",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "fcntl",
    "grp",
    "hashlib",
    "inspect",
    "ipaddress",
    "linecache",
    "msgspec",
    "pwd",
    "ssl",
    "tempfile",
    "tokenize",
    "traceback",
    "uvloop",
)
ROOMS: Final = (portside.net, portside.observe, portside.protocols, portside.serve)


def import_everything() -> None:
    """Import every module that a worker may need; an optional package that is not installed is left out."""
    ours = [module.name for room in ROOMS for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]
    for name in (*LATE, *ours):
        with suppress(ImportError):
            importlib.import_module(name)
