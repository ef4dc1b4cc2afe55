"""Names of domains as keys: they are equal whatever the case of their letters is (RFC 4343 section 3)."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address
from typing import TypeAlias

from portside.sim.addresses import to_ip
from portside.wire.dns_names import labels_of, name_of
from portside.wire.dns_records import AAAA, A

Key: TypeAlias = tuple[bytes, ...]  # the labels, lower case, the root's left out

ROOT: Key = ()


@lru_cache(maxsize=65_536)
def key_of(name: str) -> Key:
    """Return the key of a name. Raises: ValueError for what is no domain name."""
    return tuple(label.lower() for label in labels_of(name))


def text_of(key: Key) -> str:
    """Return the name of a key, a dot at its end."""
    return name_of(list(key))


def is_within(key: Key, zone: Key) -> bool:
    """Return whether a name is at or below another."""
    return not zone or key[-len(zone) :] == zone


def ancestors(key: Key) -> list[Key]:
    """Return the name and all above it, the root last."""
    return [key[at:] for at in range(len(key) + 1)]


def address_data(address: int) -> A | AAAA:
    """Return the record data of an address: RFC 1035 section 3.4.1, RFC 3596 section 2.2."""
    ip = to_ip(address)
    return A(ip) if isinstance(ip, IPv4Address) else AAAA(ip)


def reverse_name(address: int) -> str:
    """Return the name that points back from an address: RFC 1035 section 3.5, RFC 3596 section 2.5."""
    return f"{to_ip(address).reverse_pointer}."
