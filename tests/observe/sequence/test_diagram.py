"""From what the control socket answers to lifelines and arrows."""

from __future__ import annotations

from typing import Any

import pytest

from portside.observe.sequence.diagram import Arrow, Lifeline, diagram_of
from support.talks import a_conversation, a_message


def test_who_talks_and_where_they_are() -> None:
    drawn = diagram_of(a_conversation(a_message(1, "in", "USER anna"), a_message(2, "out", "331 Password?")))
    assert drawn.lifelines == (Lifeline("client", "192.0.2.7:40123"), Lifeline("files", "[2001:db8::1]:21"))
    assert [(arrow.source, arrow.target, arrow.words) for arrow in drawn.arrows] == [
        (0, 1, "USER anna"),
        (1, 0, "331 Password?"),
    ]
    assert drawn.title == "files: connection 7-1"


def test_each_lane_has_a_lifeline_beyond_the_server() -> None:
    drawn = diagram_of(
        a_conversation(
            a_message(1, "in", "RETR x"),
            a_message(2, "in", "connect", lane="data"),
            a_message(3, "out", "RETR x: 3 B", lane="data"),
            a_message(4, "out", "hello", lane="more"),
        )
    )
    assert [lifeline.place for lifeline in drawn.lifelines[2:]] == ["data connection", "more connection"]
    assert [(arrow.source, arrow.target) for arrow in drawn.arrows] == [(0, 1), (2, 1), (1, 2), (1, 3)]


def test_lanes_that_are_known_stay_where_they_are() -> None:
    drawn = diagram_of(a_conversation(a_message(9, "out", "RETR y: 3 B", lane="data")), ["more", "data"])
    assert [lifeline.place for lifeline in drawn.lifelines[2:]] == ["more connection", "data connection"]
    assert drawn.arrows[0].target == 3


def test_times_count_from_the_connection_s_beginning() -> None:
    live = diagram_of(a_conversation(a_message(1, "in", "USER anna", at_s=2.5)))
    assert live.arrows[0].at_s == pytest.approx(2.5)
    assert (live.began, live.ending) == ("2026-01-02 03:04:05.000 UTC", None)
    ended = diagram_of(a_conversation(a_message(1, "in", "USER anna", at_s=2.5), is_over=True))
    assert ended.arrows[0].at_s == pytest.approx(2.5)
    assert ended.began == live.began
    assert ended.ending == "over after 4.000 s: the client broke it off (reset by the peer); 11 B came, 1.5 kB went"


def test_a_connection_that_has_said_nothing_has_a_diagram_too() -> None:
    drawn = diagram_of(a_conversation())
    assert (len(drawn.lifelines), drawn.arrows) == (2, ())


@pytest.mark.parametrize(
    ("address", "shown"),
    [({"path": "/run/x"}, "unix:/run/x"), ({"host": "192.0.2.1", "port": 9}, "192.0.2.1:9"), (None, "")],
)
def test_places_are_as_people_write_them(address: dict[str, Any] | None, shown: str) -> None:
    talk = a_conversation(a_message(1, "in", "hello"))
    talk["row"]["peer"] = address
    assert diagram_of(talk).lifelines[0].place == shown


@pytest.mark.parametrize(
    ("words", "is_refusal"),
    [
        ("404 Not Found", True),
        ("530 No.", True),
        ("500", True),
        ("226 Done.", False),
        ("4040 x", False),
        ("GET /404", False),
        ("", False),
        ("٤٠٤ x", False),
    ],
)
def test_refusals_are_told_by_their_codes(words: str, is_refusal: bool) -> None:
    assert Arrow(1, 0.0, 1, 0, words, 0).is_refusal is is_refusal
