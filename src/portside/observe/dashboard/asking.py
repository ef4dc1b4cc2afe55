"""What the dashboard asks of the server it shows, and how that can fail. Who carries it there is not known here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from portside.errors import PortsideError

Ask: TypeAlias = Callable[[dict[str, Any]], Awaitable[Any]]
"""Puts a question of the control protocol and returns what its answer's ``ok`` holds. Raises: Refused, Silent."""


class Refused(PortsideError):
    """The server answered, and says why it does not do what it was asked."""


class Silent(PortsideError):
    """The server does not answer."""
