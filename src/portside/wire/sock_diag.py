"""SOCK_DIAG: the kernel's listing of its sockets, as netlink messages and as values.

Requests are built for one family and protocol at a time; the answers are one message for each socket.
Source: sock_diag(7), linux/sock_diag.h, linux/inet_diag.h, linux/unix_diag.h, net/tcp_states.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from portside.address import Address, InternetAddress, UnixAddress
from portside.errors import MalformedMessage
from portside.wire.netlink import NLM_F_DUMP, NLM_F_REQUEST, build_message, parse_attributes

NETLINK_SOCK_DIAG: Final = 4  # linux/netlink.h
SOCK_DIAG_BY_FAMILY: Final = 20  # linux/sock_diag.h

AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17

_ALL_STATES: Final = 0xFFFF_FFFF

# struct inet_diag_req_v2: family, protocol, extensions, padding, states, struct inet_diag_sockid (all zero: any).
_INET_REQUEST: Final = struct.Struct("=BBBxI48x")
# struct inet_diag_msg: family, state, timer, retransmits; in its sockid both ports and addresses in network order, the
# interface and a cookie; expiry, receive queue, send queue, user, inode.
_INET_MESSAGE: Final = struct.Struct("=BBBB2s2s16s16sI8xIIIII")
# struct unix_diag_req: family, protocol, padding, states, inode, what to show, cookie (all ones would mean any).
_UNIX_REQUEST: Final = struct.Struct("=BBxxIII8x")
# struct unix_diag_msg: family, type, state, padding, inode, cookie.
_UNIX_MESSAGE: Final = struct.Struct("=BBBxI8x")

UDIAG_SHOW_NAME: Final = 0x01
UDIAG_SHOW_PEER: Final = 0x04
UDIAG_SHOW_RQLEN: Final = 0x10
UDIAG_SHOW_UID: Final = 0x40  # since Linux 5.3; older kernels do not answer it

UNIX_DIAG_NAME: Final = 0
UNIX_DIAG_PEER: Final = 2
UNIX_DIAG_RQLEN: Final = 4
UNIX_DIAG_UID: Final = 7

_NUMBER: Final = struct.Struct("=I")
_QUEUES: Final = struct.Struct("=II")

# The names of RFC 9293 section 3.3.2 for the numbers of net/tcp_states.h. NEW_SYN_RECV is a SYN-RECEIVED without a
# full socket; BOUND-INACTIVE, since Linux 6.8, is bound and neither listening nor connected.
_TCP_STATES: Final = {
    1: "ESTABLISHED",
    2: "SYN-SENT",
    3: "SYN-RECEIVED",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    6: "TIME-WAIT",
    7: "CLOSED",
    8: "CLOSE-WAIT",
    9: "LAST-ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "SYN-RECEIVED",
    13: "BOUND",
}
# The kernel uses the same numbers where there is no TCP; these words say what they mean there.
_OTHER_STATES: Final = {1: "CONNECTED", 2: "CONNECTING", 7: "UNCONNECTED", 10: "LISTEN"}
STATES: Final = tuple(dict.fromkeys([*_TCP_STATES.values(), *_OTHER_STATES.values()]))
_OWNERLESS: Final = frozenset({"TIME-WAIT", "SYN-RECEIVED"})  # the kernel's alone: no process has them open

_UNIX_TYPES: Final = {1: "stream", 2: "datagram", 5: "seqpacket"}  # SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """One socket of this machine.

    ``protocol`` is tcp, udp or unix; ``kind`` stream, datagram or seqpacket; ``family`` IPv4, IPv6 or unix. ``peer``
    is None where there is none. The queues count bytes that wait to be read and to be sent or acknowledged; of a
    listening TCP or unix stream socket, connections that wait to be accepted, and how many may. What the system does
    not tell is None. ``inode`` identifies the socket among the files of processes, 0 if none has it open.
    """

    protocol: str
    kind: str
    family: str
    state: str
    local: Address
    peer: Address | None
    receive_queue: int | None
    send_queue: int | None
    uid: int | None
    inode: int
    peer_inode: int | None = None  # of a unix socket: who is at the other end even if nameless

    @property
    def is_listening(self) -> bool:
        """Whether anybody may begin to talk to it: a stream that listens, a datagram socket with an address."""
        if self.state == "UNCONNECTED":
            return self.local.port > 0 if isinstance(self.local, InternetAddress) else bool(self.local.path)
        return self.state == "LISTEN"


def build_inet_request(family: int, protocol: int, sequence: int) -> bytes:
    """Return the request for all sockets of AF_INET or AF_INET6 and of TCP or UDP, in every state."""
    payload = _INET_REQUEST.pack(family, protocol, 0, _ALL_STATES)
    return build_message(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload)


def build_unix_request(sequence: int) -> bytes:
    """Return the request for all unix sockets with their names, peers, queues and owners."""
    show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID
    payload = _UNIX_REQUEST.pack(AF_UNIX, 0, _ALL_STATES, 0, show)
    return build_message(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload)


# ── TCP and UDP ──────────────────────────────────────────────────────────────────────────────────────────────────────


class InetParser:
    """Make values of the messages for one protocol. One for a whole dump: it remembers the addresses it wrote out.

    ``interfaces`` names the zones of link-local addresses by their numbers; without it the numbers stay.
    """

    def __init__(self, protocol: int, interfaces: Mapping[int, str] | None = None) -> None:
        self._is_tcp = protocol == IPPROTO_TCP
        self._states = _TCP_STATES if self._is_tcp else _OTHER_STATES
        self._interfaces = interfaces or {}
        self._hosts: dict[tuple[int, bytes, int], str] = {}

    def parse(self, payload: memoryview) -> OpenSocket:
        """Return the socket that a message tells of. Raises: MalformedMessage."""
        if len(payload) < _INET_MESSAGE.size:
            raise MalformedMessage(
                f"inet_diag: {len(payload)} bytes came, struct inet_diag_msg has {_INET_MESSAGE.size}"
            )
        (family, number, _, _, port, peer_port, source, target, interface, _, received, sent, uid, inode) = (
            _INET_MESSAGE.unpack_from(payload)
        )
        if family not in {AF_INET, AF_INET6}:
            raise MalformedMessage(f"inet_diag: family {family} is neither AF_INET nor AF_INET6")
        state = self._states.get(number, f"STATE-{number}")
        peer = InternetAddress(self._host(family, target, interface), int.from_bytes(peer_port, "big"))
        return OpenSocket(
            protocol="tcp" if self._is_tcp else "udp",
            kind="stream" if self._is_tcp else "datagram",
            family="IPv4" if family == AF_INET else "IPv6",
            state=state,
            local=InternetAddress(self._host(family, source, interface), int.from_bytes(port, "big")),
            peer=peer if peer.port or any(target) else None,
            receive_queue=received,
            send_queue=sent,
            uid=None if state in _OWNERLESS and not inode else uid,
            inode=inode,
        )

    def _host(self, family: int, packed: bytes, interface: int) -> str:
        key = (family, packed, interface)
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = self._write_out(family, packed, interface)
        return host

    def _write_out(self, family: int, packed: bytes, interface: int) -> str:
        if family == AF_INET:
            return str(IPv4Address(packed[:4]))
        ip = IPv6Address(packed)
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        if interface and ip.is_link_local:
            return f"{ip}%{self._interfaces.get(interface, interface)}"
        return str(ip)


# ── unix ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_unix_sockets(payloads: Iterable[memoryview]) -> Iterator[OpenSocket]:
    """Yield the sockets of a whole dump, each with the name of its peer, which only the peer's own message tells.

    Raises: MalformedMessage.
    """
    messages = [_parse_unix_message(payload) for payload in payloads]
    names = {inode: name for _, _, inode, name, _ in messages}
    for kind, number, inode, name, attributes in messages:
        peer_inode = _number(attributes, UNIX_DIAG_PEER)
        received, sent = _queues(attributes)
        state = "CONNECTED" if kind != "stream" and peer_inode else _OTHER_STATES.get(number, f"STATE-{number}")
        yield OpenSocket(
            protocol="unix",
            kind=kind,
            family="unix",
            state=state,
            local=UnixAddress(name),
            peer=None if peer_inode is None else UnixAddress(names.get(peer_inode, "")),
            receive_queue=received,
            send_queue=sent,
            uid=_number(attributes, UNIX_DIAG_UID),
            inode=inode,
            peer_inode=peer_inode,
        )


def _parse_unix_message(payload: memoryview) -> tuple[str, int, int, str, dict[int, memoryview]]:
    if len(payload) < _UNIX_MESSAGE.size:
        raise MalformedMessage(f"unix_diag: {len(payload)} bytes came, struct unix_diag_msg has {_UNIX_MESSAGE.size}")
    family, kind, state, inode = _UNIX_MESSAGE.unpack_from(payload)
    if family != AF_UNIX:
        raise MalformedMessage(f"unix_diag: family {family} is not AF_UNIX")
    attributes = parse_attributes(payload[_UNIX_MESSAGE.size :])
    name = _name(bytes(attributes.get(UNIX_DIAG_NAME, b"")))
    return _UNIX_TYPES.get(kind, f"type-{kind}"), state, inode, name, attributes


def _name(raw: bytes) -> str:
    """Return a path without its closing NUL, or ``@`` and what follows the first NUL of an abstract name."""
    if raw.startswith(b"\0"):
        return "@" + raw[1:].decode("utf-8", "surrogateescape")
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(attributes: Mapping[int, memoryview], attribute_type: int) -> int | None:
    data = attributes.get(attribute_type)
    if data is None:
        return None
    if len(data) < _NUMBER.size:
        raise MalformedMessage(f"unix_diag: attribute {attribute_type} has {len(data)} bytes, a number four")
    return int(_NUMBER.unpack_from(data)[0])


def _queues(attributes: Mapping[int, memoryview]) -> tuple[int | None, int | None]:
    data = attributes.get(UNIX_DIAG_RQLEN)
    if data is None:
        return None, None
    if len(data) < _QUEUES.size:
        raise MalformedMessage(f"unix_diag: the queues' attribute has {len(data)} bytes, struct unix_diag_rqlen eight")
    received, sent = _QUEUES.unpack_from(data)
    return received, sent
