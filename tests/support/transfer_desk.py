"""A directory that single files are carried from and to, by a client of a server in memory that a test scripts."""

from __future__ import annotations

import io
from pathlib import Path

from portside.cli.progress import Progress, Silent
from portside.cli.transfer_files import Done, Known, Manner, fetch, send
from portside.protocols.ftp.client import FtpClient
from portside.testing.memory import MemoryNetwork
from support.scripted_ftp import URL, Answer, Data, ScriptedServer, meet

CONTENT = b"0123456789"
MODIFIED_NS = 1_700_000_000_000_000_000
FEAT = "211-\r\n SIZE\r\n MDTM\r\n MFMT\r\n REST STREAM\r\n211 ."
WHOLE: dict[str, Answer] = {
    "FEAT": FEAT,
    "SIZE": f"213 {len(CONTENT)}",
    "MDTM": "213 20231114221320",
    "MFMT": "213 Modify=20231114221320; x",
    "RETR": Data(CONTENT),
    "STOR": Data(),
    "APPE": Data(),
}
TYPE, LOOK_UP = "TYPE I", ["TYPE I", "SIZE x", "MDTM x"]


class Desk:
    """A directory for files, and the acts that a test wants to see. ``said`` and ``told``: to the server, to us."""

    def __init__(self, directory: Path) -> None:
        self.local = directory / "x"
        self.part = directory / "x.part"
        self.said: list[str] = []
        self.received = b""
        self._told = io.StringIO()

    @property
    def told(self) -> str:
        return self._told.getvalue()

    def fetch(
        self,
        answers: dict[str, Answer] | None = None,
        *,
        known: Known | None = None,
        progress: Progress | None = None,
        **manner: bool,
    ) -> Done:
        async def act(client: FtpClient, network: MemoryNetwork) -> Done:
            how = Manner(network, progress or Silent(self._told), **manner)
            return await fetch(client, "x", self.local, how, known)

        return self._visit(act, answers)

    def send(self, answers: dict[str, Answer] | None = None, **manner: bool) -> Done:
        async def act(client: FtpClient, network: MemoryNetwork) -> Done:
            return await send(client, self.local, "x", Manner(network, Silent(self._told), **manner))

        return self._visit(act, answers)

    def _visit(self, act: object, answers: dict[str, Answer] | None) -> Done:
        async def whole(network: MemoryNetwork, server: ScriptedServer) -> Done:
            async with await FtpClient.connect(network, URL) as ftp:
                server.said.clear()
                try:
                    done: Done = await act(ftp, network)  # type: ignore[operator]
                finally:
                    self.said = list(server.said)
                    self.received = server.received
            return done

        return meet(whole, {**WHOLE, **(answers or {})})[0]

    def names(self) -> list[str]:
        return sorted(path.name for path in self.local.parent.iterdir())
