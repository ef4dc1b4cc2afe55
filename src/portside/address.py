"""Addresses and endpoints as values: what a socket is bound to, connected to, or asked for by URL.

An address is where a socket *is* (`192.0.2.1:80`, `/run/x.sock`); an endpoint is what somebody *asks for*
(`tls://example.org:443`, `:9000`, `systemd://http`), before any name is looked up or port chosen.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, quote_from_bytes, unquote

from portside.errors import MalformedAddress, MalformedEndpoint

PORT_MAX: Final = 65_535  # 16 bits, RFC 9293 section 3.1 and RFC 768
UNIX_PATH_BYTES_MAX: Final = 107  # sun_path has 108 bytes on Linux, one of them the closing NUL: unix(7)

DESCRIPTOR_DIGITS_MAX: Final = 7  # far above fs.nr_open, which is 1,048,576 by default

IPAddress: TypeAlias = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, order=True)
class InternetAddress:
    """A host and a port. The host is an address in its shortest form, never a name; IPv4-mapped is shown as IPv4."""

    host: str
    port: int

    @property
    def ip(self) -> IPAddress:
        return parse_ip(self.host)

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True, order=True)
class UnixAddress:
    """A path in the file system, ``@name`` for Linux's abstract names, or empty for a socket without a name."""

    path: str

    @property
    def is_abstract(self) -> bool:
        return self.path.startswith("@")

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address: TypeAlias = InternetAddress | UnixAddress


def parse_ip(text: str) -> IPAddress:
    """Return the address that ``text`` writes in dotted or colon form.

    An IPv6 address may carry a zone (RFC 4007 section 11: ``fe80::1%eth0``) and comes in any spelling of RFC 4291
    section 2.2. An IPv4 address has four decimal parts without leading zeros: ``1.2.3`` and ``01.2.3.4`` mean one
    thing to one program and another to the next (inet_aton reads octal), so they are refused.

    Raises: MalformedAddress with the reason.
    """
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError as error:
        raise MalformedAddress(text, _why_not_an_ip(text, str(error))) from error


def _why_not_an_ip(text: str, said: str) -> str:
    if not text:
        return "it is empty"
    if ":" in text:
        return said.removesuffix(f" in {text!r}")
    parts = text.split(".")
    for part in parts:
        if not part:
            return "a part between its dots is empty"
        if not is_decimal(part):
            return f"the part {part!r} is not a decimal number"
    if len(parts) != 4:
        return f"an IPv4 address has four parts, this has {len(parts)}"
    for part in parts:
        if len(part) > 1 and part.startswith("0"):
            return f"the part {part!r} starts with a zero, which some programs read as octal"
        if len(part) > 3 or int(part) > 255:
            return f"the part {part!r} is above 255"
    return said


def is_ip_literal(host: str) -> bool:
    """Tell whether the host is meant as an address, right or wrong, and not as a name to look up."""
    return ":" in host or host.replace(".", "").isdigit()


def unmapped(ip: IPAddress) -> IPAddress:
    """Return the IPv4 address inside an IPv4-mapped IPv6 one (RFC 4291 section 2.5.5.2), any other as it is."""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def bracketed(host: str) -> str:
    """Return the host as it stands before a port: an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def is_decimal(text: str) -> bool:
    """Tell whether the text is decimal digits of ASCII, one or more (``str.isdigit`` takes '²' and '٣' too)."""
    return text.isascii() and text.isdigit()


def parse_port(text: str) -> int:
    """Return the port number that decimal ``text`` writes. Raises: MalformedAddress."""
    # The length comes first: int() refuses thousands of digits with an error of its own.
    if not is_decimal(text) or len(text.lstrip("0")) > len(str(PORT_MAX)) or int(text) > PORT_MAX:
        raise MalformedAddress(text, f"a port is a number from 0 to {PORT_MAX}", wanted="a port")
    return int(text)


def split_host_port(text: str) -> tuple[str, str | None]:
    """Split ``A:PORT``, ``[A]:PORT``, ``[A]`` or ``A`` into host and port text; a bare IPv6 address has no port.

    Raises: MalformedAddress when brackets hold anything but an IPv6 address (RFC 3986 section 3.2.2).
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise MalformedAddress(text, "after '[' comes an IPv6 address, then ']', then perhaps ':' and a port")
        return host, rest[1:] if rest else None
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None


# ── what sockets say: sockaddr tuples of the socket module ───────────────────────────────────────────────────────────

_MAPPED: Final = re.compile(r"^::ffff:(\d+\.\d+\.\d+\.\d+)$")


def from_sockaddr(sockaddr: object) -> Address:
    """Return the value for what ``getsockname`` or ``accept`` gave: an IPv4 or IPv6 tuple, a path, abstract bytes."""
    if isinstance(sockaddr, tuple):
        host, port = sockaddr[0], sockaddr[1]
        if ":" in host:
            mapped = _MAPPED.match(host)
            host = mapped[1] if mapped else _with_zone(host, sockaddr)
        return InternetAddress(host, port)
    if isinstance(sockaddr, (bytes, bytearray)):
        # An abstract name is what follows the first NUL, and may have more of them: unix(7).
        name = bytes(sockaddr).removeprefix(b"\0").decode("utf-8", "surrogateescape")
        return UnixAddress("@" + name if sockaddr else "")
    return UnixAddress(str(sockaddr or ""))


def _with_zone(host: str, sockaddr: tuple[object, ...]) -> str:
    # Python puts the interface's name behind '%' itself where it can; a bare scope id otherwise comes as a number.
    scope = sockaddr[3] if len(sockaddr) > 3 else 0
    return f"{host}%{scope}" if scope and "%" not in host else host


# ── endpoints ────────────────────────────────────────────────────────────────────────────────────────────────────────

SCHEMES: Final = ("tcp", "tls", "udp", "unix", "fd", "systemd")
_INTERNET: Final = frozenset({"tcp", "tls", "udp"})
ANY_HOST: Final = "::"  # with IPV6_V6ONLY off: every address of the machine, both families


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """What an endpoint's query may set on its sockets; None leaves the default of the kernel or of Portside."""

    backlog: int = 4_096  # Linux cuts it at net.core.somaxconn, 4,096 since 5.4
    nodelay: bool = True  # Nagle's algorithm and a delayed ACK together can hold a short reply for 40 ms on Linux
    keepalive_s: float | None = None  # seconds of silence before the first probe; None: no probes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What an endpoint URL asks for. Fields that the scheme does not use are empty.

    tcp tls udp   ``host`` (a name, an address, ``::`` for all of both families) and ``port`` (0: the kernel chooses)
    unix          ``path`` (``@name`` for an abstract one) and ``mode`` of the file
    fd            ``fd``, a descriptor inherited from whoever started us
    systemd       ``name`` of the socket unit (sd_listen_fds_with_names), empty for all unnamed ones
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    mode: int | None = None
    fd: int = -1
    name: str = ""
    options: SocketOptions = SocketOptions()

    @property
    def is_datagram(self) -> bool:
        return self.scheme == "udp"

    @property
    def is_internet(self) -> bool:
        return self.scheme in _INTERNET

    def with_port(self, port: int) -> Endpoint:
        return replace(self, port=port)

    def at(self, address: Address) -> Endpoint:
        """Return the endpoint as it came to be: the host asked for, and the port or path the socket really has."""
        if isinstance(address, InternetAddress):
            scheme = self.scheme if self.is_internet else "tcp"
            return Endpoint(scheme, address.host, address.port, options=self.options)
        return replace(self, scheme="unix", path=address.path)

    def __str__(self) -> str:
        """The URL, without options: ``parse_endpoint`` makes the same endpoint of it, apart from those."""
        match self.scheme:
            case "unix":
                return f"unix:{_quoted(self.path)}"
            case "fd":
                return f"fd://{self.fd}"
            case "systemd":
                return f"systemd://{self.name}"
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}"


def _quoted(path: str) -> str:
    # What a URL would read as something else, and what no terminal shows; everything else stays readable.
    return "".join(
        character
        if character.isprintable() and character not in "%? "
        else quote_from_bytes(character.encode("utf-8", "surrogateescape"))
        for character in path
    )


def parse_endpoint(text: str, *, default_port: int | None = None) -> Endpoint:
    """Return the endpoint that ``text`` asks for.

    Shape:  ``tcp://HOST:PORT``, ``tls://…``, ``udp://…``, ``unix:/PATH?mode=600``, ``unix:@NAME``, ``fd://N``,
            ``systemd://NAME``; short forms ``:PORT``, ``PORT`` and ``HOST:PORT`` are TCP. Options follow ``?``:
            ``backlog=N``, ``nodelay=on|off``, ``keepalive=SECONDS``.
    Raises: MalformedEndpoint, with the nearest right word where there is one.
    """
    try:
        return _parse_endpoint(text.strip(), default_port)
    except MalformedAddress as error:
        raise MalformedEndpoint(text, f"{error.text!r}: {error.why}" if error.text != text else error.why) from error


def _parse_endpoint(text: str, default_port: int | None) -> Endpoint:
    body, _, query = text.partition("?")
    scheme, rest = _split_scheme(text, body)
    options, mode = _parse_options(text, query)
    if mode is not None and scheme != "unix":
        raise MalformedEndpoint(text, "mode belongs to unix: endpoints")
    match scheme:
        case "unix":
            return Endpoint("unix", path=_unix_path(text, rest), mode=mode, options=options)
        case "fd":
            if not is_decimal(rest) or len(rest) > DESCRIPTOR_DIGITS_MAX:
                raise MalformedEndpoint(text, "after fd:// comes a descriptor number")
            return Endpoint("fd", fd=int(rest), options=options)
        case "systemd":
            return Endpoint("systemd", name=rest, options=options)
    host, port = _host_and_port(text, rest, default_port)
    return Endpoint(scheme, host=host, port=port, options=options)


def _split_scheme(text: str, body: str) -> tuple[str, str]:
    if body[:5].lower() == "unix:":
        return "unix", body[5:].removeprefix("//")
    scheme, separator, rest = body.partition("://")
    if not separator:
        return "tcp", body
    scheme = scheme.lower()  # RFC 3986 section 3.1: schemes are case-insensitive
    if scheme not in SCHEMES:
        near = difflib.get_close_matches(scheme, SCHEMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the schemes are {', '.join(SCHEMES)}"
        raise MalformedEndpoint(text, f"unknown scheme {scheme!r}; {hint}")
    return scheme, rest.removesuffix("/") if scheme in _INTERNET else rest


def _unix_path(text: str, rest: str) -> str:
    path = unquote(rest, errors="surrogateescape")
    if not path or path == "@":
        raise MalformedEndpoint(text, "after unix: comes a path or @name")
    if "\0" in path:
        raise MalformedEndpoint(text, "a path has no NUL")
    if len(path.encode("utf-8", "surrogateescape")) > UNIX_PATH_BYTES_MAX:
        raise MalformedEndpoint(text, f"a socket's path has at most {UNIX_PATH_BYTES_MAX} bytes")
    return path


def _host_and_port(text: str, rest: str, default_port: int | None) -> tuple[str, int]:
    if is_decimal(rest):
        return ANY_HOST, parse_port(rest)
    host, port_text = split_host_port(rest)
    if port_text:
        port = parse_port(port_text)
    elif default_port is not None:
        port = default_port
    elif ":" in host and not rest.startswith("["):
        raise MalformedEndpoint(text, "an IPv6 address before a port stands in brackets: [ADDRESS]:PORT")
    else:
        raise MalformedEndpoint(text, "the port is missing: HOST:PORT")
    if host == "*":
        host = ANY_HOST
    if ":" in host:
        host = str(unmapped(parse_ip(_ZONE_IN_URL.sub("%", host))))
    elif host and _LIKE_IPV4.fullmatch(host):
        host = str(parse_ip(host))
    elif host and not _is_host_name(host):
        raise MalformedEndpoint(text, f"{host!r} is neither an address nor a host name")
    return host or ANY_HOST, port


# RFC 6874 writes the '%' before a zone as %25 in a URL; a bare %25 at the end is interface number 25.
_ZONE_IN_URL: Final = re.compile(r"%25(?=.)")
# Digits and dots, or a last label of digits: no name ends so (RFC 3696 section 2), and getaddrinfo would read octal.
_LIKE_IPV4: Final = re.compile(r"[0-9.]+|.*\.[0-9]+|0[xX][0-9a-fA-F]+|.*\.0[xX][0-9a-fA-F]+")


def _is_host_name(host: str) -> bool:
    # RFC 1123 section 2.1 for each label; underscores are seen in practice, and IDNA names come as they are typed.
    labels = host.removesuffix(".").split(".")
    return len(host) <= 253 and all(
        0 < len(label) <= 63
        and not label.startswith("-")
        and not label.endswith("-")
        and all(character.isalnum() or character in "-_" for character in label)
        for label in labels
    )


_SWITCHES: Final = {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}
_OPTION_NAMES: Final = ("backlog", "nodelay", "keepalive", "mode")


def _parse_options(text: str, query: str) -> tuple[SocketOptions, int | None]:
    options, mode = SocketOptions(), None
    for name, value in parse_qsl(query, keep_blank_values=True):
        match name:
            case "backlog" if is_decimal(value) and len(value) <= 10:
                options = replace(options, backlog=int(value))
            case "nodelay" if value.lower() in _SWITCHES:
                options = replace(options, nodelay=_SWITCHES[value.lower()])
            case "keepalive" if re.fullmatch(r"[0-9]{1,9}s?", value):
                options = replace(options, keepalive_s=float(value.removesuffix("s")))
            case "mode" if re.fullmatch(r"0?[0-7]{3}", value):
                mode = int(value, 8)
            case _ if name in _OPTION_NAMES:
                raise MalformedEndpoint(text, f"{value!r} is no value for {name}")
            case _:
                near = difflib.get_close_matches(name, _OPTION_NAMES, n=1)
                hint = f"did you mean {near[0]}?" if near else f"options are {', '.join(_OPTION_NAMES)}"
                raise MalformedEndpoint(text, f"unknown option {name!r}; {hint}")
    return options, mode
