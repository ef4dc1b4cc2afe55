"""Carrying out the acts that take files from the client: STOR, STOU and APPE."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Final

from portside import events
from portside.contracts import Connection
from portside.protocols.ftp import acts
from portside.protocols.ftp.acts_files import told_digest
from portside.protocols.ftp.exchanges import begin, why
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.transfers import LEFT, TRUNCATED, Failed, QuotaUsedUp, Representation, receive_stored
from portside.protocols.ftp.visit import Visit, carries_out
from portside.storage import paths
from portside.storage.contract import Storage, StorageError, Upload, Withdrawn

UNIQUE_NAME_BYTES: Final = 8  # of chance in a name that STOU makes: nobody else has it

# Linux closes what a killed process had open from the last to the first: its data connection some microseconds before
# its control connection, or milliseconds where the dying process waits for a processor in between. So an upload is
# looked at a little later than it ends: by a tenth of what it took, and no more than the most. What takes a few
# milliseconds does not wait at all: few are killed in them, and small files that come by the thousand pay nothing.
# But nothing at all, in place of a file, is more often somebody's end than somebody's wish.
GRACE_S_MAX: Final = 0.010
GRACE_S_MIN: Final = 0.0005
GRACE_SHARE: Final = 0.1


class Reception:
    """STOR, STOU and APPE: a file on its way from the client."""

    def __init__(
        self,
        visit: Visit,
        verb: str,
        path: str,
        upload: Upload,
        *,
        room_bytes: int | None,
        replaced_bytes: int,
    ) -> None:
        self.verb = verb
        self.path = path
        self.is_short = False  # it waits for the client in any case
        self._visit = visit
        self._act: events.FileAct = "append" if verb == "APPE" else "upload"
        self._upload: Upload | None = upload
        self._room_bytes = room_bytes
        self._replaced_bytes = replaced_bytes
        self._received_bytes = 0
        self._started_s = visit.network.now_s()

    async def move(self, data: Connection, how: Representation) -> None:
        assert self._upload is not None
        self._received_bytes = await receive_stored(data, self._upload.file, self._room_bytes, how)

    async def complete(self, data: Connection) -> Reply:
        """Commit the upload, if its end is the client's own word and not the end of the client."""
        is_strict = self._visit.server.strict_ends
        if is_strict and data.is_truncated:
            raise Failed(426, TRUNCATED)
        assert self._upload is not None
        # Before the commit: of uploads that end at once only as many come about as there is room for.
        if not await self._visit.quota.take(self._received_bytes, self._replaced_bytes):
            raise QuotaUsedUp(self.path)
        if is_strict and data.tls is None:  # whose own end is nobody's but the client's
            await self._let_the_killed_end()
        try:
            commit = partial(self._upload.commit, is_withdrawn=self._client_is_gone if is_strict else None)
            if self._upload.is_at_hand:
                commit()
            else:
                await self._visit.run_blocking(commit)
        except Withdrawn as error:
            raise Failed(426, LEFT) from error
        self._upload = None
        await self._tell()
        return Reply(226, ("The file is stored.",))

    async def _let_the_killed_end(self) -> None:
        """Wait a little, in proportion, for the end of a control connection whose client has been killed."""
        network = self._visit.network
        took_s = network.now_s() - self._started_s
        grace_s = min(GRACE_S_MAX, GRACE_SHARE * took_s) if self._received_bytes else GRACE_S_MAX
        if grace_s >= GRACE_S_MIN:
            await network.sleep(grace_s)

    def _client_is_gone(self) -> bool:
        """Tell whether the end of the data was the end of the client.

        One that is killed ends both connections alike, a moment apart, and half a file must not pass for a whole one.
        So this is asked as late as can be; whoever wants a file stored waits to hear that it is.
        """
        return self._visit.control.peer_has_ended

    async def _tell(self) -> None:
        visit = self._visit
        if visit.server.hook is None and not events.listening(events.FileActed):
            return
        event = visit.tell_act(
            self._act,
            self.path,
            size_bytes=self._received_bytes,
            duration_s=visit.network.now_s() - self._started_s,
            digest=await told_digest(visit, self.path),
        )
        visit.start_hook(event)

    async def give_up(self, error: BaseException) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            # What there is no room for cannot be gone on with, and would take the room of everything else.
            keep = not isinstance(error, QuotaUsedUp)
            await self._visit.run_blocking(partial(upload.abandon, keep=keep))
            self._visit.quota.forget()  # what is kept takes room as well
        self._visit.tell_act(self._act, self.path, failed=why(error))

    async def close(self) -> None:
        """Either of the two has let go of the upload."""


@carries_out(acts.Store)
async def _store(visit: Visit, act: acts.Store) -> Reply | None:
    visit.need_way()  # to append may take a copy of the whole file
    verb = "STOU" if act.unique else "APPE" if act.offset is None else "STOR"
    # With chance in it always: of two who ask for the same name at once, both would find it free.
    path = f"{act.path}.{secrets.token_hex(UNIQUE_NAME_BYTES)}" if act.unique else act.path
    room = await visit.quota.room_bytes()
    replaced_bytes = 0
    if room is not None and act.offset == 0:
        replaced_bytes = await visit.run_blocking(_bytes_at, visit.storage, path)
        room += replaced_bytes
    upload = visit.storage.upload_nowait(path) if act.offset == 0 else None
    if upload is None:
        upload = await visit.run_blocking(partial(visit.storage.upload, path, offset=act.offset))
    reception = Reception(visit, verb, path, upload, room_bytes=room, replaced_bytes=replaced_bytes)
    name = paths.split(path)[1]
    opening = f"FILE: {name}" if act.unique else f"Ready for {name}."  # STOU's form: RFC 1123 section 4.1.2.9
    await begin(visit, reception, opening, visit.server.rates_in(visit.control, visit.account))
    return None


def _bytes_at(storage: Storage, path: str) -> int:
    try:
        return storage.stat(path).size_bytes
    except StorageError:
        return 0
