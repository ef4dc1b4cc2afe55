"""The directory: names in, ports out, in the order asked and however the network cuts them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portside.address import parse_endpoint
from portside.errors import LineTooLong, MalformedMessage, UsageError
from portside.protocols.directory import directory_battery
from portside.protocols.directory.dialogue import Answer, build_answer, build_question, parse_answer, parse_question
from portside.protocols.directory.services import Service, ServiceList, parse_services, services_at
from support.conversations import Conversations

if TYPE_CHECKING:
    from portside.contracts import Battery

SYSTEM = """\
# Network services, Internet style
tcpmux\t\t1/tcp\t\t\t\t# TCP port service multiplexer
echo\t\t7/tcp
echo\t\t7/udp
domain\t\t53/udp
domain\t\t53/tcp
tftp\t\t69/udp
http\t\t80/tcp\t\twww\t\t# WorldWideWeb HTTP
sip-tls\t\t5061/sctp
X11\t\t6000/tcp\tx11-0
"""
RUNNING = [
    ("shout", parse_endpoint("udp://127.0.0.1:9001")),
    ("shout", parse_endpoint("tcp://[::1]:43211")),
    ("http", parse_endpoint("tls://127.0.0.1:8443")),
    ("hidden", parse_endpoint("unix:/run/hidden.sock")),
    ("tftp", parse_endpoint("unix:@tftp")),
    ("mail", parse_endpoint("udp://127.0.0.1:7025")),
]


@pytest.fixture
def battery(tmp_path: Path) -> Battery:
    (tmp_path / "services").write_text(SYSTEM, encoding="utf-8")
    return directory_battery(file=str(tmp_path / "services"), services=lambda: RUNNING)


# ── conversations ────────────────────────────────────────────────────────────────────────────────────────────────────

QUESTIONS = b"shout\nhttp\r\n  www \n\n \t\nHTTP\ndomain\ntftp\nmail\nhidden\nnope\nx11\necho"
ANSWERS = (
    b"shout,43211,tcp\nhttp,8443,tcp\nwww,80,tcp\nHTTP,8443,tcp\ndomain,53,tcp\ntftp,69,udp\nmail,7025,udp\n"
    b"hidden,unknown\nnope,unknown\nx11,6000,tcp\necho,7,tcp\n"
)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_answers_come_in_the_order_asked_however_questions_are_cut(
    conversations: Conversations, battery: Battery, size: int
) -> None:
    pieces = [QUESTIONS[i : i + size] for i in range(0, len(QUESTIONS), size)]
    assert conversations.stream(battery.stream, *pieces) == ANSWERS


@pytest.mark.parametrize("end", range(len(QUESTIONS)))
def test_a_visitor_who_stops_anywhere_gets_what_was_asked(
    conversations: Conversations, battery: Battery, end: int
) -> None:
    asked = [line for line in QUESTIONS[:end].split(b"\n") if line.strip()]
    heard = conversations.stream(battery.stream, QUESTIONS[:end])
    assert [line.rsplit(b",")[0] for line in heard.splitlines()] == [line.strip() for line in asked]


def test_each_answer_leaves_before_the_next_question_is_read(conversations: Conversations, battery: Battery) -> None:
    assert conversations.stream(battery.stream, b"echo\nht", ends=False) == b"echo,7,tcp\n"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (b"na\0me\n", b"na?me,unknown\n"),
        (b"a\rb\n", b"a?b,unknown\n"),
        (b"\x1b[31mred\n", b"?[31mred,unknown\n"),
        ("größe\n".encode(), "größe,unknown\n".encode()),
        (b"\xff\xfe\n", b"\xff\xfe,unknown\n"),
        (b"a,b\n", b"a,b,unknown\n"),
        (b"80\n", b"80,unknown\n"),
        ("\u212aerberos\n".encode(), "\u212aerberos,unknown\n".encode()),
        (b"\n\r\n \n", b""),
        (b"", b""),
        (b"x" * 65_536 + b"\n", b"x" * 65_536 + b",unknown\n"),
    ],
)
def test_odd_names_are_unknown_and_forge_nothing(
    conversations: Conversations, battery: Battery, question: bytes, answer: bytes
) -> None:
    assert conversations.stream(battery.stream, question) == answer


def test_a_name_over_the_line_limit_is_told_so_and_ends_the_conversation(
    conversations: Conversations, battery: Battery
) -> None:
    with pytest.raises(LineTooLong):
        conversations.stream(battery.stream, b"echo\n" + b"x" * 70_000 + b"\nhttp\n")
    assert conversations.heard == b"echo,7,tcp\n" + b"x" * 64 + b",unknown\n"


def test_a_missing_file_leaves_what_runs(conversations: Conversations, tmp_path: Path) -> None:
    battery = directory_battery(file=str(tmp_path / "none"), services=lambda: RUNNING)
    assert conversations.stream(battery.stream, b"mail\necho\n") == b"mail,7025,udp\necho,unknown\n"


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read its list of services .*: Is a directory"):
        directory_battery(file=str(tmp_path))


def test_a_service_that_starts_later_is_found_by_the_next_visitor(conversations: Conversations, tmp_path: Path) -> None:
    running = RUNNING[:0]
    battery = directory_battery(file=str(tmp_path / "none"), services=lambda: list(running))
    assert conversations.stream(battery.stream, b"mail\n") == b"mail,unknown\n"
    running += RUNNING
    assert conversations.stream(battery.stream, b"mail\n") == b"mail,7025,udp\n"


# ── services(5) ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_of_services_gives_names_and_aliases_in_its_order() -> None:
    assert parse_services("a 1/tcp b c # d\n#e 2/tcp\n\nf\t3/UDP\r\n") == [
        Service("a", 1, "tcp"),
        Service("b", 1, "tcp"),
        Service("c", 1, "tcp"),
        Service("f", 3, "udp"),
    ]


@pytest.mark.parametrize(
    "line", ["", "#", "a", "a 1", "a 1/", "a /tcp", "a x/tcp", "a -1/tcp", "a 65536/tcp", "a 1.5/tcp", "a 999999/tcp"]
)
def test_a_line_of_another_shape_is_passed_over(line: str) -> None:
    assert parse_services(f"{line}\nz 9/tcp") == [Service("z", 9, "tcp")]


@given(st.text(max_size=300))
@example("a 1٣/tcp")
def test_any_text_is_a_list_of_services(text: str) -> None:
    for service in parse_services(text):
        assert service.name
        assert 0 <= service.port <= 65_535
        assert ServiceList([service]).find(service.name) == service


@given(
    st.lists(
        st.builds(
            Service,
            name=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=15),
            port=st.integers(0, 65_535),
            protocol=st.sampled_from(["tcp", "udp", "sctp"]),
        )
    )
)
def test_a_written_list_reads_back_as_it_was(services: list[Service]) -> None:
    text = "".join(f"{service.name}\t{service.port}/{service.protocol}\t# note\n" for service in services)
    assert parse_services(text) == services


def test_the_first_of_a_name_holds_and_tcp_comes_before_udp() -> None:
    services = ServiceList(parse_services("a 1/udp\na 2/sctp\na 3/tcp\na 4/tcp\nb 5/sctp\nb 6/udp\nc 7/odd\n"))
    assert [services.find(name) for name in ("a", "b", "c", "d")] == [
        Service("a", 3, "tcp"),
        Service("b", 6, "udp"),
        Service("c", 7, "odd"),
        None,
    ]


def test_endpoints_with_a_port_are_services_and_tls_is_carried_by_tcp() -> None:
    assert services_at(RUNNING) == [
        Service("shout", 9001, "udp"),
        Service("shout", 43211, "tcp"),
        Service("http", 8443, "tcp"),
        Service("mail", 7025, "udp"),
    ]


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = st.text(min_size=1).filter(lambda name: parse_question(build_question(name)) == name)


@given(NAMES)
def test_a_question_reads_back_as_its_name(name: str) -> None:
    assert b"\n" not in build_question(name)[:-1] or "\n" in name
    assert parse_question(build_question(name)) == name


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(0, 65_535), st.sampled_from(["tcp", "udp"]))
def test_an_answer_reads_back_as_it_was(name: str, port: int, protocol: str) -> None:
    assert parse_answer(build_answer(name, Service("any", port, protocol))) == Answer(name, port, protocol)
    assert parse_answer(build_answer(name, None)) == Answer(name)


@given(st.binary())
def test_an_answer_is_always_one_line(question: bytes) -> None:
    name = parse_question(question)
    if name is not None:
        line = build_answer(name, None)
        assert line.endswith(b",unknown\n")
        assert not any(byte < 0x20 or byte == 0x7F for byte in line[:-1])


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"echo,7,tcp", Answer("echo", 7, "tcp")),
        (b"echo,7,tcp\r\n", Answer("echo", 7, "tcp")),
        (b"a,80,unknown", Answer("a,80")),
        (b"a,b,80,udp", Answer("a,b", 80, "udp")),
        (b",unknown", Answer("")),
    ],
)
def test_an_answer_is_read_from_its_end(line: bytes, answer: Answer) -> None:
    assert parse_answer(line) == answer


@pytest.mark.parametrize("line", [b"", b"echo", b"echo,7", b"echo,7,", b"echo,x,tcp", b"echo,65536,tcp", b"7,tcp"])
def test_what_is_no_answer_is_refused(line: bytes) -> None:
    with pytest.raises(MalformedMessage, match="a directory answers name,port,protocol"):
        parse_answer(line)


@given(st.binary())
def test_any_line_is_an_answer_or_malformed(line: bytes) -> None:
    try:
        answer = parse_answer(line)
    except MalformedMessage:
        return
    assert (answer.port is None) == (answer.protocol is None)
