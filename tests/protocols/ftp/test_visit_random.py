"""Random commands in random order: a visit never crashes, nobody leaves the root, and each command is answered once."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from portside.accounts.account import PERMISSIONS, READ_ONLY, Account
from portside.errors import ConnectionLost
from portside.protocols.ftp.battery import visits_of
from portside.protocols.ftp.commands import VERBS
from portside.protocols.ftp.replies import ReplyReader
from portside.testing.conversations import feed
from support.ftp_codes import may_answer
from support.ftp_visits import HOST, Client, World

OUTSIDE = {"/outside": b"nobody's business\n", "/users/b/f": b"another's\n"}

NAMES = st.one_of(
    st.sampled_from(["a", "b", "d", "d/a", "d/e", "a b", "d/../a", "grüße", "\udcff", "a\r\0b", "x" * 255, "y" * 256]),
    st.sampled_from(["..", "../..", "../../outside", "/../../outside", "/users/b/f", "/", ".", "", " ", "~", "~root"]),
    st.sampled_from(["*", "-la", "-R /", "-R ..", "../*", "a" + "/a" * 40]),
)
NUMBERS = st.integers(-1, 30).map(str)
ARGUMENTS = {
    "USER": st.sampled_from(["anna", "anna", "anonymous", "nobody"]),
    "PASS": st.sampled_from(["secret", "secret", "wrong"]),
    "TYPE": st.sampled_from(["A", "I", "L 8", "E"]),
    "MODE": st.sampled_from(["S", "Z", "B"]),
    "STRU": st.sampled_from(["F", "R"]),
    "REST": NUMBERS,
    "ALLO": NUMBERS,
    "PORT": st.sampled_from(["198,51,100,7,200,0", "203,0,113,9,200,0", "198,51,100,7,0,25"]),
    "EPRT": st.sampled_from([f"|1|{HOST}|51200|", f"|1|{HOST}|51201|", "|2|::1|51200|"]),
    "EPSV": st.sampled_from(["", "", "", "1", "2", "ALL"]),
    "OPTS": st.sampled_from(["UTF8 ON", "MLST size;", "HASH MD5", "MODE Z LEVEL 1", "X"]),
    "SITE": st.builds("{} {}".format, st.sampled_from(["CHMOD 600", "UTIME 202601010000", "HELP", "X"]), NAMES),
    "MFMT": st.builds("20260101000000 {}".format, NAMES),
    "HELP": st.sampled_from(["", "STOR", "SITE", "X"]),
}
NO_ARGUMENT = sorted(verb for verb, what in VERBS.items() if what.needs_argument is False)
# Those about files oftener than the others: most of these only say what they always say.
USUAL = ("STOR", "RETR", "APPE", "LIST", "NLST", "MLSD", "EPSV", "CWD", "RNFR", "RNTO", "MKD", "DELE", "RMD", "SIZE")
VERB = st.one_of(st.sampled_from(USUAL), st.sampled_from(sorted(set(VERBS) - {"QUIT"})))


@st.composite
def lines(draw: st.DrawFn) -> str:
    verb = draw(VERB)
    if verb in NO_ARGUMENT:
        return verb
    argument = draw(ARGUMENTS.get(verb, NAMES))
    return f"{verb} {argument}" if argument else verb


def world_of(permissions: frozenset[str], quota_bytes: int | None) -> World:
    account = Account("anna", root="/users/anna", permissions=permissions, quota_bytes=quota_bytes)  # type: ignore[arg-type]
    world = World(account, attempts=1_000)
    for path, content in {**OUTSIDE, "/users/anna/a": b"content\n", "/users/anna/d/a": b"one\ntwo\n"}.items():
        world.put(path, content)
    return world


def assert_nobody_was_outside(world: World) -> None:
    assert world.names("/") == {"outside", "users"}
    assert world.names("/users") == {"anna", "b"}
    assert {path: world.content(path) for path in OUTSIDE} == OUTSIDE


async def converse(client: Client, line: str) -> None:
    """Say the line, do what belongs to its replies, and hear exactly one that is the last."""
    verb = line.partition(" ")[0]
    await client.send(line)
    reply = await client.reply()
    assert may_answer(reply.code, verb), f"{reply} to {line}"
    if reply.code in (227, 229):
        await client.connect_to(reply)
    elif reply.is_preliminary and client.data is not None:
        data, client.data = client.data, None
        try:
            if verb in ("STOR", "APPE", "STOU"):
                await data.write(b"line\r\n" * 3)
                await data.close()
            else:
                assert b"nobody's" not in b"".join([piece async for piece in data])
                await data.close()
        except ConnectionLost:  # such as text that is no deflated stream, which is refused before its end
            data.abort()
    if reply.is_preliminary:
        reply = await client.reply()
        assert may_answer(reply.code, verb), f"{reply} to {line}"
        assert not reply.is_preliminary
    assert "nobody's" not in reply.text


@given(
    st.lists(lines(), max_size=30),
    st.sampled_from([PERMISSIONS, READ_ONLY, frozenset({"list", "append"})]),
    st.sampled_from([None, 20]),
)
@settings(max_examples=150)
@example(["EPSV", "STOR a", "EPSV", "STOR a"], PERMISSIONS, 20)
@example(["CWD ..", "CWD ..", "EPSV", "RETR ../../outside"], PERMISSIONS, None)
@example(["RNFR a", "RNTO ../../outside"], PERMISSIONS, None)
def test_each_command_is_answered_once_and_nobody_leaves_the_root(
    said: list[str], permissions: frozenset[str], quota_bytes: int | None
) -> None:
    async def story(world: World) -> None:
        client = await world.logged_in()
        for line in said:
            await converse(client, line)
            if not await is_answered_once(client):
                raise AssertionError(f"{line} was answered more than once")

    world = world_of(permissions, quota_bytes)
    world.run(story)
    assert_nobody_was_outside(world)


async def is_answered_once(client: Client) -> bool:
    for _ in range(10):
        await client.world.network.sleep(0)
    return not client.control._incoming.chunks


@given(st.lists(lines(), max_size=30), st.sampled_from([None, 1, 7]))
@settings(max_examples=100)
def test_pipelined_commands_are_answered_in_their_order(said: list[str], cut: int | None) -> None:
    """Nobody ever comes to a port, so that transfers end by themselves; then what is heard does not hang on time."""

    async def story(world: World) -> None:
        slow = await world.logged_in()
        one_by_one = []
        for line in said:
            await slow.send(line)
            one_by_one += [await replies_to(slow)]
        fast = await world.logged_in(control_port=50_001)
        fast.control._outgoing.capacity_bytes = 1 << 30
        world.cut = cut
        await fast.send("\n".join(said))
        heard = [[(await fast.reply()).code for _ in expected] for expected in one_by_one]
        assert [codes for codes, line in zip(heard, said, strict=True) if unchanging(line)] == [
            codes for codes, line in zip(one_by_one, said, strict=True) if unchanging(line)
        ]

    world = world_of(READ_ONLY, None)  # so that what the first did is nothing to the second
    world.run(story, within_s=1e6)


async def replies_to(client: Client) -> list[int]:
    codes = [(await client.reply()).code]
    while codes[-1] < 200:
        codes.append((await client.reply()).code)
    return codes


def unchanging(line: str) -> bool:
    """Tell whether the line is answered alike each time, and is not one that may overtake a transfer."""
    return line.partition(" ")[0] not in ("ABOR", "STAT")


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_answered_or_end_the_visit(pieces: list[bytes]) -> None:
    world = world_of(PERMISSIONS, None)
    stream = [b"USER anna\r\nPASS secret\r\n", *(piece for piece in pieces if piece)]
    heard = feed(visits_of(world.server), stream)
    replies = ReplyReader()
    codes = [reply.code for line in heard.split(b"\n")[:-1] if (reply := replies.feed(line)) is not None]
    assert codes[:3] == [220, 331, 230]
    assert all(200 <= code < 600 for code in codes)
    assert_nobody_was_outside(world)
