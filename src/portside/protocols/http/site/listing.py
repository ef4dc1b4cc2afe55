"""What a folder holds, as somebody wants to see it: which names, in which order, which page of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, cast, get_args

from portside.protocols.http.site.rules import Rules
from portside.protocols.http.site.targets import WELL_KNOWN, build_reference, shown
from portside.storage.contract import Entry, Storage

Order = Literal["name", "size", "date"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)

ENTRIES_MAX: Final = 100_000  # of a folder; more than that nobody looks through, and all are in memory to be sorted
PAGE_ENTRIES: Final = 500  # on a page for people: a telephone shows so many at once without an effort
_SOUGHT_CHARACTERS_MAX: Final = 200

_DIGITS: Final = re.compile(r"(\d+)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class View:
    """How somebody wants to see a folder. ``page`` counts from 1."""

    order: Order = "name"
    descending: bool = False
    sought: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class Contents:
    """A folder as it is to be shown: of ``entries`` those that were sought, in their order.

    ``total`` counts all that may be seen, ``is_cut`` says that there are more than anybody is shown.
    """

    entries: list[Entry]
    total: int
    is_cut: bool = False

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.entries) // PAGE_ENTRIES))

    def on_page(self, page: int) -> list[Entry]:
        return self.entries[(page - 1) * PAGE_ENTRIES : page * PAGE_ENTRIES]


def parse_view(query: Mapping[str, str]) -> View:
    """Return the view that a query asks for; what makes no sense is as good as not said.

    Dates and sizes begin with the newest and the largest, because that is what people look for.
    """
    order = query.get("sort", "name")
    if order not in ORDERS:
        order = "name"
    descending = {"asc": False, "desc": True}.get(query.get("order", ""), order != "name")
    page = query.get("page", "")
    return View(
        cast(Order, order),
        descending,
        query.get("q", "").strip()[:_SOUGHT_CHARACTERS_MAX],
        max(1, int(page)) if page.isascii() and page.isdecimal() and len(page) < 7 else 1,
    )


def read_contents(storage: Storage, path: str, view: View, rules: Rules) -> Contents:
    """Return what the folder holds. May block. Raises: StorageError."""
    entries: list[Entry] = []
    is_cut = False
    listing = storage.list(path)
    try:
        for batch in listing:
            entries += (entry for entry in batch if is_shown(entry, path, rules))
            if len(entries) > ENTRIES_MAX:
                del entries[ENTRIES_MAX:]
                is_cut = True
                break
    finally:
        listing.close()
    total = len(entries)
    if view.sought:
        sought = view.sought.casefold()
        entries = [entry for entry in entries if sought in shown(entry.name).casefold()]
    arrange(entries, view)
    return Contents(entries, total, is_cut)


def is_shown(entry: Entry, folder: str, rules: Rules) -> bool:
    """Say whether anybody gets to see the name: what can be opened, and is not hidden."""
    if entry.kind not in {"file", "directory"}:
        return False
    return rules.hidden or entry.name[:1] != "." or (folder == "/" and entry.name == WELL_KNOWN)


def arrange(entries: list[Entry], view: View) -> None:
    """Put the entries in order: folders first, and those that are alike by name."""
    entries.sort(key=_by_name)
    key = _KEYS.get(view.order)
    if key is not None:
        entries.sort(key=key, reverse=view.descending)
    elif view.descending:
        entries.reverse()
    entries.sort(key=lambda entry: entry.kind != "directory")


def _by_name(entry: Entry) -> tuple[list[str | int], str]:
    """Return what sorts names as people do: 2 before 10, and capitals beside small letters."""
    parts: list[str | int] = list(_DIGITS.split(entry.name.casefold()))
    parts[1::2] = map(int, parts[1::2])
    return parts, entry.name


_KEYS: Final[dict[Order, Callable[[Entry], int]]] = {
    "size": lambda entry: entry.size_bytes if entry.kind == "file" else 0,
    "date": lambda entry: entry.modified_ns,
}


def modified_at(entry: Entry) -> datetime:
    """Return when the file was last changed, in UTC, as near as a date can be."""
    try:
        return _EPOCH + timedelta(microseconds=entry.modified_ns // 1_000)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if entry.modified_ns > 0 else datetime.min.replace(tzinfo=UTC)


def build_json(path: str, contents: Contents) -> bytes:
    """Return the folder for programs: all of what was sought, not only a page of it."""
    return json.dumps(
        {
            "path": shown(path if path == "/" else f"{path}/"),
            "total": contents.total,
            "cut": contents.is_cut,
            "entries": list(_facts_of(contents.entries)),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode("utf-8")


def _facts_of(entries: Iterable[Entry]) -> Iterable[dict[str, Any]]:
    for entry in entries:
        is_folder = entry.kind == "directory"
        yield {
            "name": shown(entry.name),
            "href": build_reference(entry.name, is_folder=is_folder),
            "kind": entry.kind,
            "size_bytes": None if is_folder else entry.size_bytes,
            "modified": modified_at(entry).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
