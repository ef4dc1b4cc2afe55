"""The fields of DNS messages, for ``fields``: the header's, then each question and record with its bytes."""

from __future__ import annotations

from typing import Final

from portside.observe.packets.field_lines import Context, Fields, Teller
from portside.wire.dns import HEADER_BYTES, DnsMessage, Record
from portside.wire.dns_names import Reader
from portside.wire.dns_records import rdata_words


def _dns(message: DnsMessage, fields: Fields, context: Context) -> None:
    raw = context.header
    counts = [int.from_bytes(raw[at : at + 2], "big") for at in range(4, HEADER_BYTES, 2)]
    fields.add("id", 2, message.id)
    fields.add("flags", 2, _flags(message))
    for name, count in zip(("questions", "answers", "authority", "additional"), counts, strict=True):
        fields.add(name, 2, count)
    reader = Reader(raw, HEADER_BYTES)
    for question in message.questions:
        fields.add("question", _question_bytes(reader), f"{question.name} {question.type_name}")
    for name, records in (("answer", message.answers), ("authority", message.authority)):
        for record in records:
            fields.add(name, _record_bytes(reader), _words(record))
    _additional(message, counts[3], reader, fields)


def _flags(message: DnsMessage) -> str:
    flags = {
        "authoritative": message.is_authoritative,
        "truncated": message.is_truncated,
        "recursion desired": message.recursion_desired,
        "recursion available": message.recursion_available,
        "authentic": message.authentic_data,
        "checking disabled": message.checking_disabled,
    }
    kind = "answer" if message.is_response else "question"
    opcode = [message.opcode_words] if message.opcode else []
    outcome = [message.rcode_words] if message.is_response else []
    return ", ".join([kind, *opcode, *outcome, *(name for name, is_set in flags.items() if is_set)])


def _additional(message: DnsMessage, count: int, reader: Reader, fields: Fields) -> None:
    records = iter(message.additional)
    for _ in range(count):
        start = reader.at
        name, kind = reader.name(), reader.number(2)
        reader.at = start
        size = _record_bytes(reader)
        if kind == 41 and message.edns is not None:
            dnssec = ", DNSSEC" if message.edns.dnssec_ok else ""
            options = f", {len(message.edns.options)} options" if message.edns.options else ""
            fields.add("EDNS", size, f"datagrams of {message.edns.udp_bytes} bytes{dnssec}{options}")
        else:
            fields.add("additional", size, _words(next(records)) if name else "")


def _words(record: Record) -> str:
    return f"{record.name} {record.type_name} {rdata_words(record.data)}, {record.ttl_s} s"


def _question_bytes(reader: Reader) -> int:
    start = reader.at
    reader.name()
    reader.take(4)
    return reader.at - start


def _record_bytes(reader: Reader) -> int:
    start = reader.at
    reader.name()
    reader.take(8)
    reader.take(reader.number(2))
    return reader.at - start


TELLERS: Final[dict[str, Teller]] = {"dns": _dns}
