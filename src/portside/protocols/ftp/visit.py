"""A visit: one client's control connection, from the greeting to the goodbye.

The visit reads commands, has the session make sense of them, and carries out its acts; what each act takes is in the
tables of ``acts_access``, ``acts_transfer`` and ``acts_files``. A transfer goes on beside the conversation: while it
does, only what a client may say to it is heeded (ABOR, STAT), and every other command waits for its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

from portside import events
from portside.accounts.account import Account
from portside.accounts.quota import Quota
from portside.contracts import Connection, Network, Work
from portside.errors import EndOfStream, LineTooLong
from portside.protocols.ftp.commands import VERBS, Command, MalformedCommand, parse_command
from portside.protocols.ftp.data import Way
from portside.protocols.ftp.refusals import reply_to
from portside.protocols.ftp.replies import Reply, build_reply
from portside.protocols.ftp.server import Server
from portside.protocols.ftp.session import Refused, Session, fitted
from portside.protocols.ftp.telnet import IAC, build_refusals
from portside.protocols.ftp.transfers import Protection, Transfer
from portside.storage.contract import Storage, StorageError

if TYPE_CHECKING:
    import ssl

Result = TypeVar("Result")

COMMAND_BYTES_MAX: Final = 8_192 + 512  # a path of PATH_MAX whose every byte is a doubled IAC, and its verb
SECRET_VERBS: Final = frozenset({"PASS", "ACCT", "ADAT"})


class Visit:
    """What the server knows of one control connection."""

    __slots__ = (
        "account_held",
        "control",
        "hooks",
        "is_leaving",
        "server",
        "session",
        "storage",
        "tls_context",
        "transfer",
        "way",
    )

    def __init__(self, server: Server, control: Connection) -> None:
        self.server = server
        self.control = control
        tls = control.tls
        self.session = Session(
            server.policy, control.peer, is_protected=tls is not None, server_name=tls.server_name if tls else None
        )
        self.storage: Storage = server.storage
        self.transfer: Transfer | None = None
        self.way: Way | None = None  # how the next data connection comes about
        self.tls_context: ssl.SSLContext | None = None if tls is None or server.tls is None else server.tls.context
        self.account_held: Account | None = None
        self.hooks: list[Work] = []
        self.is_leaving = False

    @property
    def network(self) -> Network:
        return self.control.network

    @property
    def quota(self) -> Quota:
        """What bounds the account that is logged in."""
        return Quota(self.account, self.server.counters, partial(self.run_blocking, self.storage.usage_bytes))

    async def run_blocking(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await self.network.run_blocking(function, *arguments)

    # ── the conversation ─────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        if self.server.doorkeeper.is_banned(self.session.peer_host):
            await self.say(Reply(421, ("Too many failed logins from your address; try again later.",)))
            return
        await self.say(Reply(220, ("Portside FTP is ready.",)))
        try:
            while not self.is_leaving and (line := await self._next_line()) is not None:
                await self._heed(line)
            await self.wait_for_transfer()  # also of a client that has said its last: it may listen still
        finally:
            await self._leave()

    async def _next_line(self) -> bytes | None:
        """Return the next line without its end, None when there are no more."""
        try:
            line = await self.control.read_until(b"\n", COMMAND_BYTES_MAX)
        except LineTooLong:
            await self.say(Reply(500, (f"A command has at most {COMMAND_BYTES_MAX} bytes.",)))
            raise
        except EndOfStream as end:
            # A client that was killed may have said half a command, and DELE /a is half of DELE /a/b.
            if end.received:
                await self.wait_for_transfer()
                await self.say(Reply(500, ("The command has no end.",)))
            return None
        return line[:-2] if line.endswith(b"\r\n") else line[:-1]

    async def _heed(self, line: bytes) -> None:
        if IAC in line and (refusals := build_refusals(line)):  # RFC 1123 section 4.1.2.12
            await self.control.write(refusals)
        try:
            command = parse_command(line)
        except MalformedCommand as error:
            await self.wait_for_transfer()
            self._tell("in", "(malformed)", len(line))
            await self.say(Reply(error.code, (f"{error.why[:1].upper()}{error.why[1:]}.",)))
            return
        verb = VERBS.get(command.verb)
        if self.transfer is not None and (self.transfer.is_over or verb is None or not verb.during_transfer):
            await self.wait_for_transfer()
        self._tell_command(command, len(line))
        reply = await self._answer(command)
        if reply is not None:
            await self.say(reply)

    async def _answer(self, command: Command) -> Reply | None:
        """Return what to say, or None where an act has said it, or will."""
        outcome = self.session.receive(command)
        if isinstance(outcome, Reply):
            return outcome
        try:
            return await ACTS[type(outcome)](self, outcome)
        except Refused as refusal:
            return fitted(refusal.reply, command.verb)
        except StorageError as error:
            return fitted(reply_to(error), command.verb)

    async def say(self, *replies: Reply) -> None:
        """Say one reply, or several in one breath."""
        said = [build_reply(reply) for reply in replies]
        if events.listening(events.Spoke):
            for reply, line in zip(replies, said, strict=True):
                self._tell("out", f"{reply.code} {reply.lines[0] if reply.lines else ''}".rstrip(), len(line))
        await self.control.write(*said)

    def _tell_command(self, command: Command, size_bytes: int) -> None:
        if events.listening(events.Spoke):
            argument = "…" if command.verb in SECRET_VERBS else command.argument
            self._tell("in", f"{command.verb} {argument}".rstrip(), size_bytes)

    def _tell(self, direction: Any, words: str, size_bytes: int, lane: str = "") -> None:
        if events.listening(events.Spoke):
            events.emit(events.Spoke(self.server.service, self.control.id, direction, words, size_bytes, lane))

    def tell_of_data(self, direction: Literal["in", "out"], words: str, size_bytes: int = 0) -> None:
        """Tell whoever watches what goes over the data connection."""
        self._tell(direction, words, size_bytes, "data")

    # ── what acts use ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def account(self) -> Account:
        assert self.session.account is not None
        return self.session.account

    async def wait_for_transfer(self) -> None:
        """Return when no transfer is under way, and the last one's reply is said."""
        transfer, self.transfer = self.transfer, None
        if transfer is not None:
            await transfer.wait()

    async def prepare(self, way: Way | None) -> None:
        """Set how the next data connection comes about, in place of what was prepared before."""
        before, self.way = self.way, way
        if before is not None:
            await before.close()

    def need_way(self) -> None:
        """Check that a data connection can come about, before any work for it is done. Raises: Refused."""
        if self.way is None:
            raise Refused(425, "Say EPSV, PASV, EPRT or PORT first.")

    def take_way(self) -> Way:
        """Return how this transfer's data connection comes about; it holds for one only. ``need_way`` goes before."""
        way, self.way = self.way, None
        assert way is not None
        return way

    @property
    def protection(self) -> Protection | None:
        """How data connections are protected, None when they are in the clear. Raises: Refused."""
        if not self.session.protects_data:
            return None
        if self.tls_context is None:  # the control connection's TLS is somebody else's
            raise Refused(521, "There is no certificate here to protect data connections with.")
        return Protection(self.tls_context, must_resume=self.server.must_resume)

    def tell_act(self, act: events.FileAct, path: str, **facts: Any) -> events.FileActed:
        """Tell whoever listens what was done to a file, and return it. The path is from the account's root."""
        event = events.FileActed(
            self.server.service,
            self.control.id,
            self.control.peer,
            self.account.name,
            act,
            self.from_service_root(path),
            **facts,
        )
        events.emit(event)
        return event

    def from_service_root(self, path: str) -> str:
        """Return a path that is from the account's root as the operator knows it."""
        root = self.account.root.strip("/")
        return f"/{root}{path}" if root else path

    def start_hook(self, event: events.FileActed) -> None:
        """Run the operator's hook beside the session."""
        if self.server.hook is not None:
            self.hooks = [hook for hook in self.hooks if not hook.done]
            self.hooks.append(self.network.start(self.server.hook.run(self.network, event)))

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def let_go_of_account(self) -> None:
        account, self.account_held = self.account_held, None
        if account is not None:
            self.server.doorkeeper.let_go(account)
        storage, self.storage = self.storage, self.server.storage
        if storage is not self.server.storage:
            storage.close()

    async def _leave(self) -> None:
        """Leave nothing behind, however the conversation ended."""
        transfer, self.transfer = self.transfer, None
        try:
            if transfer is not None:
                await transfer.abort()
        finally:
            await self.prepare(None)
            await self.let_go_of_account()
            if self.hooks:
                await self.control.close()  # the client has no part in them
            for hook in self.hooks:
                await hook.wait()


# ── the table of acts ────────────────────────────────────────────────────────────────────────────────────────────────

CarryOut: TypeAlias = Callable[[Visit, Any], Awaitable[Reply | None]]

ACTS: Final[dict[type, CarryOut]] = {}
"""What each act takes; the modules of acts fill it when the package is imported."""


def carries_out(kind: type) -> Callable[[CarryOut], CarryOut]:
    """Enter what carries out the acts of that kind into the table."""

    def enter(carry_out: CarryOut) -> CarryOut:
        ACTS[kind] = carry_out
        return carry_out

    return enter
