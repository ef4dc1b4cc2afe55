"""The directory's lines: a name goes in, ``name,port,protocol`` or ``name,unknown`` comes out.

Questions are lines that end in LF or CR LF, the last one perhaps in the end of the stream; blanks around a name do
not belong to it, and a line without a name is no question. Each question gets one line, in the order asked. Bytes
that are not ASCII come back as they went in; control characters come back as ``?``, so that no answer can forge
another line or write on somebody's terminal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from portside.address import PORT_MAX
from portside.errors import MalformedMessage
from portside.protocols.directory.services import Service

_BLANKS: Final = b" \t\r\n\v\f"
_SHOWN: Final = bytes(0x3F if byte < 0x20 or byte == 0x7F else byte for byte in range(256))  # 0x3F is "?"
_UNKNOWN: Final = b"unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the directory says of a name; without port and protocol it does not know it."""

    name: str
    port: int | None = None
    protocol: str | None = None


def parse_question(line: bytes) -> str | None:
    """Return the name that a line asks for, or None if it asks for nothing.

    Bytes that are not UTF-8 stay in the name as surrogates, and ``build_answer`` gives them back.
    """
    name = line.strip(_BLANKS)
    return name.decode("utf-8", "surrogateescape") if name else None


def build_question(name: str) -> bytes:
    """Return the line that asks for the name."""
    return name.encode("utf-8", "surrogateescape") + b"\n"


def build_answer(name: str, service: Service | None) -> bytes:
    """Return the line that answers the question for ``name``."""
    shown = name.encode("utf-8", "surrogateescape").translate(_SHOWN)
    if service is None:
        return b"%b,%b\n" % (shown, _UNKNOWN)
    return b"%b,%d,%b\n" % (shown, service.port, service.protocol.encode())


def parse_answer(line: bytes) -> Answer:
    """Return what an answer says. A name may hold commas, so it is read from its end.

    Raises: MalformedMessage.
    """
    text = line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
    name, comma, last = text.rpartition(",")
    if comma and last == _UNKNOWN.decode():
        return Answer(name)
    name, comma, port = name.rpartition(",")
    if not (comma and last and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= PORT_MAX):
        raise MalformedMessage(f"a directory answers name,port,protocol or name,unknown; this one said {text[:80]!r}")
    return Answer(name, int(port), last)
