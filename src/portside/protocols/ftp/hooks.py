"""What runs when a file has come: a function of the operator's, or a command.

A hook runs when the file is in place, in threads of its own, beside the session; its client may leave meanwhile. One
that fails is a record in the log, and nothing else.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from portside.contracts import Network
from portside.errors import UsageError
from portside.events import FileActed

log = logging.getLogger("portside")

AT_ONCE: Final = 4  # hooks of one process at the same time; the others wait
COMMAND_S_MAX: Final = 3_600.0  # a command that never ends must not keep a session for ever
OUTPUT_SHOWN_BYTES: Final = 500  # of a command that failed

_TARGET: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")

HookFunction = Callable[[FileActed], object]


class Hook:
    """Runs the operator's function or command for each file that has come."""

    def __init__(self, name: str, function: HookFunction) -> None:
        self._name = name
        self._function = function
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, network: Network, event: FileActed) -> None:
        """Run it, and return when it is done. Raises nothing."""
        if self._pool is None:  # not before a fork: threads do not survive one
            self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="portside-ftp-hook")
        try:
            await network.run_blocking(self._function, event, pool=self._pool)
        except Exception:
            log.exception("the hook %s failed for %s", self._name, event.path)


def hook_of(text: str, root: str) -> Hook:
    """Return the hook that ``module:function`` or a command line names; ``root`` is where the files are.

    A command gets the file's path on this machine as its last argument, and in its environment ``PORTSIDE_FTP_PATH``
    (from the service's root), ``PORTSIDE_FTP_USER``, ``PORTSIDE_FTP_PEER``, ``PORTSIDE_FTP_BYTES`` and, where it is
    known, ``PORTSIDE_FTP_DIGEST``. Raises: UsageError.
    """
    if _TARGET.fullmatch(text):
        return Hook(text, _function_of(text))
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"the hook {text!r} cannot be read: {error}") from error
    if not words:
        raise UsageError("on_upload is MODULE:FUNCTION or a command")
    return Hook(text, _Command(words, root))


def _function_of(text: str) -> HookFunction:
    module_name, _, path = text.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the hook {text} cannot be loaded: {error}") from error
    if not callable(found):
        raise UsageError(f"the hook {text} is nothing that can be called")
    return found


class _Command:
    def __init__(self, words: list[str], root: str) -> None:
        self._words = words
        self._root = root

    def __call__(self, event: FileActed) -> None:
        facts = {
            "PATH": event.path,
            "USER": event.user,
            "PEER": str(event.peer),
            "BYTES": str(event.size_bytes),
            "DIGEST": event.digest or "",
        }
        done = subprocess.run(
            [*self._words, os.path.join(self._root, event.path.lstrip("/"))],
            env={**os.environ, **{f"PORTSIDE_FTP_{name}": value for name, value in facts.items() if value}},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        if done.returncode:
            said = done.stdout[-OUTPUT_SHOWN_BYTES:].decode("utf-8", "backslashreplace").strip()
            log.warning("the hook %s ended with status %d: %s", self._words[0], done.returncode, said)
