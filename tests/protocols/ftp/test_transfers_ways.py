"""How data connections come about: passive and active, from whom, to where, and what is refused (RFC 2577)."""

from __future__ import annotations

import pytest

from portside.address import InternetAddress
from portside.errors import ConnectionLost, OutOfDescriptors
from portside.protocols.ftp.data import CONTROL_PORT, DATA_PORT, CannotOpen, Passive
from portside.protocols.ftp.passive import Advertisement, parse_advertised
from portside.protocols.ftp.session import Policy
from portside.testing.memory import MemoryConnection, MemoryNetwork, pair
from support.ftp_visits import HOST, LISTENS, STRANGER, World, port_in

V6, V6_SERVER, V6_STRANGER = "2001:db8::7", InternetAddress("2001:db8::1", 9000), "2001:db8:bad::9"


# ── passive ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pasv_tells_where_and_epsv_only_which_port(world: World) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        host, port = LISTENS.replace(".", ","), 0
        reply = await client.say("PASV", 227)
        port = port_in(reply)
        assert f"({host},{port >> 8},{port & 255})" in reply.text
        assert set(world.network.listeners) == {InternetAddress(LISTENS, port)}
        reply = await client.say("EPSV", 229)
        assert f"(|||{port_in(reply)}|)" in reply.text
        assert set(world.network.listeners) == {InternetAddress(LISTENS, port_in(reply))}  # in place of the first

    world.run(story)


def test_over_ipv6_there_is_epsv(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in(host=V6, local=V6_SERVER)
        assert await client.asks("PASV", "EPSV 1") == [425, 522]
        reply = await client.say("EPSV 2", 229)
        endpoint = f"tcp://[{V6_SERVER.host}]:{port_in(reply)}"
        data = await world.network.connect(endpoint, local=InternetAddress(V6, 0))
        await client.say("RETR a", 150, 226)
        assert await data.read() == b"content\n"

    world.run(story)


@pytest.mark.parametrize(
    ("line", "else_code"), [("PASV", 227), ("PORT 198,51,100,7,200,1", 200), ("EPRT |1|198.51.100.7|9000|", 200)]
)
def test_after_epsv_all_there_is_nothing_else(cut_world: World, line: str, else_code: int) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        assert await client.asks("EPSV ALL", line, "EPSV 1") == [200, 501, 229]
        assert await client.take("RETR a") == b"content\n"
        assert await client.asks("REIN", "USER anna", "PASS secret", line) == [220, 331, 230, else_code]

    cut_world.run(story)


@pytest.mark.parametrize("line", ["RETR secret", "STOR a", "LIST"])
def test_a_stranger_on_the_passive_port_gets_and_gives_nothing(world: World, line: str) -> None:
    async def story(world: World) -> None:
        world.put("/secret")
        client = await world.logged_in()
        reply = await client.say("EPSV", 229)
        stranger = await client.connect_to(reply, STRANGER)
        await stranger.write(b"a stranger's words")
        await client.send(line)
        assert (await client.reply(line)).code == 150
        with pytest.raises(ConnectionLost):
            await stranger.read()
        data = await client.connect_to(reply)
        await data.write_eof()
        assert (await client.reply(line)).code == 226
        assert world.content("/a") == b"" if line == "STOR a" else await data.read() != b""

    world.run(story)


class Crowd:
    """A listener to which a stranger comes every ten seconds, and is there already when one asks."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.address = InternetAddress(LISTENS, 51_200)
        self.came = 0

    async def accept(self, timeout_s: float | None = None) -> MemoryConnection:
        self.came += 1
        assert self.came < 10
        await self.network.sleep(10.0)
        return pair(network=self.network, client=InternetAddress(STRANGER, 50_000))[0]


def test_strangers_without_end_do_not_make_a_transfer_wait_for_ever() -> None:
    network = MemoryNetwork()  # without a loop: only sleep moves its time
    crowd = Crowd(network)
    with pytest.raises(CannotOpen, match="Nobody connected to the port in time"):
        Passive(network, crowd, HOST).open(30.0).send(None)  # type: ignore[arg-type]
    assert crowd.came == 4


def test_one_client_is_not_served_on_another_s_port(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/secret")
        one, other = await world.logged_in(), await world.logged_in(host=STRANGER)
        reply = await one.say("EPSV", 229)
        await other.connect_to(reply, STRANGER)
        await one.say("RETR secret", 150, 425)
        assert other.data is not None
        with pytest.raises(ConnectionLost):
            await other.data.read()

    world.run(story)


def test_ports_come_from_the_range_and_run_out() -> None:
    async def story(world: World) -> None:
        clients = [await world.logged_in(control_port=50_000 + number) for number in range(3)]
        ports = [port_in(await client.say("EPSV", 229)) for client in clients[:2]]
        assert sorted(ports) == [40_000, 40_001]
        await clients[2].say("EPSV", 425)
        await clients[2].say("PASV", 425)
        await clients[0].say("ABOR", 226)
        assert port_in(await clients[2].say("PASV", 227)) == ports[0]

    World(passive_ports=range(40_000, 40_002)).run(story)


def test_a_port_that_cannot_be_had_forgets_the_one_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise OutOfDescriptors("no file descriptor is left")

    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.say("EPSV", 229)
        with monkeypatch.context() as patch:
            patch.setattr(MemoryNetwork, "listen", fail)
            assert "no file descriptor is left" in (await client.say("PASV", 425)).text
        await client.say("RETR a", 425)
        assert await client.take("RETR a") == b"content\n"

    world.run(story)


def test_clients_behind_nat_are_told_the_address_outside() -> None:
    advertised = ("203.0.113.5", "198.51.100.0/24=10.0.0.1", "198.51.100.8/32=10.0.0.2")

    async def story(world: World) -> None:
        for host, told in (("198.51.100.7", "10,0,0,1"), ("198.51.100.8", "10,0,0,2"), (STRANGER, "203,0,113,5")):
            client = await world.logged_in(host=host)
            reply = await client.say("PASV", 227)
            assert f"({told}," in reply.text
            data = await client.connect_to(reply, host)  # NAT leads there
            await client.say("LIST", 150, 226)
            assert await data.read() == b""

    World(advertisement=Advertisement(tuple(map(parse_advertised, advertised)))).run(story)


# ── active ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ACTIVE = ["PORT {commas},{high},{low}", "EPRT |1|{host}|{port}|", "EPRT !1!{host}!{port}!"]


@pytest.mark.parametrize("line", ACTIVE)
def test_the_server_connects_to_where_the_client_says(cut_world: World, line: str) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        async with await world.network.listen(f"tcp://{HOST}:51200") as listener:
            said = line.format(commas=HOST.replace(".", ","), host=HOST, port=51200, high=200, low=0)
            await client.say(said, 200)
            await client.say("RETR a", 150, 226)
            data = await listener.accept()
            assert data.peer.host == LISTENS  # type: ignore[union-attr]
            assert await data.read() == b"content\n"
            assert await data.read() == b""
            await client.say("RETR a", 425)

    cut_world.run(story)


@pytest.mark.parametrize(("local", "port"), [(CONTROL_PORT, DATA_PORT), (9000, None)])
def test_from_port_21_data_come_from_port_20(world: World, local: int, port: int | None) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in(local=InternetAddress(LISTENS, local))
        async with await world.network.listen(f"tcp://{HOST}:51200") as listener:
            await client.say(f"EPRT |1|{HOST}|51200|", 200)
            await client.say("RETR a", 150, 226)
            data = await listener.accept()
            assert (data.peer.port == DATA_PORT) is (port == DATA_PORT)  # type: ignore[union-attr]

    world.run(story)


def test_where_port_20_is_not_to_be_had_another_does(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in(local=InternetAddress(LISTENS, CONTROL_PORT))
        async with (
            await world.network.listen(f"tcp://{LISTENS}:{DATA_PORT}"),
            await world.network.listen(f"tcp://{HOST}:51200") as listener,
        ):
            await client.say(f"EPRT |1|{HOST}|51200|", 200)
            await client.say("RETR a", 150, 226)
            assert (await listener.accept()).peer.port != DATA_PORT  # type: ignore[union-attr]

    world.run(story)


def test_nobody_where_the_client_says_is_425(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.say(f"EPRT |1|{HOST}|51200|", 200)
        assert "refused" in (await client.say("RETR a", 150, 425)).text
        assert await client.asks("NOOP") == [200]

    world.run(story)


BOUNCES = [
    f"PORT {STRANGER.replace('.', ',')},200,0",
    f"EPRT |1|{STRANGER}|51200|",
    "PORT 127,0,0,1,200,0",
    "EPRT |2|::1|51200|",
    f"PORT {HOST.replace('.', ',')},0,25",
    f"EPRT |1|{HOST}|25|",
]


@pytest.mark.parametrize("line", BOUNCES)
def test_nobody_has_us_connect_to_a_third_machine_or_a_low_port(world: World, line: str) -> None:
    async def story(world: World) -> None:
        world.put("/mail", b"RCPT TO:<victim>\r\n")
        client = await world.logged_in()
        listeners = [
            await world.network.listen(f"tcp://{host}:{port}")
            for host, port in ((STRANGER, 51200), ("127.0.0.1", 51200), ("[::1]", 51200), (HOST, 25))
        ]
        assert await client.asks(line, "RETR mail") == [504, 425]
        for listener in listeners:
            assert not listener._waiting
            await listener.close()

    world.run(story)


def test_a_bounce_that_is_refused_forgets_nothing(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        data = await client.passive()
        await client.say(BOUNCES[0], 504)
        await client.say("RETR a", 150, 226)
        assert await data.read() == b"content\n"

    world.run(story)


def test_active_mode_may_be_off() -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        assert await client.asks(f"EPRT |1|{HOST}|51200|", "LIST") == [502, 425]

    World(policy=Policy(active=False)).run(story)


def test_the_way_that_was_said_last_counts(world: World) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        async with await world.network.listen(f"tcp://{HOST}:51200") as listener:
            await client.asks("EPSV", f"EPRT |1|{HOST}|51200|")
            assert len(world.network.listeners) == 1
            data = await client.passive()
            await client.say("RETR a", 150, 226)
            assert await data.read() == b"content\n"
            assert not listener._waiting

    world.run(story)
