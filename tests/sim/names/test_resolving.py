"""From a program's question over the recursive server, root and zones, on real stacks in virtual time."""

from __future__ import annotations

import socket
from typing import Any

from portside.sim.addresses import to_int, to_text
from portside.sim.chance import stream
from portside.sim.frame import UdpFrame
from portside.sim.names import Names
from portside.sim.nameserver import Authority, Recursive, parse_zone, serve
from portside.sim.nameserver.asking import belongs
from portside.sim.nameserver.preference import preferred
from portside.sim.nameserver.stub import StubSettings
from portside.sim.tcp import Tcp
from portside.wire.dns import DnsMessage, Question, build_dns, parse_dns
from support.stacks import WIRE_NS, Net

ROOT = """$ORIGIN .
@ 3600 SOA a.root. admin. 1 1 1 1 60
@ NS a.root.
a.root. A 10.0.0.3
test. NS ns.test.
ns.test. A 10.0.0.4
"""
TEST = """$ORIGIN test.
@ 3600 SOA ns admin 1 1 1 1 60
@ NS ns
ns A 10.0.0.4
example NS ns.example
ns.example A 10.0.0.5
lost NS ns.lost
"""
EXAMPLE = """$ORIGIN example.test.
$TTL 30
@ SOA ns admin 1 1 1 1 20
@ NS ns
ns A 10.0.0.5
web A 10.0.0.80
web AAAA 2001:db8::80
www CNAME web
ring CNAME gnir
gnir CNAME ring
""" + "".join(f"many A 10.1.{at}.1\n" for at in range(100))


class Internet:
    """A client, its recursive server, and a server each for the root, a top-level domain and a zone."""

    def __init__(self, drop: Any = None, **settings: Any) -> None:
        self.net = Net()
        self.hosts = {
            name: self.net.host(name, f"10.0.0.{at}/16")
            for at, name in enumerate(("client", "resolver", "root", "test", "example"), 1)
        }
        for host in self.hosts.values():
            host.attach_tcp(Tcp(host))  # type: ignore[arg-type]
        ports = [host.interfaces[0].port for host in self.hosts.values()]
        for port in ports:
            port.plug(lambda frame, port=port: self._carry(frame, port, ports, drop))
        self.zones = [parse_zone(text) for text in (ROOT, TEST, EXAMPLE)]
        self.services = {
            name: serve(self.hosts[name], Authority([zone]))
            for name, zone in zip(("root", "test", "example"), self.zones, strict=True)
        }
        resolver = self.hosts["resolver"]
        self.resolver = Recursive(resolver, stream(1, "recursive"), {"a.root.": (to_int("10.0.0.3"),)})
        self.services["resolver"] = serve(resolver, self.resolver)
        self.names = Names(
            self.hosts["client"],
            self.net.scheduler,
            stream(1, "names"),
            {"known": [to_int("10.0.0.9")]},
            settings=StubSettings((to_int("10.0.0.2"),), **settings),
        )

    def _carry(self, frame: Any, port: Any, ports: list[Any], drop: Any) -> None:
        if drop is None or not drop(frame):
            for other in ports:
                if other is not port:
                    self.net.scheduler.after(WIRE_NS, other.deliver, frame)

    def look_up(self, name: str, family: int = socket.AF_INET) -> Any:
        """Return the addresses, or the number of what failed."""
        told: list[Any] = []

        def done(answer: Any) -> None:
            told.append(answer)
            self.net.scheduler.stop()  # at the time of the answer; timers that nobody needs any more are left

        self.names.look_up(name, family, done)
        assert not told, "it is never told at once"
        self.net.scheduler.run()
        (answer,) = told
        return answer.errno if isinstance(answer, OSError) else [to_text(each) for each in answer]

    @property
    def asked(self) -> list[int]:
        return [self.services[name].queries for name in ("root", "test", "example")]


def test_a_name_is_found_from_the_root_down_and_then_remembered() -> None:
    """RFC 1034 section 5.3.3."""
    internet = Internet()
    assert internet.look_up("known") == ["10.0.0.9"]
    assert internet.resolver.queries == 0
    assert internet.look_up("www.example.test") == ["10.0.0.80"]
    assert internet.asked == [1, 1, 1]
    assert internet.look_up("web.example.test") == ["10.0.0.80"]
    assert internet.asked == [1, 1, 1]


def test_what_is_remembered_ages_in_virtual_time() -> None:
    """RFC 1035 section 3.2.1: the time to live, here 30 s; the zone's servers are known for longer."""
    internet = Internet()
    internet.look_up("web.example.test")
    began_ns = internet.net.scheduler.now
    internet.net.scheduler.run(began_ns + 10_000_000_000)
    told: list[Any] = []
    internet.resolver.resolve("web.example.test.", 1, told.append)
    assert 18 <= told[0].answers[0].ttl_s <= 20
    internet.net.scheduler.run(began_ns + 31_000_000_000)
    assert internet.look_up("web.example.test") == ["10.0.0.80"]
    assert internet.asked[2] == 2


def test_what_is_not_there_is_remembered_as_long_as_the_soa_says() -> None:
    """RFC 2308 section 5."""
    internet = Internet()
    assert internet.look_up("nobody.example.test") == socket.EAI_NONAME
    assert internet.look_up("nobody.example.test") == socket.EAI_NONAME
    assert internet.asked[2] == 1
    internet.net.run(21)
    internet.look_up("nobody.example.test")
    assert internet.asked[2] == 2
    assert internet.look_up("ns.example.test", socket.AF_INET6) == socket.EAI_NODATA


def test_equal_questions_at_the_same_time_are_asked_once() -> None:
    """RFC 5452 section 5."""
    internet = Internet()
    told: list[Any] = []
    for _ in range(5):
        internet.names.look_up("web.example.test", socket.AF_INET, told.append)
    internet.net.scheduler.run()
    assert len(told) == 5
    assert internet.asked == [1, 1, 1]


def test_a_long_answer_comes_over_tcp() -> None:
    """RFC 7766 section 5: 100 addresses have no room in 1,232 bytes, and less in 512."""
    internet = Internet()
    assert len(internet.look_up("many.example.test")) == 100


def test_a_ring_of_aliases_and_a_zone_nobody_can_be_asked_about_fail() -> None:
    internet = Internet()
    assert internet.look_up("ring.example.test") == socket.EAI_AGAIN
    assert internet.look_up("x.lost.test") == socket.EAI_AGAIN


def test_a_lost_question_is_asked_again() -> None:
    lost: list[Any] = []

    def drop(frame: Any) -> bool:
        is_first = isinstance(frame, UdpFrame) and not lost and frame.target == to_int("10.0.0.3")
        if is_first:
            lost.append(frame)
        return is_first

    internet = Internet(drop)
    assert internet.look_up("web.example.test") == ["10.0.0.80"]
    assert lost
    assert internet.asked == [1, 1, 1]


def test_a_silent_server_is_waited_for_twice_five_seconds() -> None:
    """resolv.conf(5): timeout and attempts."""
    internet = Internet(lambda frame: isinstance(frame, UdpFrame))
    assert internet.look_up("web.example.test") == socket.EAI_AGAIN
    assert internet.net.scheduler.now == 10_000_000_000


def test_short_names_are_searched_for_in_domains() -> None:
    internet = Internet(search=("lost.example.test", "example.test"))
    assert internet.look_up("web") == ["10.0.0.80"]
    assert internet.look_up("web.") == socket.EAI_NONAME


def test_both_versions_are_asked_for_from_one_socket_and_what_has_no_way_comes_last() -> None:
    """RFC 6724 section 6, rule 1: the client has no address of IPv6."""
    internet = Internet()
    assert internet.look_up("web.example.test", socket.AF_UNSPEC) == ["10.0.0.80", "2001:db8::80"]
    asked = [frame for frame in internet.net.sent("client:eth0", UdpFrame) if frame.target_port == 53]  # type: ignore[union-attr]
    assert len(asked) == 2
    assert len({frame.source_port for frame in asked}) == 1  # type: ignore[union-attr]


def test_ipv6_is_preferred_where_there_is_a_way() -> None:
    """RFC 6724 section 6, rule 6."""
    stack = Net().host("both", "10.0.0.1/24", "2001:db8::1/64")
    four, six = to_int("10.0.0.2"), to_int("2001:db8::2")
    assert preferred([four, six], stack) == [six, four]


def test_a_forged_answer_is_not_heard() -> None:
    """RFC 5452 section 9.1: the right port and address, and a wrong id or question."""
    internet = Internet()
    done: list[bytes] = []
    client = internet.hosts["client"]

    def forge(frame: Any) -> bool:
        if isinstance(frame, UdpFrame) and frame.target_port == 53 and frame.source == to_int("10.0.0.1") and not done:
            query = parse_dns(frame.payload)
            lie = build_dns(
                DnsMessage(query.id ^ 1, query.questions, (), is_response=True, rcode=3, recursion_available=True)
            )
            done.append(lie)
            forged = UdpFrame(frame.target, 53, frame.source, frame.source_port, lie, 64)
            internet.net.scheduler.soon(client.udp.receive, forged)
        return False

    internet = Internet(forge)
    client = internet.hosts["client"]
    assert internet.look_up("web.example.test") == ["10.0.0.80"]
    assert done
    query = DnsMessage(1, (Question("a.", 1),))
    assert belongs(DnsMessage(1, (Question("A.", 1),), is_response=True), query)
    assert not belongs(DnsMessage(1, (Question("b.", 1),), is_response=True), query)
    assert not belongs(query, query)


def test_a_server_does_not_say_what_is_not_its_own() -> None:
    """RFC 2181 section 5.4.1: an alias that leads out of the zone is followed by asking, not by believing."""
    internet = Internet()
    liar = internet.services["example"].answerer
    lie = parse_zone("bank. 300 SOA a. b. 1 1 1 1 1\nbank. A 6.6.6.6", "bank.")
    liar.add_zone(lie)  # type: ignore[attr-defined]
    internet.zones[2].insert(parse_zone("trap.example.test. CNAME bank.").records()[-1])
    assert internet.look_up("trap.example.test") == socket.EAI_NONAME


def test_the_name_of_an_address_is_found() -> None:
    internet = Internet()
    internet.zones[0].insert(parse_zone("80.0.0.10.in-addr.arpa. PTR web.example.test.").records()[-1])
    told: list[Any] = []
    internet.names.reverse(to_int("10.0.0.80"), told.append)
    internet.names.reverse(to_int("10.0.0.81"), told.append)
    internet.net.scheduler.run()
    assert told[0] == "web.example.test"
    assert told[1].errno == socket.EAI_NONAME
