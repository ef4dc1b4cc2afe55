"""What is made of a file, and made anew when the file changes; where the new one is broken, the old one stays."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from portside.errors import PortsideError

log = logging.getLogger("portside")

Made = TypeVar("Made")


class Following(Generic[Made]):
    """Has the last good thing that ``make`` made of a file of users.

    ``mark`` is what of the file's stat says that it is another than before. Any thread may ask.
    """

    def __init__(self, path: str, make: Callable[[], Made], mark: Callable[[os.stat_result], object]) -> None:
        """Make it for the first time. Raises: what ``make`` raises."""
        self._path = path
        self._make = make
        self._mark = mark
        self._lock = threading.Lock()
        self._seen = self._look()  # before making: a change meanwhile is seen as one
        self._made = make()

    @property
    def is_current(self) -> bool:
        """Whether ``current`` has nothing to read."""
        return self._look() == self._seen

    def current(self) -> Made:
        """Return what the file is now, or was when it last made sense."""
        if not self.is_current:
            with self._lock:
                seen = self._look()
                if seen != self._seen:  # another thread may just have been here
                    self._make_anew()
                    self._seen = seen
        return self._made

    def _make_anew(self) -> None:
        try:
            self._made = self._make()
        except PortsideError as error:  # said once: what was seen is remembered, good or not
            log.error("the users stay as they were, because %s cannot be read anew: %s", self._path, error)
        else:
            log.info("the file of users was read anew: %s", self._path)

    def _look(self) -> object:
        try:
            return self._mark(os.stat(self._path))
        except OSError as error:
            return error.errno
