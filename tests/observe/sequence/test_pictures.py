"""Diagrams as SVG and as Mermaid: well-formed whatever was said, and nothing that was said is obeyed."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from portside.observe.sequence.diagram import diagram_of
from portside.observe.sequence.mermaid import build_mermaid
from portside.observe.sequence.svg import STYLE, build_svg, text_width
from support.talks import a_conversation, a_message

SVG = "{http://www.w3.org/2000/svg}"
WORDS = st.text(st.characters(exclude_categories=[]), max_size=80)


def picture(*messages: dict[str, Any], **about: Any) -> ET.Element:
    return ET.fromstring(build_svg(diagram_of(a_conversation(*messages, **about))))


def texts(svg: ET.Element, kind: str) -> list[str]:
    return [one.text or "" for one in svg.iter(f"{SVG}text") if one.get("class") == f"seq-{kind}"]


def test_a_picture_says_who_what_and_when() -> None:
    svg = picture(a_message(1, "in", "GET <x>", at_s=0.5), a_message(2, "out", "404 Not Found"), lost=3, is_over=True)
    assert texts(svg, "name") == ["client", "files"]
    assert texts(svg, "place") == ["192.0.2.7:40123", "[2001:db8::1]:21"]
    assert texts(svg, "words") == ["GET <x>", "404 Not Found"]
    assert texts(svg, "time") == ["0.500", "0.000"]
    assert [one.get("class") for one in svg.iter(f"{SVG}g")] == ["seq-in", "seq-refusal"]
    notes = texts(svg, "note")
    assert any("3 earlier messages" in note for note in notes)
    assert any(note.startswith("over after 4.000 s") for note in notes)


def test_it_has_a_name_for_those_who_do_not_see_it() -> None:
    svg = picture(a_message(1, "in", "hello"))
    assert svg.get("role") == "img"
    assert svg.findtext(f"{SVG}title") == "files: connection 7-1"
    assert svg.findtext(f"{SVG}desc") == "Message sequence diagram of client, files: 1 message."


def test_a_page_with_a_style_sheet_of_its_own_gets_none() -> None:
    talk = diagram_of(a_conversation(a_message(1, "in", "hello")))
    assert STYLE in build_svg(talk)
    assert "<style" not in build_svg(talk, style=False)


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = build_svg(diagram_of(a_conversation(a_message(1, "in", "hello"))))
    assert re.findall(r"(?:href|src|url|@import)", text) == []
    assert re.findall(r"https?://\S+?(?=[\"<])", text) == ["http://www.w3.org/2000/svg"]


def test_long_words_are_cut_on_the_arrow_and_whole_in_their_title() -> None:
    svg = picture(a_message(1, "in", "x" * 200))
    (group,) = svg.iter(f"{SVG}g")
    assert group.findtext(f"{SVG}title") == "x" * 200
    (shown,) = texts(svg, "words")
    assert shown.endswith("…")
    shaft = next(svg.iter(f"{SVG}line"))
    assert text_width(shown) < float(svg.get("width", "0"))
    assert shaft is not None


@given(st.lists(st.tuples(st.sampled_from(["in", "out"]), st.sampled_from(["", "data"]), WORDS), max_size=8))
def test_a_picture_is_well_formed_and_everything_is_within_it(talk: list[tuple[Any, str, str]]) -> None:
    messages = [a_message(seq, direction, words, lane=lane) for seq, (direction, lane, words) in enumerate(talk, 1)]
    svg = picture(*messages, is_over=True)
    assert len(texts(svg, "words")) == len(talk)
    width, height = float(svg.get("width", "0")), float(svg.get("height", "0"))
    for one in svg.iter():
        for key, bound in (("x", width), ("x1", width), ("x2", width), ("y", height), ("y1", height), ("y2", height)):
            assert 0 <= float(one.get(key, "0")) <= bound


def test_mermaid_text() -> None:
    talk = a_conversation(
        a_message(2, "in", "USER anna; rm"),
        a_message(3, "out", "#1 <b>", at_s=2.0),
        a_message(4, "out", "RETR x: 3 B", at_s=2.0, lane="data"),
        lost=1,
        is_over=True,
    )
    assert build_mermaid(diagram_of(talk)).splitlines() == [
        "sequenceDiagram",
        "    accTitle: files: connection 7-1",
        "    participant p0 as client<br/>192.0.2.7:40123",
        "    participant p1 as files<br/>[2001:db8::1]:21",
        "    participant p2 as client<br/>data connection",
        "    Note over p0,p2: ⋮ 1 earlier message, not kept any more",
        "    p0->>p1: USER anna#59; rm",
        "    Note over p0,p2: 2.000 s later",
        "    p1-->>p0: #35;1 #60;b#62;",
        "    p1-->>p2: RETR x: 3 B",
        "    Note over p0,p2: over after 4.000 s: the client broke it off (reset by the peer)#59;"
        " 11 B came, 1.5 kB went",
    ]


@given(WORDS)
def test_words_stay_on_their_line_and_open_nothing(words: str) -> None:
    lines = build_mermaid(diagram_of(a_conversation(a_message(1, "in", words)))).split("\n")
    assert len(lines) == 6
    said = lines[4].removeprefix("    p0->>p1: ")
    assert said.strip()
    assert set("<>&\"'`{}%\\") & set(said) == set()
    assert re.sub(r"#\d+;", "", said).count(";") == re.sub(r"#\d+;", "", said).count("#") == 0
