"""What all acts of a client share: the control connection, and the one transfer that may be under way.

FTP does one thing at a time. A transfer that was left in the middle (a listing nobody reads on, a task that was
cancelled) still owes a reply; before the next command it is aborted, so that every reply is the right command's.
"""

from __future__ import annotations

import weakref
from typing import Final

from portside.errors import HandlerError
from portside.protocols.ftp.client.channel import Channel, Channels, stop_quietly
from portside.protocols.ftp.client.control import Control, words_of
from portside.protocols.ftp.client.errors import NotSupported, Refused, UnexpectedReply
from portside.protocols.ftp.client.words import Features, parse_path
from portside.protocols.ftp.replies import Reply

ABORT_S: Final = 10.0  # how long an answer to ABOR may take: some servers give one reply where there should be two


class Underway:
    """A transfer from its announcement to its final reply.

    ``owner`` is the object that reads it to its end at its user's pace: once nobody has that any more, the transfer is
    nobody's. ``is_carried`` says that a call is carrying it right now.
    """

    def __init__(self, words: str, channel: Channel, first: Reply, owner: object | None) -> None:
        self.words = words
        self.channel = channel
        self.final = None if first.is_preliminary else first
        self.replies_due = 1 if first.is_preliminary else 0
        self.is_carried = False
        self.is_aborted = False
        self._owner = None if owner is None else weakref.ref(owner)

    def disown(self) -> None:
        """Note that its owner reads no further."""
        self._owner = None

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still wants it."""
        return self.is_carried or (not self.is_aborted and self._owner is not None and self._owner() is not None)


class Session:
    """A session with a server, logged in. ``refused`` are the verbs it did not know."""

    def __init__(self, control: Control, channels: Channels, features: Features) -> None:
        self.control = control
        self.channels = channels
        self.features = features
        self.refused: set[str] = set()
        self._underway: Underway | None = None
        self._type = ""
        self._home: str | None = None
        self._is_away = False
        self._is_unix: bool | None = None

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def ask(self, verb: str, argument: str = "", *, timeout_s: float | None = None) -> Reply:
        """Say a command and return its reply, 2yz or 3yz. Raises: as ``Control.ask`` does."""
        await self.settle()
        return await self.control.ask(verb, argument, timeout_s=timeout_s)

    async def try_(self, verb: str, argument: str = "") -> Reply | None:
        """Say a command that the server may not know; None if it does not, and then it is not asked again."""
        if verb in self.refused or not self.features.may_know(verb):
            return None
        try:
            return await self.ask(verb, argument)
        except NotSupported:
            self.refused.add(verb)
            return None

    async def set_type(self, letter: str) -> None:
        """Make the next transfer one of that type: I for bytes as they are, A for text."""
        if self._type != letter:
            await self.ask("TYPE", letter)
            self._type = letter

    async def go_to(self, path: str) -> None:
        """Make the directory the current one, until the next command but a transfer's."""
        if self._home is None:
            self._home = parse_path(await self.ask("PWD"))
        await self.ask("CWD", path)
        self._is_away = True

    async def is_unix(self) -> bool:
        """Tell whether the server says that it is of the kind whose LIST takes the options of ls."""
        if self._is_unix is None:
            try:
                self._is_unix = "UNIX" in (await self.ask("SYST")).text.upper()
            except Refused:
                self._is_unix = False
        return self._is_unix

    # ── transfers ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self, verb: str, argument: str, *, offset: int = 0, owner: object | None = None) -> Underway:
        """Begin a transfer. Raises: Refused, NetworkError, TimeoutError; there is none under way then."""
        channel = await self.channels.open()
        try:
            if offset:
                await self.control.ask("REST", str(offset))
            first = await self.control.begin(verb, argument)
            if first.is_intermediate:
                raise UnexpectedReply(words_of(verb, argument), first)
        except BaseException:
            await stop_quietly(channel)
            raise
        self._underway = underway = Underway(words_of(verb, argument), channel, first, owner)
        return underway

    def is_underway(self, underway: Underway) -> bool:
        return self._underway is underway

    async def hear_final(self, underway: Underway) -> Reply:
        """Return the reply that ends a transfer whose data has ended. Raises: TimeoutError, Aborted."""
        if underway.final is None:
            try:
                self.finished(underway, await self.control.hear(self.control.timeout_s))
            except TimeoutError as error:
                wait_s = self.control.timeout_s
                raise TimeoutError(f"no answer to the end of {underway.words} within {wait_s:g} s") from error
        assert underway.final is not None
        return underway.final

    def finished(self, underway: Underway, final: Reply) -> None:
        """Note the final reply."""
        if underway.final is None:
            underway.final = final
            underway.replies_due -= 1
        if not underway.is_aborted:
            self._underway = None

    async def settle(self) -> None:
        """See to it that the next reply will be the next command's, and that relative paths are what they were.

        Raises: HandlerError when something is under way that somebody still wants.
        """
        if self._underway is not None:
            if self._underway.is_wanted:
                raise HandlerError(f"{self._underway.words} is still under way: FTP does one thing after the other")
            await self.abort()
        if self._is_away:
            self._is_away = False
            assert self._home is not None
            await self.control.ask("CWD", self._home)

    async def abort(self) -> None:
        """Abort what is under way, if anything is. A call that carries it raises Aborted.

        Raises: TimeoutError, ConnectionLost, MalformedMessage, and the session is over.
        """
        underway = self._underway
        if underway is None:
            return
        underway.is_aborted = True
        await stop_quietly(underway.channel)
        if underway.replies_due:
            await self.control.say("ABOR")
            underway.replies_due += 1
        if not underway.is_carried:
            await self.hear_rest(underway)

    async def hear_rest(self, underway: Underway) -> None:
        """Hear the replies that an aborted transfer still owes."""
        self._underway = None
        try:
            while underway.replies_due:
                await self.control.hear(min(ABORT_S, self.control.timeout_s))
                underway.replies_due -= 1
        except BaseException:
            self.control.connection.abort()
            raise
