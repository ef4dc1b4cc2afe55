"""Linux cooked captures: what stands in for a link's header where links of several kinds are captured at once.

Source: the descriptions of LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2 by the tcpdump group; packet(7).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from portside.wire.malformed import Bytes, packed, require

# packet type, hardware, length of the address, address, protocol
_SLL: Final = struct.Struct("!HHH8sH")
# protocol, reserved, interface, hardware, packet type, length of the address, address
_SLL2: Final = struct.Struct("!HxxIHBB8s")
SLL_BYTES: Final = _SLL.size
SLL2_BYTES: Final = _SLL2.size
ADDRESS_BYTES_MAX: Final = 8

# Packet types of linux/if_packet.h.
TO_US: Final = 0
BROADCAST: Final = 1
MULTICAST: Final = 2
TO_OTHERS: Final = 3
FROM_US: Final = 4
_WORDS: Final = ("to us", "broadcast", "multicast", "to others", "from us")


@dataclass(frozen=True, slots=True)
class CookedPacket:
    """A packet without its link's header: whose it is, and what the link said of it.

    ``protocol`` is an EtherType, ``hardware`` a number of net/if_arp.h, ``address`` the sender's on the link;
    ``interface`` the number of the machine's that captured, None where the first version has no room for it.
    """

    packet_type: int
    hardware: int
    address: bytes
    protocol: int
    payload: bytes = field(default=b"", repr=False)
    interface: int | None = None

    @property
    def direction_words(self) -> str:
        return _WORDS[self.packet_type] if 0 <= self.packet_type < len(_WORDS) else f"packet type {self.packet_type}"


def parse_sll(data: Bytes) -> CookedPacket:
    """Return the packet behind a header of the first version. Raises: Truncated."""
    require(data, SLL_BYTES, "Linux cooked capture")
    packet_type, hardware, length, address, protocol = _SLL.unpack_from(data)
    return CookedPacket(packet_type, hardware, address[:length], protocol, bytes(data[SLL_BYTES:]))


def parse_sll2(data: Bytes) -> CookedPacket:
    """Return the packet behind a header of the second version. Raises: Truncated."""
    require(data, SLL2_BYTES, "Linux cooked capture 2")
    protocol, interface, hardware, packet_type, length, address = _SLL2.unpack_from(data)
    return CookedPacket(packet_type, hardware, address[:length], protocol, bytes(data[SLL2_BYTES:]), interface)


def build_sll2(packet: CookedPacket) -> bytes:
    """Return the packet with a header of the second version. Raises: ValueError for what does not fit its field."""
    if len(packet.address) > ADDRESS_BYTES_MAX:
        raise ValueError(f"Linux cooked capture: the address has {len(packet.address)} bytes, there is room for 8")
    numbers = (packet.protocol, packet.interface or 0, packet.hardware, packet.packet_type, len(packet.address))
    return packed(_SLL2, "Linux cooked capture 2", *numbers, packet.address) + packet.payload
