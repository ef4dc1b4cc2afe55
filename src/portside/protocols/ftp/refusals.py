"""Replies to what went wrong: the codes of RFC 959 section 4.2 for each kind of failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.session import NOT_TAKEN
from portside.protocols.ftp.transfers import Failed, QuotaUsedUp
from portside.storage.contract import StorageError, StorageFailed, StorageFull

_CODES: Final[Mapping[type[StorageError], int]] = {
    StorageFull: 452,  # "Insufficient storage space in system"
    QuotaUsedUp: 552,  # "Exceeded storage allocation"
    StorageFailed: 451,  # "local error in processing"
}


def reply_to(error: StorageError | Failed) -> Reply:
    """Return what the client is told. The path stays out: it may be a link's, and the client knows what it asked."""
    code = error.code if isinstance(error, Failed) else _CODES.get(type(error), NOT_TAKEN)
    return Reply(code, (f"{error.why[:1].upper()}{error.why[1:]}.",))
