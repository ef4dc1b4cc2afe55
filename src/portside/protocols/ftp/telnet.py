"""Telnet as far as FTP's control connection needs it: IAC sequences taken out of a line, and refused.

Source: RFC 854 (commands and the NVT), RFC 855 (options), RFC 959 section 4.1.3 and RFC 1123 section 4.1.2.12: FTP
        speaks Telnet without any option.
"""

from __future__ import annotations

import re
from typing import Final

IAC: Final = b"\xff"
IP: Final = b"\xf4"
DM: Final = b"\xf2"

INTERRUPT: Final = IAC + IP + IAC + DM
"""What goes before ABOR (RFC 959 section 4.1.3): interrupt process, then the mark at the end of urgent data."""

# IAC and what belongs to it; the option of a negotiation may be missing at the end of a line.
_SEQUENCE: Final = re.compile(
    rb"\xff(?:"
    rb"(\xff)"  # a byte 255 of the text, doubled
    rb"|\xfa(?:[^\xff]|\xff[^\xf0])*+(?:\xff\xf0|\xff?\Z)"  # SB … IAC SE: a subnegotiation
    rb"|[\xfb-\xfe].?"  # WILL, WONT, DO, DONT and their option
    rb"|[\xf0-\xf9]"  # all other commands: NOP, DM, BRK, IP, AO, AYT, EC, EL, GA, a lone SE
    rb")",
    re.DOTALL,
)
LEFT_OVERS: Final = b"\xf2\xf4\xff"
"""What may stand before ABOR: of urgent data the last byte is lost to the stream, and that may be the IAC before DM."""

_REQUEST: Final = re.compile(rb"\xff([\xfb\xfd])(.)", re.DOTALL)
_REFUSAL_OF: Final = {b"\xfb": b"\xfe", b"\xfd": b"\xfc"}  # WILL → DONT, DO → WONT


def remove_telnet(line: bytes) -> bytes:
    """Return the line's own bytes: without Telnet's commands, and with IAC IAC as the one byte it means.

    An IAC before anything but a command stays: clients that do not double the 0xFF of a Latin-1 name mean the byte.
    """
    return _SEQUENCE.sub(_own_byte, line) if IAC in line else line


def _own_byte(sequence: re.Match[bytes]) -> bytes:
    return sequence[1] or b""


def double_iac(data: bytes) -> bytes:
    """Return text as it travels: each byte 255 twice. UTF-8 has none, so only names in other encodings change."""
    return data.replace(IAC, IAC + IAC) if IAC in data else data


def build_refusals(line: bytes) -> bytes:
    """Return what refuses the options that a line asks for: DONT to WILL, WONT to DO. Empty for nearly every line.

    Source: RFC 1123 section 4.1.2.12 with RFC 854: an option that is not wanted is refused, once.
    """
    if IAC not in line:
        return b""
    return b"".join(IAC + _REFUSAL_OF[verb] + option for verb, option in _REQUEST.findall(line.replace(IAC + IAC, b"")))
