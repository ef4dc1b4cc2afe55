"""Strategies that make packets of every format that ``wire`` knows, as they can be built and parsed again."""

from __future__ import annotations

from hypothesis import strategies as st

from portside.wire import icmp, icmpv6, ipv6_extensions, neighbor, tcp_options
from portside.wire.arp import Arp
from portside.wire.ethernet import TAGS, Frame, MacAddress, VlanTag
from portside.wire.ipv4 import IPv4Option, IPv4Packet
from portside.wire.ipv6 import IPv6Packet
from portside.wire.tcp import Segment
from portside.wire.udp import Datagram


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << bits) - 1)


def eights(bits: int) -> st.SearchStrategy[int]:
    """Return multiples of eight that fit in so many bits."""
    return unsigned(bits - 3).map(lambda number: number * 8)


payloads = st.binary(max_size=48)
macs = st.binary(min_size=6, max_size=6).map(MacAddress)
ipv4s = st.ip_addresses(v=4)
ipv6s = st.ip_addresses(v=6)
pairs_of_ips = st.one_of(st.tuples(ipv4s, ipv4s), st.tuples(ipv6s, ipv6s))
bools = st.booleans()

# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────────

tags = st.builds(VlanTag, unsigned(12), unsigned(3), bools, st.sampled_from(sorted(TAGS)))
ethertypes = unsigned(16).filter(lambda number: number not in TAGS)
frames = st.builds(Frame, macs, macs, ethertypes, payloads, st.lists(tags, max_size=2).map(tuple))
arps = st.builds(Arp, unsigned(16), macs, ipv4s, macs, ipv4s)

# ── IP ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

ipv4_options = st.one_of(
    st.just(IPv4Option(1)),
    st.builds(IPv4Option, st.integers(2, 255), st.binary(max_size=10)),
)
ipv4_packets = st.builds(
    IPv4Packet,
    source=ipv4s,
    target=ipv4s,
    protocol=unsigned(8),
    payload=payloads,
    time_to_live=unsigned(8),
    identification=unsigned(16),
    dont_fragment=bools,
    more_fragments=bools,
    fragment_offset=eights(16),
    dscp=unsigned(6),
    ecn=unsigned(2),
    options=st.lists(ipv4_options, max_size=3).map(tuple),
    reserved_flag=bools,
)
ipv6_options = st.builds(
    ipv6_extensions.IPv6Option,
    st.integers(2, 255).filter(lambda kind: kind != ipv6_extensions.JUMBO),
    st.binary(max_size=20),
)
some_options = st.lists(ipv6_options, max_size=3).map(tuple)
whole_extensions = st.one_of(
    st.builds(ipv6_extensions.HopByHop, some_options),
    st.builds(ipv6_extensions.DestinationOptions, some_options),
    st.builds(
        ipv6_extensions.Routing,
        unsigned(8),
        unsigned(8),
        eights(6).flatmap(lambda n: st.binary(min_size=n + 4, max_size=n + 4)),
    ),
    st.builds(ipv6_extensions.Fragment, unsigned(32), st.just(0), bools),
)
last_extensions = st.one_of(whole_extensions, st.builds(ipv6_extensions.Fragment, unsigned(32), eights(16), bools))
extension_chains = st.one_of(
    st.just(()),
    st.tuples(st.lists(whole_extensions, max_size=2), last_extensions).map(lambda chain: (*chain[0], chain[1])),
)
ipv6_packets = st.builds(
    IPv6Packet,
    source=ipv6s,
    target=ipv6s,
    protocol=unsigned(8).filter(lambda number: number not in ipv6_extensions.EXTENSIONS),
    payload=payloads,
    hop_limit=unsigned(8),
    traffic_class=unsigned(8),
    flow_label=unsigned(20),
    extensions=extension_chains,
)

# ── transports ───────────────────────────────────────────────────────────────────────────────────────────────────────

datagrams = st.builds(Datagram, unsigned(16), unsigned(16), payloads)
tcp_option = st.one_of(
    st.builds(tcp_options.NoOperation),
    st.builds(tcp_options.MaximumSegmentSize, unsigned(16)),
    st.builds(tcp_options.WindowScale, unsigned(8)),
    st.builds(tcp_options.SackPermitted),
    st.builds(tcp_options.Sack, st.lists(st.tuples(unsigned(32), unsigned(32)), min_size=1, max_size=3).map(tuple)),
    st.builds(tcp_options.Timestamps, unsigned(32), unsigned(32)),
    st.builds(tcp_options.UnknownOption, st.integers(9, 255), st.binary(max_size=6)),
)


def fits(options: tuple[tcp_options.TcpOption, ...]) -> bool:
    try:
        tcp_options.build_tcp_options(options)
    except ValueError:
        return False
    return True


segments = st.builds(
    Segment,
    source_port=unsigned(16),
    target_port=unsigned(16),
    sequence=unsigned(32),
    acknowledgement=unsigned(32),
    flags=unsigned(9),
    window=unsigned(16),
    payload=payloads,
    options=st.lists(tcp_option, max_size=4).map(tuple).filter(fits),
    urgent=unsigned(16),
    reserved=unsigned(3),
)

# ── ICMP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

echoes = st.builds(icmp.Echo, unsigned(16), unsigned(16), payloads, bools, unsigned(8))
icmps = st.one_of(
    echoes,
    st.builds(icmp.Unreachable, unsigned(8), payloads, unsigned(16), unsigned(8)),
    st.builds(icmp.TimeExceeded, unsigned(8), payloads, unsigned(8)),
    st.builds(icmp.ParameterProblem, unsigned(8), unsigned(8), payloads, unsigned(8)),
    st.builds(icmp.Redirect, unsigned(8), ipv4s, payloads),
    st.builds(
        icmp.OtherIcmp,
        unsigned(8).filter(lambda kind: kind not in {0, 3, 5, 8, 11, 12}),
        unsigned(8),
        st.binary(min_size=4, max_size=4),
        payloads,
    ),
)
neighbor_options = st.one_of(
    st.builds(neighbor.LinkLayerAddress, macs, bools),
    st.builds(neighbor.PrefixInformation, ipv6s, unsigned(8), unsigned(32), unsigned(32), bools, bools, unsigned(6)),
    st.builds(neighbor.LinkMtu, unsigned(32)),
    st.builds(neighbor.NameServers, unsigned(32), st.lists(ipv6s, min_size=1, max_size=3).map(tuple)),
    st.builds(neighbor.RedirectedPacket, eights(6).flatmap(lambda n: st.binary(min_size=n, max_size=n))),
    st.builds(
        neighbor.UnknownNeighborOption,
        st.integers(26, 255),
        eights(6).flatmap(lambda n: st.binary(min_size=n + 6, max_size=n + 6)),
    ),
)
many = st.lists(neighbor_options, max_size=3).map(tuple)
icmpv6s = st.one_of(
    echoes,
    st.builds(icmpv6.Icmpv6Error, st.sampled_from(sorted(icmpv6.ERROR_WORDS)), unsigned(8), unsigned(32), payloads),
    st.builds(icmpv6.RouterSolicitation, many),
    st.builds(
        icmpv6.RouterAdvertisement,
        unsigned(8),
        bools,
        bools,
        unsigned(16),
        unsigned(32),
        unsigned(32),
        many,
        unsigned(6),
    ),
    st.builds(icmpv6.NeighborSolicitation, ipv6s, many),
    st.builds(icmpv6.NeighborAdvertisement, ipv6s, bools, bools, bools, many),
    st.builds(icmpv6.RedirectV6, ipv6s, ipv6s, many),
    st.builds(
        icmpv6.OtherIcmpv6,
        unsigned(8).filter(lambda kind: kind not in {1, 2, 3, 4, 128, 129, 133, 134, 135, 136, 137}),
        unsigned(8),
        payloads,
    ),
)
