"""A server that fails at every moment, and a file that is whole in the end or not there; in memory, in virtual time."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from portside.cli.progress import Silent
from portside.cli.transfer import Wishes
from portside.cli.transfer_files import Done, Manner, fetch, send
from portside.cli.transfer_jobs import Job, Outcome, Plan, Runner
from portside.cli.transfer_login import Logins
from portside.errors import PortsideError
from portside.protocols.ftp.client import FtpClient, parse_url
from portside.testing.memory import MemoryNetwork
from support.scripted_ftp import URL, Answer, Data, ScriptedServer, Visit, meet

CONTENT = bytes(range(256)) * 8
SERVER = parse_url(URL)
FEAT = "211-\r\n SIZE\r\n MDTM\r\n REST STREAM\r\n211 ."

# How a transfer fails once some bytes have moved.
FAULTS = st.sampled_from(["reset", "cut short", "426", "451", "leaves", "stalls", "refuses", "drops"])
TROUBLES = st.lists(st.tuples(FAULTS, st.integers(0, len(CONTENT) - 1)), max_size=6)


class Faulty:
    """A server with one file, and with troubles to come, one a transfer."""

    def __init__(self, troubles: list[tuple[str, int]], stored: bytes | None) -> None:
        self.troubles = list(troubles)
        self.stored = stored
        self.offset = 0

    def answers(self) -> dict[str, Answer]:
        return {
            "FEAT": FEAT,
            "MDTM": "213 20231114221320",
            "REST": self.rest,
            "SIZE": self.size,
            "RETR": self.retrieve,
            "STOR": self.store,
        }

    async def size(self, visit: Visit, argument: str) -> None:
        await visit.say("550 Nothing." if self.stored is None else f"213 {len(self.stored)}")

    async def rest(self, visit: Visit, argument: str) -> None:
        self.offset = int(argument)
        await visit.say("350 From there on.")

    async def retrieve(self, visit: Visit, argument: str) -> None:
        assert self.stored is not None
        offset, self.offset = self.offset, 0
        if not self.troubles:
            await visit.transfer(Data(self.stored[offset:]))
            return
        fault, count = self.troubles.pop(0)
        await self.fail(visit, fault, self.stored[offset : offset + count])

    async def store(self, visit: Visit, argument: str) -> None:
        offset, self.offset = self.offset, 0
        if not self.troubles:
            await visit.transfer(Data())
            self.stored = (self.stored or b"")[:offset] + visit.received
            return
        fault, count = self.troubles.pop(0)
        if fault == "cut short":  # it takes less than was sent, and says that all is well
            await visit.transfer(Data())
            self.stored = visit.received[:count]
            return
        await self.fail(visit, fault, None)

    async def fail(self, visit: Visit, fault: str, content: bytes | None) -> None:
        match fault:
            case "refuses":
                await visit.say("425 No data connection now.")
            case "reset" if content is not None:
                await visit.transfer(Data(content, after="226 All is well.", end="reset"))
            case "cut short":
                await visit.transfer(Data(content))
            case "426" | "451" | "reset":
                await visit.transfer(Data(content, after=f"{fault if fault.isdigit() else 426} It failed."))
            case "stalls" if content is not None:
                await visit.say("150 Here it comes.")
                connection = await visit.connected()
                await connection.write(content)
                await visit.control.read()  # whatever the client says then, it gets no answer
                visit.control.abort()
            case _:
                await visit.say("150 Here it comes.")
                connection = await visit.connected()
                if content is not None:
                    await connection.write(content)
                (connection if fault == "drops" else visit.control).abort()
                await visit.control.close()


def carry(faulty: Faulty, act: object, *, retries: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    logins = Logins()
    logins.find(SERVER)

    async def run(network: MemoryNetwork, server: ScriptedServer) -> None:
        plan = Plan(retries=retries)
        runner = Runner(network, Wishes(timeout_s=5.0, logins=logins), plan, Silent(io.StringIO()), outcomes.append)
        await runner.run([Job(SERVER, "x", "x", act, resumes_itself=True)])  # type: ignore[arg-type]

    meet(run, faulty.answers())
    return outcomes


@given(TROUBLES, st.integers(0, 6))
@settings(max_examples=150)
def test_a_download_is_whole_or_has_not_its_name(troubles: list[tuple[str, int]], retries: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        local = Path(directory) / "x"
        local.write_bytes(b"old")

        async def act(client: FtpClient, manner: Manner) -> Done:
            return await fetch(client, "x", local, manner)

        (outcome,) = carry(Faulty(troubles, CONTENT), act, retries=retries)
        if len(troubles) <= retries:
            assert outcome.error is None
            assert [path.name for path in Path(directory).iterdir()] == ["x"]
        if outcome.error is None:
            assert local.read_bytes() == CONTENT
        else:
            assert isinstance(outcome.error, PortsideError | TimeoutError)
            assert local.read_bytes() == b"old"
            part = local.with_name("x.part")
            assert not part.exists() or CONTENT.startswith(part.read_bytes())


@given(TROUBLES, st.integers(0, 6))
@settings(max_examples=150)
def test_an_upload_that_is_told_done_is_whole(troubles: list[tuple[str, int]], retries: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        local = Path(directory) / "x"
        local.write_bytes(CONTENT)

        async def act(client: FtpClient, manner: Manner) -> Done:
            return await send(client, local, "x", Manner(manner.network, manner.progress))

        faulty = Faulty(troubles, b"old")
        (outcome,) = carry(faulty, act, retries=retries)
        if len(troubles) <= retries:
            assert outcome.error is None
        if outcome.error is None:
            assert faulty.stored == CONTENT
        else:
            assert isinstance(outcome.error, PortsideError | TimeoutError)
