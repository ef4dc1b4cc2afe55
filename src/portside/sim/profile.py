"""Where hosts differ on purpose: constants of TCP and IP as the RFCs say them, and as Linux has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from portside.sim.clock import MILLISECOND, SECOND


@dataclass(frozen=True, slots=True)
class Profile:
    """The habits of a host. Times in nanoseconds, sizes in bytes."""

    name: str
    rto_initial_ns: int = SECOND  # RFC 6298 section 2.1
    rto_min_ns: int = SECOND  # RFC 6298 section 2.4: SHOULD be rounded up to 1 second
    rto_min_bounds_variation: bool = False  # the least RTO is a margin upon SRTT, as Linux's tcp_set_rto has it
    rto_max_ns: int = 60 * SECOND  # RFC 6298 section 2.5: at least 60 seconds
    rtt_granularity_ns: int = MILLISECOND  # G of RFC 6298 section 2
    syn_linear_timeouts: int = 0  # so many first retries of a SYN do not back off
    syn_retries: int = 6
    synack_retries: int = 5
    data_retries: int = 15  # R2 of RFC 9293 section 3.8.3, as a count
    delayed_ack_min_ns: int = 200 * MILLISECOND  # RFC 9293 section 3.8.6.3: less than 0.5 seconds
    delayed_ack_max_ns: int = 200 * MILLISECOND
    quick_acks: int = 0  # so many first segments are acknowledged at once
    time_wait_ns: int = 240 * SECOND  # twice the MSL of RFC 9293 section 3.4.1
    fin_wait_2_ns: int | None = None  # how long a closed connection waits for the peer's FIN; RFC 9293: for ever
    initial_window_segments: int = 10  # RFC 6928
    idle_halves_window: bool = False  # once for each RTO without sending, instead of down to the initial one at once
    congestion: Literal["newreno", "cubic"] = "newreno"
    send_buffer_bytes: int = 262_144
    receive_buffer_bytes: int = 262_144
    probes_with_data: bool = True  # RFC 9293 section 3.8.6.1: one octet at least; Linux sends none, below the window
    syn_fails_by_any_error: bool = False  # ICMP errors that may pass end a connection attempt
    challenge_acks_per_s: int = 100  # RFC 5961 section 7
    keepalive_idle_ns: int = 7_200 * SECOND  # RFC 9293 section 3.8.4: no less than two hours
    keepalive_interval_ns: int = 75 * SECOND
    keepalive_count: int = 9
    arp_retry_ns: int = SECOND  # RFC 1122 section 2.3.2.1: at most one a second
    arp_tries: int = 3
    neighbor_reachable_ns: int = 30 * SECOND  # RFC 4861 section 10, without its random factor
    reassembly_ns: int = 60 * SECOND  # RFC 1122 section 3.3.2: 60 to 120 seconds
    ttl: int = 64


RFC: Final = Profile("rfc")
LINUX: Final = Profile(
    "linux",
    rto_min_ns=200 * MILLISECOND,  # TCP_RTO_MIN
    rto_min_bounds_variation=True,  # __tcp_set_rto with tcp_rto_min as the least of its variation
    probes_with_data=False,  # tcp_xmit_probe_skb
    syn_fails_by_any_error=True,  # tcp_v4_err
    rto_max_ns=120 * SECOND,  # TCP_RTO_MAX
    syn_linear_timeouts=4,  # net.ipv4.tcp_syn_linear_timeouts, since 6.5
    delayed_ack_min_ns=40 * MILLISECOND,  # TCP_DELACK_MIN
    quick_acks=16,  # TCP_MAX_QUICKACKS
    time_wait_ns=60 * SECOND,  # TCP_TIMEWAIT_LEN
    fin_wait_2_ns=60 * SECOND,  # net.ipv4.tcp_fin_timeout
    idle_halves_window=True,  # tcp_cwnd_restart
    congestion="cubic",
    send_buffer_bytes=4_194_304,  # the most of net.ipv4.tcp_wmem
    receive_buffer_bytes=6_291_456,  # the most of net.ipv4.tcp_rmem
    reassembly_ns=30 * SECOND,  # net.ipv4.ipfrag_time
)
PROFILES: Final = {profile.name: profile for profile in (RFC, LINUX)}
