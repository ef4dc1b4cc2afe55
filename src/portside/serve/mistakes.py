"""What somebody typed wrong, each with its place, and all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from portside.errors import UsageError


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was said: an option, a variable of the environment, or a key and its line in a file."""

    key: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.file is None:
            return self.key
        return ":".join(str(part) for part in (self.file, self.line) if part is not None) + (
            f": {self.key}" if self.key else ""
        )


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to correct."""

    place: Place
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


class Mistakes(UsageError):
    """Everything that is wrong with a configuration, in the order of the places; one line for each."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        # A variable that concerns several services is wrong once.
        self.mistakes = tuple(sorted(dict.fromkeys(mistakes), key=_order))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


def _order(mistake: Mistake) -> tuple[bool, str, int]:
    return mistake.place.file is not None, mistake.place.file or "", mistake.place.line or 0
