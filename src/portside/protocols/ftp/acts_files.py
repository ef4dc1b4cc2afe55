"""Carrying out the acts on files and directories that need no data connection."""

from __future__ import annotations

from typing import BinaryIO, Final

from portside.protocols.ftp import acts
from portside.protocols.ftp.digests import HashReply, build_hash_reply, open_digest
from portside.protocols.ftp.facts import build_facts
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.session import NOT_TAKEN, Refused
from portside.protocols.ftp.times import build_time
from portside.protocols.ftp.verbs_files import quoted
from portside.protocols.ftp.visit import Visit, carries_out
from portside.storage.contract import Entry, NoSuchFile, Storage, StorageError

DIGEST_PIECE_BYTES: Final = 1 << 20
RECORDED_DIGEST: Final = "SHA-256"

# ── directories ──────────────────────────────────────────────────────────────────────────────────────────────────────


@carries_out(acts.ChangeDirectory)
async def _change_directory(visit: Visit, act: acts.ChangeDirectory) -> Reply | None:
    entry = await entry_at(visit, act.path)
    if entry.kind != "directory":
        raise Refused(550, "It is not a directory.")
    visit.session.directory = act.path
    return Reply(250, (f"{quoted(act.path)} is where you are now.",))


@carries_out(acts.MakeDirectory)
async def _make_directory(visit: Visit, act: acts.MakeDirectory) -> Reply | None:
    await visit.run_blocking(visit.storage.make_directory, act.path)
    visit.tell_act("mkdir", act.path)
    return Reply(257, (f"{quoted(act.path)} is made.",))


@carries_out(acts.RemoveDirectory)
async def _remove_directory(visit: Visit, act: acts.RemoveDirectory) -> Reply | None:
    await visit.run_blocking(visit.storage.remove_directory, act.path)
    visit.tell_act("rmdir", act.path)
    return Reply(250, ("The directory is removed.",))


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@carries_out(acts.Delete)
async def _delete(visit: Visit, act: acts.Delete) -> Reply | None:
    await visit.run_blocking(visit.storage.delete, act.path)
    visit.quota.forget()
    visit.tell_act("delete", act.path)
    return Reply(250, ("The file is removed.",))


@carries_out(acts.RenameFrom)
async def _rename_from(visit: Visit, act: acts.RenameFrom) -> Reply | None:
    await entry_at(visit, act.path)
    visit.session.rename_source = act.path
    return Reply(350, ("What shall be its new name?",))


async def _is_there(visit: Visit, path: str) -> bool:
    try:
        await entry_at(visit, path)
    except NoSuchFile:
        return False
    return True


@carries_out(acts.Rename)
async def _rename(visit: Visit, act: acts.Rename) -> Reply | None:
    if not visit.account.may("write") and await _is_there(visit, act.target):
        raise Refused(NOT_TAKEN, "You have no permission to replace files here.")
    await visit.run_blocking(visit.storage.rename, act.source, act.target)
    visit.quota.forget()
    visit.tell_act("rename", act.source, target=visit.from_service_root(act.target))
    return Reply(250, ("It has its new name.",))


# ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@carries_out(acts.TellSize)
async def _tell_size(visit: Visit, act: acts.TellSize) -> Reply | None:
    """Of a file that is not there yet it is what an interrupted upload has left: so clients know where to go on."""
    try:
        entry = visit.storage.stat_nowait(act.path)
    except StorageError:  # what is kept of an upload takes a look of its own
        entry = None
    if entry is None:
        size_bytes = await visit.run_blocking(_size_of, visit.storage, act.path)
        return Reply(213, (str(size_bytes),))
    return Reply(213, (str(_size_in(entry)),))


def _size_of(storage: Storage, path: str) -> int:
    try:
        return _size_in(storage.stat(path))
    except StorageError:
        kept_bytes = storage.interrupted_bytes(path)
        if kept_bytes is None:
            raise
        return kept_bytes


def _size_in(entry: Entry) -> int:
    if entry.kind != "file":
        raise Refused(550, "It is not a regular file.")
    return entry.size_bytes


@carries_out(acts.TellModified)
async def _tell_modified(visit: Visit, act: acts.TellModified) -> Reply | None:
    entry = await entry_at(visit, act.path)
    if entry.kind != "file":
        raise Refused(550, "It is not a regular file.")
    return Reply(213, (build_time(entry.modified_ns),))


@carries_out(acts.SetModified)
async def _set_modified(visit: Visit, act: acts.SetModified) -> Reply | None:
    await visit.run_blocking(visit.storage.set_modified, act.path, act.modified_ns)
    visit.tell_act("utime", act.path)
    if act.answer == "MFMT":
        return Reply(213, (f"Modify={build_time(act.modified_ns)}; {act.typed}",))
    return Reply(200, ("The time is set.",))


@carries_out(acts.SetMode)
async def _set_mode(visit: Visit, act: acts.SetMode) -> Reply | None:
    await visit.run_blocking(visit.storage.set_mode, act.path, act.mode)
    visit.tell_act("chmod", act.path)
    return Reply(200, (f"The mode is {act.mode:03o}.",))


@carries_out(acts.TellFacts)
async def _tell_facts(visit: Visit, act: acts.TellFacts) -> Reply | None:
    entry = await entry_at(visit, act.path)
    facts = build_facts(entry, visit.session.facts, visit.account.permissions, name=act.typed)
    return Reply(250, ("Facts:", f" {facts}", "End"))


@carries_out(acts.Allocate)
async def _allocate(visit: Visit, act: acts.Allocate) -> Reply | None:
    room = await visit.quota.room_bytes()
    if room is not None and act.size_bytes > room:
        raise Refused(552, "The quota of this account has no room for that.")
    return Reply(200, ("There is nothing to do for that.",))


async def entry_at(visit: Visit, path: str) -> Entry:
    """Return what is known of the path, at once where that is possible. Raises: StorageError."""
    entry = visit.storage.stat_nowait(path)
    return await visit.run_blocking(visit.storage.stat, path) if entry is None else entry


# ── digests ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@carries_out(acts.TellDigest)
async def _tell_digest(visit: Visit, act: acts.TellDigest) -> Reply | None:
    size_bytes, digest = await _digest_of(visit, act.path, act.algorithm)
    if act.verb == "HASH":
        text = build_hash_reply(HashReply(act.algorithm, digest, 0, size_bytes, act.typed))
        return Reply(213, (text,))
    return Reply(250, (digest.upper(),))


async def told_digest(visit: Visit, path: str) -> str | None:
    """Return the digest of a file for the records, where the operator wants it."""
    if not visit.server.digests:
        return None
    try:
        _, digest = await _digest_of(visit, path, RECORDED_DIGEST)
    except StorageError:
        return None  # gone again already
    return f"{RECORDED_DIGEST.lower()}:{digest}"


async def _digest_of(visit: Visit, path: str, algorithm: str) -> tuple[int, str]:
    """Return how many bytes the file has, and their digest in hexadecimal. Reads all of it."""

    def read() -> tuple[int, str]:
        stored = visit.storage.open(path)
        try:
            return _digest(stored.file, algorithm)
        finally:
            stored.close()

    # Not in the threads that look at files for everybody: a few who ask for large ones would have them all.
    return await visit.network.run_blocking(read, pool=visit.server.digest_pool)


def _digest(file: BinaryIO, algorithm: str) -> tuple[int, str]:
    digest, size_bytes = open_digest(algorithm), 0
    while piece := file.read(DIGEST_PIECE_BYTES):
        digest.update(piece)
        size_bytes += len(piece)
    return size_bytes, digest.hexdigest()
