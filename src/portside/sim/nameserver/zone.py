"""A zone: the records of one part of the tree of names, and what there is to say about a name in it.

Source: RFC 1034 section 4.3.2, RFC 2308 (what is not there), RFC 4592 (wildcards), RFC 8020 (what is below nothing).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from portside.sim.nameserver.keys import Key, ancestors, is_within, key_of, text_of
from portside.wire.dns import Record
from portside.wire.dns_records import CNAME, SOA, Rdata

TYPE_A: Final = 1
TYPE_NS: Final = 2
TYPE_CNAME: Final = 5
TYPE_SOA: Final = 6
TYPE_AAAA: Final = 28
TYPE_DS: Final = 43
TYPE_ANY: Final = 255
TTL_DEFAULT_S: Final = 300

_STAR: Final = b"*"


class Kind(Enum):
    """What a zone has for a question."""

    ANSWER = "answer"
    ALIAS = "alias"  # the name is another's: go on there
    REFERRAL = "referral"  # others are asked about it
    NO_DATA = "no data"  # the name is there, records of that type are not
    NO_NAME = "no name"


@dataclass(frozen=True, slots=True)
class Found:
    """What a zone has for a question, with the records that say so: for a referral, those of the cut."""

    kind: Kind
    records: tuple[Record, ...] = ()


class Zone:
    """One zone. Without a record of type SOA in ``records`` it has a plain one, as every zone must (RFC 2181 6.1)."""

    def __init__(self, origin: str, records: Iterable[Record] = ()) -> None:
        """Raises: ValueError as ``insert`` does."""
        self.key = key_of(origin)
        self.origin = text_of(self.key)
        self._nodes: dict[Key, dict[int, list[Record]]] = {self.key: {}}
        below = "" if self.origin == "." else self.origin
        self.insert(Record(self.origin, 3_600, SOA(f"ns.{below}", f"hostmaster.{below}", 1, 3_600, 600, 86_400, 60)))
        for record in records:
            self.insert(record)

    @property
    def soa(self) -> Record:
        return self._nodes[self.key][TYPE_SOA][0]

    def absolute(self, name: str) -> str:
        """Return a name as RFC 1035 section 5.1 reads it: relative to the origin if no dot ends it, ``@`` for that."""
        if name == "@":
            return self.origin
        if name.endswith("."):
            return name
        return f"{name}." if self.origin == "." else f"{name}.{self.origin}"

    # ── change ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, name: str, *datas: Rdata, ttl_s: int = TTL_DEFAULT_S) -> None:
        """Add records to a name, which is relative to the origin unless a dot ends it; a new serial says so.

        Raises: ValueError as ``insert`` does.
        """
        for data in datas:
            self.insert(Record(self.absolute(name), ttl_s, data))
        self._count_up()

    def remove(self, name: str, kind: int | None = None) -> None:
        """Take away the records of a name, or only those of a type; nothing happens if there are none.

        The zone's SOA stays.
        """
        key = key_of(self.absolute(name))
        node = self._nodes.get(key, {})
        for each in [each for each in node if kind in {None, each} and not (key == self.key and each == TYPE_SOA)]:
            del node[each]
        self._forget_empty(key)
        self._count_up()

    def insert(self, record: Record) -> None:
        """Add a record of an absolute name. A second SOA replaces the first, an equal record is no other one.

        Raises: ValueError outside of the zone; for a name that would have an alias and something else (RFC 1034
        section 3.6.2, RFC 2181 section 10.1).
        """
        key = key_of(record.name)
        if not is_within(key, self.key):
            raise ValueError(f"{record.name} is not in the zone {self.origin}")
        node = self._nodes.get(key, {})
        same = node.get(record.type, [])
        if record.type == TYPE_SOA:
            if key != self.key:
                raise ValueError(f"{record.name} has a SOA but is not the zone's name, {self.origin}")
            same = []
        is_alias = isinstance(record.data, CNAME)
        if any((each == TYPE_CNAME) != is_alias for each in node) or (
            is_alias and same and same[0].data != record.data
        ):
            raise ValueError(f"{record.name} would be an alias and have other records: RFC 1034 section 3.6.2")
        if all(each.data != record.data for each in same):
            # One set of records has one TTL: RFC 2181 section 5.2.
            same = [*(replace(each, ttl_s=record.ttl_s) for each in same), record]
        for each in ancestors(key)[: len(key) - len(self.key) + 1]:
            self._nodes.setdefault(each, {})  # RFC 4592 section 2.2.2: what has names below it exists
        self._nodes[key][record.type] = same

    def _forget_empty(self, key: Key) -> None:
        """Let a name be gone, and those above it, where nothing is left at them and below."""
        while key != self.key and not self._nodes.get(key, True):
            if any(len(each) > len(key) and is_within(each, key) for each in self._nodes):
                return
            del self._nodes[key]
            key = key[1:]

    def _count_up(self) -> None:
        soa = self.soa.data
        assert isinstance(soa, SOA)
        serial = (soa.serial + 1) & 0xFFFF_FFFF  # RFC 1982 section 3.1
        self._nodes[self.key][TYPE_SOA] = [replace(self.soa, data=replace(soa, serial=serial))]

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, name: str, kind: int) -> Found:
        """Return what there is for a name of this zone: RFC 1034 section 4.3.2, step 3."""
        key = key_of(name)
        cut = self._cut_above(key, kind)
        if cut is not None:
            return Found(Kind.REFERRAL, tuple(self._nodes[cut][TYPE_NS]))
        if key in self._nodes:
            return _in_node(self._nodes[key], kind)
        encloser = next(each for each in ancestors(key) if each in self._nodes)
        source = self._nodes.get((_STAR, *encloser))  # RFC 4592 section 3.3.1: of the closest encloser, no other
        if source is None:
            return Found(Kind.NO_NAME)
        found = _in_node(source, kind)
        return Found(found.kind, tuple(replace(each, name=name) for each in found.records))

    def glue(self, name: str) -> tuple[Record, ...]:
        """Return the addresses that the zone has of a name, below its cuts too."""
        node = self._nodes.get(key_of(name), {})
        return (*node.get(TYPE_A, ()), *node.get(TYPE_AAAA, ()))

    def records(self) -> list[Record]:
        """Return every record, the SOA first."""
        return [record for node in self._nodes.values() for same in node.values() for record in same]

    def _cut_above(self, key: Key, kind: int) -> Key | None:
        """Return the highest name at or above this one where the zone ends. Of a cut itself the DS is this side's."""
        depth = len(key) - len(self.key)
        for each in reversed(ancestors(key)[:depth]):
            if TYPE_NS in self._nodes.get(each, ()) and not (each == key and kind == TYPE_DS):
                return each
        return None


def _in_node(node: dict[int, list[Record]], kind: int) -> Found:
    if kind == TYPE_ANY and node:
        return Found(Kind.ANSWER, tuple(record for same in node.values() for record in same))
    if kind in node:
        return Found(Kind.ANSWER, tuple(node[kind]))
    if TYPE_CNAME in node:
        return Found(Kind.ALIAS, tuple(node[TYPE_CNAME]))
    return Found(Kind.NO_DATA)
