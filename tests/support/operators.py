"""Somebody who holds a server's control socket, and asks it as a program would."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from support.waiting import WITHIN_S


class Refused(Exception):
    """The server's sentence."""


class Asking:
    """Asks over a control socket, each time anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def option(self) -> tuple[str, str]:
        return "--control", str(self.path)

    def ask(self, do: str, **about: Any) -> Any:
        """Return what ``ok`` holds. Raises: Refused."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(WITHIN_S)
            client.connect(str(self.path))
            client.sendall(json.dumps({"do": do, "id": 7, **about}).encode() + b"\n")
            answer = json.loads(client.makefile().readline())
        assert answer["id"] == 7
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["ok"]

    def connections(self) -> list[dict[str, Any]]:
        """Return the first page of each worker's connections."""
        return [one for worker in self.ask("connections")["workers"] for one in worker["connections"]]

    def words_of(self, connection: str) -> list[tuple[str, str]]:
        """Return direction and words of each message that is kept."""
        found = self.ask("conversation", connection=connection)["messages"]
        return [(message["direction"], message["words"]) for message in found]
