"""Visits under TLS: AUTH, PBSZ, PROT, CCC, implicit FTPS, each policy, and what an attacker in the middle would try."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

import pytest

from portside.errors import ConnectionLost, TlsFailed
from portside.net.tls import ServerTls, server_context
from portside.protocols.ftp.session import Policy, TlsPolicy
from support.certificates import Certificates
from support.ftp_visits import NAME, Client, World


@dataclass(frozen=True)
class Tls:
    identity: ServerTls
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def tls(certificates: Certificates) -> Tls:
    issued = certificates.issue(NAME)
    return Tls(server_context([(str(issued.chain), str(issued.key))]), certificates.client_context())


def world_of(tls: Tls, policy: TlsPolicy = "optional", **changes: Any) -> World:
    return World(policy=Policy(tls=policy), tls=tls.identity, **changes)


async def begin_tls(client: Client, tls: Tls, line: str = "AUTH TLS", server_name: str = NAME) -> None:
    await client.say(line, 234)
    await client.control.start_tls(tls.client, server_side=False, server_name=server_name)


async def protected(world: World, tls: Tls, *, level: str = "P") -> Client:
    """Return a client that has logged in under TLS and wants its data connections so."""
    client = await world.greeted()
    await begin_tls(client, tls)
    assert await client.asks("USER anna", "PASS secret", "PBSZ 0", f"PROT {level}", "TYPE I") == [
        *(331, 230, 200, 200, 200),
    ]
    client.tls = tls.client if level == "P" else None
    return client


# ── the control connection ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cut", [None, 1])
def test_a_visit_under_tls(tls: Tls, cut: int | None) -> None:
    async def story(world: World) -> None:
        world.cut = cut
        client = await protected(world, tls)
        assert client.control.tls is not None
        await client.give("STOR a", b"content" * 10_000)
        assert await client.take("RETR a") == b"content" * 10_000
        assert await client.take("NLST") == b"a\r\n"
        assert await client.asks("AUTH TLS", "QUIT") == [503, 221]
        await client.is_left_alone()

    world_of(tls).run(story)


def test_who_it_is_must_be_said_again_under_tls(tls: Tls) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        await client.say("EPSV", 229)
        await begin_tls(client, tls)
        assert await client.asks("PWD", "PASS secret", "USER anna", "PASS secret") == [530, 503, 331, 230]
        assert world.network.listeners == {}  # what was prepared in the clear is not kept
        await client.say("LIST", 425)

    world_of(tls).run(story)


@pytest.mark.parametrize("behind", [b"USER anna\r\nPASS secret\r\n", b"DELE a\r\n", b"\x16"])
def test_what_is_put_behind_auth_in_plain_text_is_not_executed(tls: Tls, behind: bytes) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.logged_in()
        await client.send(b"AUTH TLS\r\n" + behind)
        assert (await client.reply("AUTH")).code == 234
        with pytest.raises((TlsFailed, ConnectionLost)):
            await client.control.start_tls(tls.client, server_side=False, server_name=NAME)
        await client.leave()
        assert isinstance(client.failure, TlsFailed)
        assert world.names() == {"a"}

    world_of(tls).run(story)


def test_a_handshake_that_fails_ends_the_visit(tls: Tls) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        await client.say("AUTH TLS", 234)
        await client.send(b"this is no handshake\r\n")
        await client.leave()
        assert isinstance(client.failure, TlsFailed)

    world_of(tls).run(story)


@pytest.mark.parametrize(
    ("line", "code"), [("AUTH GSSAPI", 504), ("AUTH", 501), ("PBSZ 0", 503), ("PROT P", 503), ("ADAT x", 502)]
)
def test_before_tls(tls: Tls, line: str, code: int) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        await client.say(line, code)

    world_of(tls).run(story)


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (("PROT P",), [503]),
        (("PBSZ x",), [501]),
        (("PBSZ 4294967296",), [501]),
        (("PBSZ 4294967295", "PROT P"), [200, 200]),
        (("PBSZ 0", "PROT p", "PROT C"), [200, 200, 200]),
        (("PBSZ 0", "PROT S", "PROT E", "PROT X"), [200, 536, 536, 504]),
        (("PBSZ 0", "PROT"), [200, 501]),
    ],
)
def test_pbsz_comes_before_prot(tls: Tls, lines: tuple[str, ...], codes: list[int]) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        await begin_tls(client, tls)
        assert await client.asks(*lines) == codes

    world_of(tls).run(story)


def test_feat_tells_of_tls_where_there_is_any(tls: Tls) -> None:
    async def story(world: World) -> None:
        text = (await (await world.greeted()).say("FEAT", 211)).text
        assert all(f"\n {name}\n" in text for name in ("AUTH TLS", "PBSZ", "PROT", "CCC"))

    world_of(tls).run(story)


def test_ccc_goes_back_to_the_clear_and_data_stay_protected(tls: Tls) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await protected(world, tls)
        await client.say("CCC", 200)
        await client.control.stop_tls()
        client.tls = None
        assert await client.asks("PWD", "CCC", "PBSZ 0") == [257, 533, 503]
        data = await client.passive()
        await client.send("RETR a")
        assert (await client.reply()).code == 150
        await data.start_tls(tls.client, server_side=False, server_name=NAME)
        assert await data.read() == b"content\n"
        assert (await client.reply()).code == 226

    world_of(tls).run(story)


def test_a_session_that_says_ccc_and_auth_again(tls: Tls) -> None:
    async def story(world: World) -> None:
        client = await protected(world, tls)
        await client.say("CCC", 200)
        await client.control.stop_tls()
        await begin_tls(client, tls)
        assert await client.asks("PWD", "USER anna", "PASS secret", "PROT P") == [530, 331, 230, 503]

    world_of(tls).run(story)


def test_host_must_be_the_name_that_tls_was_asked_for(tls: Tls) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        await begin_tls(client, tls)
        assert await client.asks("HOST other.example", "HOST FTP.example", "USER anna", "HOST ftp.example") == [
            *(504, 220, 331, 503),
        ]

    world_of(tls).run(story)


# ── policies ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# What is said to AUTH TLS and to a login in the clear; under TLS to PROT C, to a transfer without PROT P, and to CCC.
POLICIES = {
    "off": (502, 331, None, None, None),
    "optional": (234, 331, 200, 150, 200),
    "login": (234, 530, 200, 150, 200),
    "data": (234, 530, 534, 521, 534),
}


@pytest.mark.parametrize(("policy", "expected"), POLICIES.items())
def test_each_policy(tls: Tls, policy: TlsPolicy, expected: tuple[int | None, ...]) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        clear = await world.greeted()
        heard: list[int | None] = [(await clear.say("USER anna")).code]
        client = await world.greeted()
        if policy == "off":
            heard[:0] = [(await client.say("AUTH TLS")).code]
            assert heard + [None] * 3 == list(expected)
            return
        await begin_tls(client, tls)
        heard[:0] = [234]
        await client.asks("USER anna", "PASS secret", "PBSZ 0")
        heard.append((await client.say("PROT C")).code)
        await client.passive()
        await client.send("RETR a")
        heard.append((await client.reply("RETR")).code)
        if heard[-1] == 150:
            assert (await client.reply("RETR")).code == 226
        heard.append((await client.say("CCC")).code)
        if heard[-1] == 200:
            await client.control.stop_tls()
        assert heard == list(expected)

    world_of(tls, policy).run(story)


@pytest.mark.parametrize("line", ["RETR a", "STOR b", "STOU", "APPE a", "LIST", "NLST", "MLSD"])
def test_where_data_must_be_protected_nothing_goes_in_the_clear(tls: Tls, line: str) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await world.greeted()
        await begin_tls(client, tls)
        await client.asks("USER anna", "PASS secret", "TYPE I")
        await client.passive()
        assert await client.asks(line, "PBSZ 0", "PROT P") == [521, 200, 200]
        client.tls = tls.client
        assert await client.take("RETR a") == b"content\n"

    world_of(tls, "data").run(story)


# ── data connections ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_prot_c_leaves_data_in_the_clear(tls: Tls) -> None:
    async def story(world: World) -> None:
        client = await protected(world, tls, level="C")
        await client.give("STOR a", b"content")
        assert await client.take("RETR a") == b"content"

    world_of(tls).run(story)


@pytest.mark.parametrize("line", ["AUTH SSL", "AUTH TLS-P"])
def test_the_older_names_protect_data_as_well(tls: Tls, line: str) -> None:
    async def story(world: World) -> None:
        client = await world.greeted()
        await begin_tls(client, tls, line)
        await client.asks("USER anna", "PASS secret", "TYPE I")
        client.tls = tls.client
        await client.give("STOR a", b"content")
        assert await client.take("RETR a") == b"content"

    world_of(tls).run(story)


def test_a_client_that_does_not_shake_hands_is_told(tls: Tls) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"old")
        client = await protected(world, tls)
        data = await client.passive()
        await client.send("STOR a")
        assert (await client.reply("STOR")).code == 150
        await data.write(b"plain bytes, and no handshake at all")
        assert (await client.reply("STOR")).code == 426
        assert world.content("/a") == b"old"
        await client.give("STOR a", b"new")

    world_of(tls).run(story)


@pytest.mark.parametrize(("is_strict", "ends"), [(True, (426, b"old", 14)), (False, (226, b"half of the fi", None))])
def test_an_upload_that_ends_without_tls_s_own_end_may_have_been_cut_off(
    tls: Tls, is_strict: bool, ends: tuple[int, bytes, int | None]
) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"old")
        client = await protected(world, tls)
        data = await client.passive()
        await client.send("STOR a")
        assert (await client.reply("STOR")).code == 150
        await client.protect()
        await data.write(b"half of the fi")
        data._outgoing.finish()  # the end of the stream, by somebody who cannot say close_notify
        reply = await client.reply("STOR")
        assert (reply.code, world.content("/a"), world.storage.interrupted_bytes("/a")) == ends

    world_of(tls, strict_ends=is_strict).run(story)


def test_abor_in_the_middle_of_a_handshake(tls: Tls) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await protected(world, tls)
        await client.passive()
        await client.send("RETR a")
        assert (await client.reply("RETR")).code == 150
        await world.until(lambda: client.served_data() is not None)
        await client.send("ABOR")
        assert (await client.reply("RETR")).code == 426
        assert (await client.reply("ABOR")).code == 226

    world_of(tls).run(story)


# ── sessions that must be resumed ────────────────────────────────────────────────────────────────────────────────────


def test_data_connections_that_resume_the_control_connection_s_session(tls: Tls) -> None:
    async def story(world: World) -> None:
        client = await protected(world, tls)
        for content in (b"one", b"two"):
            await client.give("STOR a", content)
            assert await client.take("RETR a") == content

    world_of(tls, must_resume=True).run(story)


def test_a_data_connection_with_a_session_of_its_own_is_refused(tls: Tls) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"old")
        client = await protected(world, tls)
        data = await client.passive()
        await client.send("STOR a")
        assert (await client.reply("STOR")).code == 150
        await data.start_tls(tls.client, server_side=False, server_name=NAME)
        assert (await client.reply("STOR")).code == 522
        assert world.content("/a") == b"old"
        assert await client.asks("NOOP") == [200]

    world_of(tls, must_resume=True).run(story)


def test_the_session_of_another_client_does_not_do(tls: Tls) -> None:
    async def story(world: World) -> None:
        world.put("/a", b"old")
        mallory, client = await protected(world, tls), await protected(world, tls)
        await mallory.take("NLST")  # by now it has something to resume
        data = await client.passive()
        await client.send("RETR a")
        assert (await client.reply("RETR")).code == 150
        await data.start_tls(tls.client, server_side=False, server_name=NAME, resume=mallory.control)
        assert (await client.reply("RETR")).code == 522

    world_of(tls, must_resume=True).run(story)


# ── implicit FTPS ────────────────────────────────────────────────────────────────────────────────────────────────────


async def implicit(world: World, tls: Tls) -> Client:
    """Return a client whose connection was under TLS before anybody said a word, as on a tls:// endpoint."""
    return await world.greeted(tls=(tls.identity.context, tls.client))


@pytest.mark.parametrize("policy", ["off", "optional", "login", "data"])
@pytest.mark.parametrize("lines", [(), ("PBSZ 0", "PROT P")])
def test_implicit_ftps_protects_everything_from_the_first_byte(
    tls: Tls, policy: TlsPolicy, lines: tuple[str, ...]
) -> None:
    async def story(world: World) -> None:
        client = await implicit(world, tls)
        assert await client.asks("USER anna", "PASS secret", "TYPE I", *lines) == [331, 230, 200, *(200 for _ in lines)]
        client.tls = tls.client
        await client.give("STOR a", b"content")
        assert await client.take("RETR a") == b"content"

    world_of(tls, policy).run(story)


def test_implicit_ftps_of_another_s_certificate_sends_nothing_in_the_clear(tls: Tls) -> None:
    async def story(world: World) -> None:
        world.put("/a")
        client = await implicit(world, tls)
        await client.asks("USER anna", "PASS secret", "PBSZ 0", "PROT P")
        await client.passive()
        await client.say("RETR a", 521)
        assert client.data is not None
        assert await client.asks("PROT C") == [200]
        await client.say("RETR a", 150, 226)
        assert await client.data.read() == b"content\r\n"

    World(policy=Policy(tls="off")).run(story)
