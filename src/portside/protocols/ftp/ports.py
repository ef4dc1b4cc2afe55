"""Where data connections go: the arguments of PORT, EPRT and EPSV, and what PASV and EPSV are answered.

Whether an address may be used is not said here: a server must refuse PORT to a third machine (RFC 2577 section 3), a
client must not believe a PASV that names one.

Source: RFC 959 section 5.3.2 (host-port), RFC 2428 (EPRT, EPSV), RFC 1123 section 4.1.2.6 (how PASV's reply is read).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Literal, TypeAlias, cast

from portside.address import PORT_MAX, InternetAddress, parse_ip, unmapped
from portside.errors import MalformedAddress
from portside.protocols.ftp.commands import BAD_ARGUMENT, MalformedCommand
from portside.protocols.ftp.replies import MalformedReply

UNKNOWN_FAMILY: Final = 522  # RFC 2428 section 2: "Network protocol not supported, use (1,2)"

Family: TypeAlias = Literal[1, 2]
"""An address family by IANA's number: 1 is IPv4, 2 is IPv6."""

_SIX: Final = r"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})"
_HOST_PORT: Final = re.compile(_SIX, re.ASCII)
_HOST_PORT_IN_TEXT: Final = re.compile(rf"(?<!\d){_SIX}(?!\d)", re.ASCII)
_EXTENDED_IN_TEXT: Final = re.compile(r"\(([!-~])\1\1(\d{1,5})\1\)", re.ASCII)
_PORT: Final = re.compile(r"\d{1,5}", re.ASCII)


# ── PORT and PASV: an IPv4 address and a port as six numbers ─────────────────────────────────────────────────────────


def parse_port(argument: str) -> InternetAddress:
    """Return the address that PORT names.

    Shape:  ``h1,h2,h3,h4,p1,p2``: the four bytes of an IPv4 address and the two of a port, the high one first.
    Raises: MalformedCommand (501).
    """
    match = _HOST_PORT.fullmatch(argument)
    address = _of_six(match) if match else None
    if address is None:
        raise MalformedCommand(BAD_ARGUMENT, "PORT takes h1,h2,h3,h4,p1,p2: six numbers to 255, the port not 0")
    return address


def build_port(address: InternetAddress) -> str:
    """Return the six numbers of an address. Raises: ValueError for an IPv6 address."""
    ip = address.ip
    if not isinstance(ip, IPv4Address):
        raise ValueError(f"{address} is no IPv4 address: EPRT and EPSV have words for it")
    return ",".join(str(byte) for byte in (*ip.packed, *address.port.to_bytes(2, "big")))


def parse_pasv_reply(text: str) -> InternetAddress:
    """Return the address in the text of a 227, wherever in it the six numbers stand and with or without parentheses.

    Raises: MalformedReply.
    """
    match = _HOST_PORT_IN_TEXT.search(text)
    address = _of_six(match) if match else None
    if address is None:
        raise MalformedReply(f"a reply to PASV holds h1,h2,h3,h4,p1,p2; this one said {text[:80]!r}")
    return address


def build_pasv_reply(address: InternetAddress) -> str:
    """Return the text of a 227. Raises: ValueError for an IPv6 address."""
    return f"Entering Passive Mode ({build_port(address)})."


def _of_six(match: re.Match[str]) -> InternetAddress | None:
    numbers = [int(digits) for digits in match.groups()]
    if max(numbers) > 255 or not any(numbers[4:]):
        return None
    return InternetAddress(str(IPv4Address(bytes(numbers[:4]))), numbers[4] << 8 | numbers[5])


# ── EPRT and EPSV: any family ────────────────────────────────────────────────────────────────────────────────────────


def parse_eprt(argument: str) -> InternetAddress:
    """Return the address that EPRT names; an IPv4-mapped one as IPv4.

    Shape:  ``|family|address|port|``, with any printing character of ASCII for the bar. A zone (``%eth0``) means
            nothing on another machine, and is refused.
    Raises: MalformedCommand, with 522 for a family that is neither 1 (IPv4) nor 2 (IPv6), 501 for the rest.
    """
    bar = argument[:1]
    parts = argument.split(bar) if "!" <= bar <= "~" else []
    if len(parts) != 5 or parts[4]:
        raise MalformedCommand(BAD_ARGUMENT, "EPRT takes |family|address|port|")
    _, family, host, port, _ = parts
    return InternetAddress(_parse_host(_parse_family(family), host), _parse_port_number(port))


def build_eprt(address: InternetAddress) -> str:
    """Return EPRT's argument. A zone is left out: it has a meaning on this machine only."""
    host = address.host.partition("%")[0]
    return f"|{family_of(address)}|{host}|{address.port}|"


def family_of(address: InternetAddress) -> Family:
    return 2 if ":" in address.host else 1


EpsvArgument: TypeAlias = Family | Literal["ALL"] | None


def parse_epsv(argument: str) -> EpsvArgument:
    """Return what EPSV asks for: a family, "ALL" (nothing but EPSV will follow), or None: the family in use.

    Raises: MalformedCommand, with 522 for a family that is not known.
    Source: RFC 2428 section 3.
    """
    if not argument:
        return None
    return "ALL" if argument.upper() == "ALL" else _parse_family(argument)


def parse_epsv_reply(text: str) -> int:
    """Return the port in the text of a 229; the host is the one that the control connection goes to.

    Shape:  ``(|||port|)`` somewhere in it, with any printing character of ASCII for the bar.
    Raises: MalformedReply.
    """
    match = _EXTENDED_IN_TEXT.search(text)
    if match is None or not 0 < int(match[2]) <= PORT_MAX:
        raise MalformedReply(f"a reply to EPSV holds (|||port|); this one said {text[:80]!r}")
    return int(match[2])


def build_epsv_reply(port: int) -> str:
    """Return the text of a 229."""
    return f"Entering Extended Passive Mode (|||{port}|)"


def _parse_family(text: str) -> Family:
    if not _PORT.fullmatch(text):
        raise MalformedCommand(BAD_ARGUMENT, "a family of addresses is a number: 1 (IPv4) or 2 (IPv6)")
    if int(text) not in (1, 2):
        raise MalformedCommand(UNKNOWN_FAMILY, "Network protocol not supported, use (1,2)")
    return cast("Family", int(text))


def _parse_host(family: Family, text: str) -> str:
    try:
        ip = parse_ip(text)
    except MalformedAddress as error:
        raise MalformedCommand(BAD_ARGUMENT, f"{error}") from error
    if (ip.version == 4) != (family == 1):
        raise MalformedCommand(BAD_ARGUMENT, f"{text} is not of family {family}")
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        raise MalformedCommand(BAD_ARGUMENT, "a zone means nothing on another machine")
    return str(unmapped(ip))


def _parse_port_number(text: str) -> int:
    if not _PORT.fullmatch(text) or not 0 < int(text) <= PORT_MAX:
        raise MalformedCommand(BAD_ARGUMENT, f"a port is a number from 1 to {PORT_MAX}")
    return int(text)
