"""Replies: three digits and text, in one line or in several.

Source: RFC 959 sections 4.2 and 5.4; RFC 1123 section 4.1.2.11 (texts may be whatever they like); RFC 2640 (UTF-8).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from portside.errors import MalformedMessage
from portside.protocols.ftp.telnet import double_iac, remove_telnet

REPLY_LINES_MAX: Final = 10_000  # STAT lists a directory in one reply; nothing else has more than a few dozen
REPLY_BYTES_MAX: Final = 1_048_576

_CODE_MIN, _CODE_MAX = 100, 699  # RFC 959 section 4.2 has first digits 1 to 5, RFC 2228 section 6 adds 6
_FORGES_LINES: Final = str.maketrans("\r\n\0", "???")
_BEGINS_LIKE_A_CODE: Final = re.compile(r"\d{3}")
_FIRST: Final = re.compile(rb"([1-6]\d\d)(?:([ -])(.*)|([^0-9A-Za-z].*)|)", re.DOTALL)


class MalformedReply(MalformedMessage):
    """What came is no reply, or one without end."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer. Most have one line; a client goes by the code, and shows the lines."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All lines, with LF between them."""
        return "\n".join(self.lines)

    @property
    def is_preliminary(self) -> bool:
        """1yz: it has begun, and another reply follows."""
        return self.code // 100 == 1

    @property
    def is_completion(self) -> bool:
        """2yz: it is done."""
        return self.code // 100 == 2

    @property
    def is_intermediate(self) -> bool:
        """3yz: so far good, another command is needed."""
        return self.code // 100 == 3

    @property
    def is_transient(self) -> bool:
        """4yz: not done, the same may work later."""
        return self.code // 100 == 4

    @property
    def is_permanent(self) -> bool:
        """5yz: not done, and it will not be done however often it is asked."""
        return self.code // 100 == 5

    @property
    def is_negative(self) -> bool:
        """4yz or 5yz."""
        return self.is_transient or self.is_permanent

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


def build_reply(reply: Reply) -> bytes:
    """Return the reply's lines, each with its CR LF.

    Shape:  ``200 text``; or ``211-first``, the lines between as they are, ``211 last``. A line between that begins
            with three digits gets a blank before them, or it could end the reply (RFC 959 section 4.2).
    CR, LF and NUL in a line are written as ``?``: a file's name must not answer in the server's place.
    Raises: ValueError for a code that has not three digits.
    """
    if not _CODE_MIN <= reply.code <= _CODE_MAX:
        raise ValueError(f"{reply.code} is no code of a reply")
    lines = reply.lines or ("",)
    text = f"{reply.code} {_harmless(lines[0])}\r\n" if len(lines) == 1 else _in_many_lines(reply.code, lines)
    return double_iac(text.encode("utf-8", "surrogateescape"))


def _in_many_lines(code: int, lines: tuple[str, ...]) -> str:
    first, *between, last = map(_harmless, lines)
    padded = (f" {line}" if _BEGINS_LIKE_A_CODE.match(line) else line for line in between)
    return "\r\n".join((f"{code}-{first}", *padded, f"{code} {last}", ""))


def _harmless(line: str) -> str:
    return line if line.isprintable() else line.translate(_FORGES_LINES)


class ReplyReader:
    """Makes replies of lines, for a client. Takes what real servers send, which is more than the RFC allows:

    no blank and no text behind the code, empty lines between replies, the code before every line of a reply of many
    (it is taken off), Telnet's commands (taken out). ``lines_max`` and ``bytes_max`` bound one reply.
    """

    __slots__ = ("_bytes", "_bytes_max", "_code", "_lines", "_lines_max")

    def __init__(self, *, lines_max: int = REPLY_LINES_MAX, bytes_max: int = REPLY_BYTES_MAX) -> None:
        self._lines_max, self._bytes_max = lines_max, bytes_max
        self._code: bytes | None = None
        self._lines: list[str] = []
        self._bytes = 0

    @property
    def is_inside(self) -> bool:
        """Whether a reply has begun and not ended: the end of the stream would then cut it off."""
        return self._code is not None

    def feed(self, line: bytes) -> Reply | None:
        """Take a line, with or without its CR LF, and return the reply that it ends; None if it ends none.

        Raises: MalformedReply. The reader is of no use after that.
        """
        self._bytes += len(line) + 1  # so that endless empty lines end, too
        if self._bytes > self._bytes_max or len(self._lines) >= self._lines_max:
            raise MalformedReply(
                f"a reply of more than {len(self._lines)} lines and {self._bytes - 1} bytes is not read on"
            )
        own = remove_telnet(line.removesuffix(b"\n").removesuffix(b"\r"))
        return self._begin(own) if self._code is None else self._go_on(own, self._code)

    def _begin(self, line: bytes) -> Reply | None:
        if not line.strip():
            return None
        match = _FIRST.fullmatch(line)
        if match is None:
            raise MalformedReply(f"a reply begins with a code of three digits; this one said {line[:80]!r}")
        text = _text(match[3] if match[2] else match[4] or b"")
        if match[2] == b"-":
            self._code, self._lines = match[1], [text]
            return None
        return self._end(match[1], [text])

    def _go_on(self, line: bytes, code: bytes) -> Reply | None:
        # The end is the code with a blank, or all alone; "211End" would be a line between.
        if line.startswith(code) and line[3:4] in (b" ", b""):
            return self._end(code, [*self._lines, _text(line[4:])])
        self._lines.append(_text(line.removeprefix(code + b"-")))
        return None

    def _end(self, code: bytes, lines: list[str]) -> Reply:
        self._code, self._lines, self._bytes = None, [], 0
        return Reply(int(code), tuple(lines))


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")
