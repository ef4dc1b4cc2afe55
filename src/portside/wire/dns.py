"""DNS messages: questions, answers, and what servers say about them.

Source: RFC 1035 section 4.1; RFC 4035 section 3.1.6 (AD), RFC 6891 (EDNS), RFC 2181 section 9 (truncation).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from portside.errors import MalformedMessage
from portside.wire.dns_names import MESSAGE_BYTES_MAX, Reader, Writer
from portside.wire.dns_records import Rdata, Unknown, build_rdata, parse_rdata, type_name, type_number
from portside.wire.malformed import Bytes

HEADER_BYTES: Final = 12
UDP_BYTES_MAX: Final = 512  # RFC 1035 section 4.2.1; who takes more says so by EDNS
EDNS_UDP_BYTES: Final = 1_232  # fits IPv6's smallest link without fragments: DNS flag day 2020

IN: Final = 1  # the Internet's class; in multicast DNS with a flag in its top bit
OPT: Final = 41

QUERY: Final = 0
NO_ERROR: Final = 0
FORMAT_ERROR: Final = 1
SERVER_FAILURE: Final = 2
NO_SUCH_NAME: Final = 3
NOT_IMPLEMENTED: Final = 4
REFUSED: Final = 5

_OPCODES: Final = {QUERY: "query", 1: "inverse query", 2: "status", 4: "notify", 5: "update", 6: "stateful"}
_RCODES: Final = {
    NO_ERROR: "no error",
    FORMAT_ERROR: "format error",
    SERVER_FAILURE: "server failure",
    NO_SUCH_NAME: "no such name",
    NOT_IMPLEMENTED: "not implemented",
    REFUSED: "refused",
    6: "the name exists",
    7: "the records exist",
    8: "the records do not exist",
    9: "not authoritative, or not authorized",
    10: "not in the zone",
    16: "bad EDNS version",
    23: "bad cookie",
}

_QR, _AA, _TC, _RD, _RA, _Z, _AD, _CD = (1 << bit for bit in (15, 10, 9, 8, 7, 6, 5, 4))
_DO: Final = 0x8000
_OWNER_OF_OPT: Final = "."


@dataclass(frozen=True, slots=True)
class Question:
    """Which records of a name are asked for; type 255 means all."""

    name: str
    type: int
    record_class: int = IN

    @property
    def type_name(self) -> str:
        return type_name(self.type)


@dataclass(frozen=True, slots=True)
class Record:
    """One record, and for how many seconds it may be remembered."""

    name: str
    ttl_s: int
    data: Rdata
    record_class: int = IN

    @property
    def type(self) -> int:
        return type_number(self.data)

    @property
    def type_name(self) -> str:
        return type_name(self.type)


@dataclass(frozen=True, slots=True)
class Edns:
    """What the sender can do beyond RFC 1035: how large a datagram it takes, and options by number."""

    udp_bytes: int = EDNS_UDP_BYTES
    dnssec_ok: bool = False
    options: tuple[tuple[int, bytes], ...] = ()
    version: int = 0
    more_flags: int = 0  # the other fifteen bits


@dataclass(frozen=True, slots=True)
class DnsMessage:
    """One message. ``rcode`` has twelve bits with EDNS, four without it; EDNS's record is not among ``additional``."""

    id: int
    questions: tuple[Question, ...] = ()
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    is_response: bool = False
    opcode: int = QUERY
    rcode: int = NO_ERROR
    is_authoritative: bool = False
    is_truncated: bool = False
    recursion_desired: bool = False
    recursion_available: bool = False
    authentic_data: bool = False
    checking_disabled: bool = False
    reserved_flag: bool = False
    edns: Edns | None = None

    @property
    def opcode_words(self) -> str:
        return _OPCODES.get(self.opcode, f"opcode {self.opcode}")

    @property
    def rcode_words(self) -> str:
        return _RCODES.get(self.rcode, f"rcode {self.rcode}")


def parse_dns(data: Bytes) -> DnsMessage:
    """Return the message; over TCP two bytes of length stand before it, which are not part of it.

    Shape:  id (2), flags (2), four counts (2 each), questions, answers, authority, additional.
    Raises: Truncated; MalformedMessage for names that point ahead, records that do not fill their length, a second
            EDNS record (RFC 6891 section 6.1.1), and for bytes behind the last record.
    """
    reader = Reader(bytes(data))
    number, flags, *counts = [reader.number(2) for _ in range(6)]
    questions = tuple(_parse_question(reader) for _ in range(counts[0]))
    answers, authority, more = (_parse_records(reader, count) for count in counts[1:])
    if reader.left_bytes:
        raise MalformedMessage(f"DNS: {reader.left_bytes} bytes follow the last record")
    options = [record for record in more if record.type == OPT]
    if len(options) > 1:
        raise MalformedMessage(f"DNS: there are {len(options)} records of EDNS")
    edns = _parse_edns(options[0]) if options else None
    return DnsMessage(
        number,
        questions,
        answers,
        authority,
        tuple(record for record in more if record.type != OPT),
        is_response=bool(flags & _QR),
        opcode=flags >> 11 & 0xF,
        rcode=flags & 0xF | (options[0].ttl_s >> 24 << 4 if options else 0),
        is_authoritative=bool(flags & _AA),
        is_truncated=bool(flags & _TC),
        recursion_desired=bool(flags & _RD),
        recursion_available=bool(flags & _RA),
        authentic_data=bool(flags & _AD),
        checking_disabled=bool(flags & _CD),
        reserved_flag=bool(flags & _Z),
        edns=edns,
    )


def _parse_question(reader: Reader) -> Question:
    return Question(reader.name(), reader.number(2), reader.number(2))


def _parse_records(reader: Reader, count: int) -> tuple[Record, ...]:
    return tuple(_parse_record(reader) for _ in range(count))


def _parse_record(reader: Reader) -> Record:
    name, number, record_class, ttl_s = reader.name(), reader.number(2), reader.number(2), reader.number(4)
    data = parse_rdata(number, reader.part(reader.number(2)))
    return Record(name, ttl_s, data, record_class)


def _parse_edns(record: Record) -> Edns:
    """RFC 6891 section 6.1.3: the class is a size, the time to live is more of the rcode, a version, and flags."""
    raw = record.data.data if isinstance(record.data, Unknown) else b""
    reader, options = Reader(raw), []
    while reader.left_bytes:
        code = reader.number(2)
        options.append((code, reader.take(reader.number(2))))
    flags = record.ttl_s & 0xFFFF
    is_ok = bool(flags & _DO)
    return Edns(record.record_class, is_ok, tuple(options), record.ttl_s >> 16 & 0xFF, flags & ~_DO)


def build_dns(message: DnsMessage, *, bytes_max: int = MESSAGE_BYTES_MAX) -> bytes:
    """Return the bytes of the message, names compressed.

    What is longer than ``bytes_max`` goes without additional records, and if it is still too long, without any and
    marked as truncated (RFC 2181 section 9). Raises: ValueError for what does not fit its field.
    """
    data = _build(message)
    if len(data) > bytes_max:
        data = _build(replace(message, additional=()))
    if len(data) > bytes_max:
        data = _build(replace(message, answers=(), authority=(), additional=(), is_truncated=True))
    if len(data) > bytes_max:
        raise ValueError(f"DNS: {len(data)} bytes without any record are more than {bytes_max}")
    return data


def _build(message: DnsMessage) -> bytes:
    if not (0 <= message.opcode < 1 << 4 and 0 <= message.rcode < 1 << (12 if message.edns else 4)):
        raise ValueError(f"DNS: opcode {message.opcode} or rcode {message.rcode} does not fit")
    additional = list(message.additional)
    if message.edns is not None:
        additional.append(_edns_record(message.edns, message.rcode))
    writer = Writer()
    counts = (len(message.questions), len(message.answers), len(message.authority), len(additional))
    for number in (message.id, _flags_of(message), *counts):
        writer.number(number, 2)
    for question in message.questions:
        writer.name(question.name)
        writer.number(question.type, 2)
        writer.number(question.record_class, 2)
    _build_records(writer, (*message.answers, *message.authority, *additional))
    return bytes(writer.data)


def _flags_of(message: DnsMessage) -> int:
    bits = {
        _QR: message.is_response,
        _AA: message.is_authoritative,
        _TC: message.is_truncated,
        _RD: message.recursion_desired,
        _RA: message.recursion_available,
        _Z: message.reserved_flag,
        _AD: message.authentic_data,
        _CD: message.checking_disabled,
    }
    return message.opcode << 11 | message.rcode & 0xF | sum(bit for bit, is_set in bits.items() if is_set)


def _build_records(writer: Writer, records: Iterable[Record]) -> None:
    for record in records:
        writer.name(record.name)
        writer.number(record.type, 2)
        writer.number(record.record_class, 2)
        writer.number(record.ttl_s, 4)
        start = writer.hold(2)
        build_rdata(record.data, writer)
        writer.fill(start, 2)


def _edns_record(edns: Edns, rcode: int) -> Record:
    writer = Writer()
    for code, value in edns.options:
        writer.number(code, 2)
        writer.number(len(value), 2)
        writer.add(value)
    if not (0 <= edns.version < 1 << 8 and 0 <= edns.more_flags < _DO):
        raise ValueError(f"DNS: EDNS version {edns.version} or flags {edns.more_flags:#x} do not fit")
    word = rcode >> 4 << 24 | edns.version << 16 | (_DO if edns.dnssec_ok else 0) | edns.more_flags
    return Record(_OWNER_OF_OPT, word, Unknown(OPT, bytes(writer.data)), edns.udp_bytes)
