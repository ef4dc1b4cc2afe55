"""A DNS message in one line of text, for captures, journals and reports."""

from __future__ import annotations

from typing import Final

from portside.wire.dns import DnsMessage, Record
from portside.wire.dns_records import rdata_words

ANSWERS_MAX: Final = 6  # that one line tells


def dns_words(message: DnsMessage) -> str:
    """Return the question, or what is answered to it."""
    asked = " and ".join(f"{question.type_name} of {question.name}" for question in message.questions)
    number = f"#{message.id}"
    if message.opcode:
        return f"{number} {message.opcode_words} {'answer ' if message.is_response else ''}{asked}".rstrip()
    if not message.is_response:
        return f"{number} asks {asked or 'nothing'}"
    answer = message.rcode_words if message.rcode else _answer_words(message)
    cut = ", truncated" if message.is_truncated else ""
    return f"{number} answers {asked}: {answer}{cut}" if asked else f"{number} tells {answer}{cut}"


def _answer_words(message: DnsMessage) -> str:
    if not message.answers:
        servers = [record for record in message.authority if record.type_name == "NS"]
        return (
            f"ask {', '.join(rdata_words(record.data) for record in servers[:ANSWERS_MAX])}" if servers else "no data"
        )
    told = [_record_words(record, message) for record in message.answers[:ANSWERS_MAX]]
    more = len(message.answers) - ANSWERS_MAX
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def _record_words(record: Record, message: DnsMessage) -> str:
    """Return the record with as much of its type and name as the question has not said."""
    words = rdata_words(record.data)
    if not message.questions:
        return f"{record.name} {record.type_name} {words}"
    return words if record.type in {question.type for question in message.questions} else f"{record.type_name} {words}"
