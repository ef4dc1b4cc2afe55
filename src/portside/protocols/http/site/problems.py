"""What goes wrong, as a status and a sentence for whoever asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException

from portside.storage.contract import (
    AlreadyThere,
    Denied,
    IsDirectory,
    NoSuchFile,
    NotDirectory,
    NotEmpty,
    NotRegular,
    StorageError,
    StorageFull,
    Withdrawn,
)


class Problem(HTTPException):
    """A request that ends otherwise than it was meant. ``detail`` is the sentence, ``headers`` go with it."""

    def __init__(self, status: int, sentence: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(status, sentence, fields)


NOT_THERE: Final = "There is nothing at this address."
NOT_ALLOWED: Final = "You may not do that here."

_MEANINGS: Final[dict[type[StorageError], tuple[int, str]]] = {
    NoSuchFile: (404, NOT_THERE),
    NotRegular: (404, NOT_THERE),
    NotDirectory: (409, "What should be a folder is a file."),
    IsDirectory: (409, "There is a folder of that name."),
    AlreadyThere: (409, "The name is taken already."),
    NotEmpty: (409, "The folder is not empty."),
    Denied: (403, "The server may not do that: {why}."),
    StorageFull: (507, "There is no space left on the server."),
    Withdrawn: (412, "The file has been changed by somebody else meanwhile."),
}


def problem_of(error: StorageError) -> Problem:
    """Return what the storage's refusal means in HTTP; it says nothing of the server's own paths."""
    status, sentence = _MEANINGS.get(type(error), (500, "The server's disk failed."))
    return Problem(status, sentence.format(why=error.why))
