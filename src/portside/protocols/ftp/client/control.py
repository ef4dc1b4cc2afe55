"""The control connection: one command, its reply, and what makes the next command impossible.

A conversation that was broken off between a command and its reply cannot go on: the next reply would be taken for
another command's. So whatever interrupts an exchange (a timeout, a cancelled task, nonsense) ends the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portside.contracts import Connection, Network
from portside.errors import ConnectionLost, LineTooLong, MalformedMessage, UsageError
from portside.protocols.ftp.client.errors import UnexpectedReply, refusal
from portside.protocols.ftp.client.supervision import guarded
from portside.protocols.ftp.commands import Command, build_command
from portside.protocols.ftp.replies import Reply, ReplyReader

if TYPE_CHECKING:
    import ssl

LINE_BYTES_MAX: Final = 8_192  # of a reply: a path has at most 4,096 bytes on most systems
PRELIMINARY_MAX: Final = 100  # 1yz replies before the one that counts: a server that never comes to it is given up

_SECRET: Final = frozenset({"PASS", "ACCT"})


class Control:
    """Says commands and hears replies, each within ``timeout_s`` seconds. Replies never say who was asked: the caller
    says ``words``, the command as people may read it.
    """

    def __init__(self, connection: Connection, *, timeout_s: float) -> None:
        self.connection = connection
        self.timeout_s = timeout_s
        self._reader = ReplyReader()

    @property
    def network(self) -> Network:
        return self.connection.network

    # ── one exchange ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def ask(self, verb: str, argument: str = "", *, timeout_s: float | None = None) -> Reply:
        """Say a command and return the 2yz or 3yz reply that ends it; those that only announce it are passed over.

        Raises: Refused for 4yz and 5yz. Anything else ends the connection: TimeoutError, MalformedMessage,
        UnexpectedReply, ConnectionLost.
        """
        reply = await self._exchange(verb, argument, announced=False, timeout_s=timeout_s)
        return accepted(words_of(verb, argument), reply)

    async def begin(self, verb: str, argument: str = "") -> Reply:
        """Say a command that is announced before it is done, as transfers are, and return the first reply, 1yz or 2yz.

        Raises: as ``ask`` does.
        """
        reply = await self._exchange(verb, argument, announced=True, timeout_s=None)
        return accepted(words_of(verb, argument), reply)

    async def greeting(self) -> Reply:
        """Return the server's first words, 220; a 120 before them asks for patience. Raises: as ``ask`` does."""
        return accepted("the connection", await self._hear_answer("the connection", announced=False, timeout_s=None))

    async def _exchange(self, verb: str, argument: str, *, announced: bool, timeout_s: float | None) -> Reply:
        try:
            line = build_command(Command(verb, argument))
        except ValueError as error:  # nothing was said yet
            raise UsageError(f"{words_of(verb, argument)!r} cannot be said to an FTP server: {error}") from error
        try:
            await self.connection.write(line)
        except BaseException:
            self.connection.abort()
            raise
        return await self._hear_answer(words_of(verb, argument), announced=announced, timeout_s=timeout_s)

    async def _hear_answer(self, words: str, *, announced: bool, timeout_s: float | None) -> Reply:
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            for _ in range(PRELIMINARY_MAX):
                reply = await self.hear(timeout_s)
                # Some servers say 200 before the 150 of a transfer.
                if (announced and reply.code != 200) or (not announced and reply.code // 100 != 1):
                    return reply
            raise UnexpectedReply(words, reply)
        except TimeoutError as error:
            self.connection.abort()
            raise TimeoutError(f"no answer to {words} within {timeout_s:g} s") from error
        except BaseException:
            self.connection.abort()
            raise

    async def hear(self, timeout_s: float) -> Reply:
        """Return the next reply. A timeout loses nothing: what came of a reply is kept for the next call.

        Raises: TimeoutError, MalformedMessage, ConnectionLost.
        """
        network = self.network
        deadline_s = network.now_s() + timeout_s
        while True:
            try:
                line = await self.connection.read_line(LINE_BYTES_MAX, max(0.0, deadline_s - network.now_s()))
            except LineTooLong as error:
                raise MalformedMessage(f"a line of an FTP reply (RFC 959 section 4.2): {error}") from error
            if line is None:
                raise ConnectionLost("the server closed the control connection")
            reply = self._reader.feed(line)
            if reply is not None:
                return reply

    async def say(self, verb: str) -> None:
        """Say a command whose reply is heard by whoever waits for another one: ABOR, in the middle of a transfer."""
        await self.connection.write(build_command(Command(verb, "")))

    # ── TLS and the end ──────────────────────────────────────────────────────────────────────────────────────────────

    async def secure(self, context: ssl.SSLContext, server_name: str) -> None:
        """Begin TLS by RFC 4217 section 4. Raises: NotSupported, TlsFailed, TimeoutError."""
        await self.ask("AUTH", "TLS")

        async def shake_hands() -> None:
            await self.connection.start_tls(context, server_side=False, server_name=server_name)

        async def stop() -> None:
            self.connection.abort()

        await guarded(shake_hands(), self.network, stop, timeout_s=self.timeout_s, what="TLS handshake")


def words_of(verb: str, argument: str) -> str:
    """Return the command as it may be shown: a password is none of anybody's business."""
    if verb in _SECRET or not argument:
        return verb
    return f"{verb} {argument}"


def accepted(words: str, reply: Reply) -> Reply:
    """Return the reply if it is none of refusal. Raises: Refused."""
    if reply.code // 100 in (4, 5):
        raise refusal(words, reply)
    return reply
