"""What DNS records hold, by type: values with the fields of their RFCs, and a table of how these lie in the message.

Source: RFC 1035 section 3.3; RFC 3596 (AAAA), 2782 (SRV), 3403 (NAPTR), 6672 (DNAME), 4034 (DNSSEC), 4255 (SSHFP),
6698 (TLSA), 8659 (CAA), 9460 (SVCB, HTTPS); RFC 3597 for types that are not known, and for who may be compressed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, NamedTuple, TypeAlias

from portside.errors import MalformedMessage
from portside.wire.dns_names import Reader, Writer


@dataclass(frozen=True, slots=True)
class A:
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class AAAA:
    address: IPv6Address


@dataclass(frozen=True, slots=True)
class NS:
    target: str


@dataclass(frozen=True, slots=True)
class CNAME:
    target: str


@dataclass(frozen=True, slots=True)
class PTR:
    target: str


@dataclass(frozen=True, slots=True)
class DNAME:
    target: str


@dataclass(frozen=True, slots=True)
class SOA:
    """``primary`` is the first of the zone's servers, ``responsible`` a mail address with a dot for its @."""

    primary: str
    responsible: str
    serial: int
    refresh_s: int
    retry_s: int
    expire_s: int
    minimum_s: int


@dataclass(frozen=True, slots=True)
class MX:
    preference: int
    exchange: str


@dataclass(frozen=True, slots=True)
class TXT:
    strings: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class HINFO:
    processor: bytes
    system: bytes


@dataclass(frozen=True, slots=True)
class SRV:
    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class NAPTR:
    order: int
    preference: int
    flags: bytes
    services: bytes
    expression: bytes
    replacement: str


@dataclass(frozen=True, slots=True)
class DS:
    key_tag: int
    algorithm: int
    digest_type: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class DNSKEY:
    flags: int
    protocol: int
    algorithm: int
    key: bytes


@dataclass(frozen=True, slots=True)
class RRSIG:
    """Times are seconds since 1970, modulo 2³²."""

    covered: int
    algorithm: int
    labels: int
    original_ttl_s: int
    expires_at_s: int
    begins_at_s: int
    key_tag: int
    signer: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class NSEC:
    """The next name of the zone, and which types the record's own name has, in rising order."""

    next_name: str
    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SSHFP:
    algorithm: int
    digest_type: int
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class TLSA:
    usage: int
    selector: int
    matching_type: int
    association: bytes


@dataclass(frozen=True, slots=True)
class CAA:
    flags: int
    tag: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class SVCB:
    """``parameters`` pairs keys with values, keys rising; priority 0 makes an alias of it."""

    priority: int
    target: str
    parameters: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class HTTPS:
    """An ``SVCB`` for the web."""

    priority: int
    target: str
    parameters: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A record of a type that is not known here, or that an update leaves empty."""

    type: int
    data: bytes


# fmt: off
Rdata: TypeAlias = (
    A | AAAA | NS | CNAME | PTR | DNAME | SOA | MX | TXT | HINFO | SRV | NAPTR | DS | DNSKEY | RRSIG | NSEC | SSHFP
    | TLSA | CAA | SVCB | HTTPS | Unknown
)
# fmt: on


# ── how fields lie in the message ────────────────────────────────────────────────────────────────────────────────────


class _Field(NamedTuple):
    parse: Callable[[Reader], Any]
    build: Callable[[Writer, Any], None]


def _number(size_bytes: int) -> _Field:
    return _Field(lambda reader: reader.number(size_bytes), lambda writer, value: writer.number(value, size_bytes))


def _parse_strings(reader: Reader) -> tuple[bytes, ...]:
    strings = []
    while reader.left_bytes:
        strings.append(reader.string())
    return tuple(strings)


def _build_strings(writer: Writer, strings: tuple[bytes, ...]) -> None:
    for each in strings:
        writer.string(each)


def _parse_types(reader: Reader) -> tuple[int, ...]:
    """RFC 4034 section 4.1.2: windows of 256 types, each with as many bytes of bits as it needs."""
    types: list[int] = []
    while reader.left_bytes:
        window, bits = reader.number(1), reader.string()
        types += (window << 8 | at << 3 | bit for at, byte in enumerate(bits) for bit in range(8) if byte & 0x80 >> bit)
    return tuple(types)


def _build_types(writer: Writer, types: tuple[int, ...]) -> None:
    windows: dict[int, bytearray] = {}
    for number in sorted(types):
        bits = windows.setdefault(number >> 8, bytearray())
        at = (number & 0xFF) >> 3
        bits.extend(bytes(at + 1 - len(bits)))
        bits[at] |= 0x80 >> (number & 0b111)
    for window, bits in windows.items():
        writer.number(window, 1)
        writer.string(bytes(bits))


def _parse_parameters(reader: Reader) -> tuple[tuple[int, bytes], ...]:
    parameters = []
    while reader.left_bytes:
        key = reader.number(2)
        parameters.append((key, reader.take(reader.number(2))))
    return tuple(parameters)


def _build_parameters(writer: Writer, parameters: tuple[tuple[int, bytes], ...]) -> None:
    for key, value in parameters:
        writer.number(key, 2)
        writer.number(len(value), 2)
        writer.add(value)


_BYTE, _TWO, _FOUR = _number(1), _number(2), _number(4)
_STRING: Final = _Field(Reader.string, Writer.string)
_REST: Final = _Field(Reader.rest, Writer.add)
_STRINGS: Final = _Field(_parse_strings, _build_strings)
_TYPES: Final = _Field(_parse_types, _build_types)
_PARAMETERS: Final = _Field(_parse_parameters, _build_parameters)
_IPV4: Final = _Field(lambda reader: IPv4Address(reader.take(4)), lambda writer, ip: writer.add(ip.packed))
_IPV6: Final = _Field(lambda reader: IPv6Address(reader.take(16)), lambda writer, ip: writer.add(ip.packed))
# Only the types of RFC 1035 may be compressed: others could meet a reader that does not know them (RFC 3597 section 4).
_NAME: Final = _Field(Reader.name, Writer.name)
_WHOLE_NAME: Final = _Field(Reader.name, lambda writer, name: writer.name(name, compress=False))

_LAYOUTS: Final[dict[int, tuple[type, tuple[_Field, ...]]]] = {
    1: (A, (_IPV4,)),
    2: (NS, (_NAME,)),
    5: (CNAME, (_NAME,)),
    6: (SOA, (_NAME, _NAME, _FOUR, _FOUR, _FOUR, _FOUR, _FOUR)),
    12: (PTR, (_NAME,)),
    13: (HINFO, (_STRING, _STRING)),
    15: (MX, (_TWO, _NAME)),
    16: (TXT, (_STRINGS,)),
    28: (AAAA, (_IPV6,)),
    33: (SRV, (_TWO, _TWO, _TWO, _WHOLE_NAME)),
    35: (NAPTR, (_TWO, _TWO, _STRING, _STRING, _STRING, _WHOLE_NAME)),
    39: (DNAME, (_WHOLE_NAME,)),
    43: (DS, (_TWO, _BYTE, _BYTE, _REST)),
    44: (SSHFP, (_BYTE, _BYTE, _REST)),
    46: (RRSIG, (_TWO, _BYTE, _BYTE, _FOUR, _FOUR, _FOUR, _TWO, _WHOLE_NAME, _REST)),
    47: (NSEC, (_WHOLE_NAME, _TYPES)),
    48: (DNSKEY, (_TWO, _BYTE, _BYTE, _REST)),
    52: (TLSA, (_BYTE, _BYTE, _BYTE, _REST)),
    64: (SVCB, (_TWO, _WHOLE_NAME, _PARAMETERS)),
    65: (HTTPS, (_TWO, _WHOLE_NAME, _PARAMETERS)),
    257: (CAA, (_BYTE, _STRING, _REST)),
}
_NUMBERS: Final = {kind: number for number, (kind, _) in _LAYOUTS.items()}

# Types that have no layout of their own here, but a name.
# fmt: off
_OTHER_NAMES: Final = {
    24: "SIG", 29: "LOC", 41: "OPT", 50: "NSEC3", 51: "NSEC3PARAM", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY",
    99: "SPF", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY",
}
# fmt: on
_TYPE_NAMES: Final = {number: kind.__name__ for number, (kind, _) in _LAYOUTS.items()} | _OTHER_NAMES


def type_name(number: int) -> str:
    """Return the name of a record type, ``TYPE65280`` for one without (RFC 3597 section 5)."""
    return _TYPE_NAMES.get(number, f"TYPE{number}")


def type_number(data: Rdata) -> int:
    """Return the number of the type that the data is of."""
    return data.type if isinstance(data, Unknown) else _NUMBERS[type(data)]


def parse_rdata(number: int, reader: Reader) -> Rdata:
    """Return what a record of that type holds, from a reader of just that. An empty one is ``Unknown``, as in updates.

    Raises: Truncated; MalformedMessage, also for bytes that are left over.
    """
    if number not in _LAYOUTS or not reader.left_bytes:
        return Unknown(number, reader.rest())
    kind, layout = _LAYOUTS[number]
    data: Rdata = kind(*[field.parse(reader) for field in layout])
    if reader.left_bytes:
        raise MalformedMessage(f"DNS: {reader.left_bytes} bytes are left over in a record of type {type_name(number)}")
    return data


def build_rdata(data: Rdata, writer: Writer) -> None:
    """Write what the record holds. Raises: ValueError for what does not fit its field."""
    if isinstance(data, Unknown):
        writer.add(data.data)
        return
    _, layout = _LAYOUTS[_NUMBERS[type(data)]]
    for field, value in zip(layout, _values(data), strict=True):
        field.build(writer, value)


def _values(data: Rdata) -> list[Any]:
    return [getattr(data, field.name) for field in fields(data)]


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_PARAMETER_NAMES: Final = ("mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint")


def rdata_words(data: Rdata) -> str:
    """Return what the record holds as a zone file would have it, bytes that are no text in hexadecimal."""
    match data:
        case A(address) | AAAA(address):
            return str(address)
        case TXT(strings):
            return " ".join(map(_quoted, strings))
        case NSEC(name, types):
            return " ".join([name, *map(type_name, types)])
        case RRSIG():
            return f"{type_name(data.covered)} by {data.signer} key {data.key_tag}"
        case SVCB(priority, target, parameters) | HTTPS(priority, target, parameters):
            return " ".join([str(priority), target, *(_parameter_words(key, value) for key, value in parameters)])
        case CAA(flags, tag, value):
            return f"{flags} {tag.decode('ascii', 'backslashreplace')} {_quoted(value)}"
        case Unknown(_, raw):
            return f"\\# {len(raw)} {raw.hex()}".rstrip()  # RFC 3597 section 5
        case HINFO() | NAPTR():
            return " ".join(_quoted(each) if isinstance(each, bytes) else str(each) for each in _values(data))
    return " ".join(each.hex() if isinstance(each, bytes) else str(each) for each in _values(data))


def _quoted(text: bytes) -> str:
    escaped = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').decode("utf-8", "backslashreplace")
    return f'"{escaped}"'


def _parameter_words(key: int, value: bytes) -> str:
    """RFC 9460 section 7 and 14.3.2."""
    name = _PARAMETER_NAMES[key] if key < len(_PARAMETER_NAMES) else f"key{key}"
    match key:
        case 1:
            return f"{name}={','.join(_alpn_words(value))}"
        case 3 if len(value) == 2:
            return f"{name}={int.from_bytes(value, 'big')}"
        case 4 if len(value) % 4 == 0:
            return f"{name}={','.join(str(IPv4Address(value[at : at + 4])) for at in range(0, len(value), 4))}"
        case 6 if len(value) % 16 == 0:
            return f"{name}={','.join(str(IPv6Address(value[at : at + 16])) for at in range(0, len(value), 16))}"
    return f"{name}={value.hex()}" if value else name


def _alpn_words(value: bytes) -> list[str]:
    words, at = [], 0
    while at < len(value):
        words.append(value[at + 1 : at + 1 + value[at]].decode("ascii", "backslashreplace"))
        at += 1 + value[at]
    return words
