"""Diagrams in a terminal's cells: every line fits, every arrow leads from lifeline to lifeline."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.observe.sequence.diagram import diagram_of
from portside.observe.sequence.terminal import GAP_CELLS_MIN, TIME_CELLS, Drawing, build_lines
from portside.observe.text import cut_to, width_of
from support.talks import a_conversation, a_message


def drawn(*messages: dict[str, Any], width: int = 80, **about: Any) -> list[str]:
    return build_lines(diagram_of(a_conversation(*messages, **about)), width)


def test_a_short_conversation() -> None:
    lines = drawn(
        a_message(1, "in", "USER anna", at_s=0.0123), a_message(2, "out", "230 Welcome.", at_s=1.5), is_over=True
    )
    assert lines == [
        "          files: connection 7-1, since 2026-01-02 03:04:05.000 UTC",
        "",
        "          client                        files",
        "          192.0.2.7:40123    [2001:db8::1]:21",
        "          │                                 │",
        "    0.012 │── USER anna ───────────────────►│",
        "        ⋮ ┊                                 ┊",
        "    1.500 │◄─ 230 Welcome. ─────────────────│",
        "          │                                 │",
        "          over after 4.000 s: the client broke it off (reset by the peer); 11 B came, 1.5 kB went",
    ]


def test_what_is_lost_is_said() -> None:
    assert "          ⋮ 1 earlier message, not kept any more" in drawn(a_message(2, "in", "QUIT"), lost=1)


def test_an_arrow_to_a_far_lifeline_passes_those_between() -> None:
    lines = drawn(a_message(1, "out", "near", lane="data"), a_message(2, "out", "far", lane="more"), width=120)
    near, far = (next(line for line in lines if word in line) for word in ("near", "far"))
    assert (near.count("│"), far.count("│")) == (4, 3)
    assert width_of(near) == width_of(far)


def test_colours_are_around_what_they_are_for() -> None:
    painted: dict[str, set[str]] = {}

    def paint(text: str, tone: str) -> str:
        painted.setdefault(tone, set()).add(text.strip())
        return text

    build_lines(diagram_of(a_conversation(a_message(1, "in", "USER anna"), a_message(2, "out", "530 No."))), 60, paint)
    assert painted["name"] == {"client", "files"}
    assert next(iter(painted["in"])).startswith("── USER anna")
    assert next(iter(painted["refusal"])).startswith("◄─ 530 No.")
    assert "out" not in painted


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert not re.search(r"[\x00-\x1f\x7f]", "".join(drawn(a_message(1, "in", "a\x1b[2Jb\nc\x7f"))))


WORDS = st.text(st.characters(exclude_categories=[], exclude_characters="│┊►◄"), max_size=120)
TALK = st.lists(st.tuples(st.sampled_from(["in", "out"]), st.sampled_from(["", "", "data"]), WORDS), max_size=12)


@given(TALK, st.integers(50, 200))
def test_every_line_of_lifelines_fits_and_is_as_wide_as_the_others(
    talk: list[tuple[Any, str, str]], width: int
) -> None:
    messages = [a_message(seq, direction, words, lane=lane) for seq, (direction, lane, words) in enumerate(talk, 1)]
    lines = drawn(*messages, width=width)[4:]
    assert {width_of(line) for line in lines} == {width_of(lines[0])}
    lifelines = 3 if any(lane for _, lane, _ in talk) else 2
    assert width_of(lines[0]) <= max(width, TIME_CELLS + lifelines + (lifelines - 1) * GAP_CELLS_MIN)
    assert len(lines) == len(talk) + 2
    for line, (direction, lane, _) in zip(lines[1:], talk, strict=False):
        goes_right = (direction == "in") != bool(lane)
        assert ("►" in line, "◄" in line) == (goes_right, not goes_right)


@given(WORDS, st.integers(1, 40))
def test_what_is_cut_fits_and_says_so(words: str, cells: int) -> None:
    cut = cut_to(words, cells)
    assert width_of(cut) <= cells
    assert cut == words or cut.endswith("…")


@pytest.mark.parametrize("width", [1, 20, 60])
def test_a_terminal_that_is_too_narrow_gets_short_arrows_and_no_failure(width: int) -> None:
    lines = drawn(a_message(1, "in", "x" * 200), width=width)
    assert "…" in lines[-2]
    assert "►" in lines[-2]


def test_one_that_grows_looks_like_one_that_is_whole() -> None:
    whole = diagram_of(a_conversation(a_message(1, "in", "USER anna"), a_message(2, "out", "230 Welcome.", at_s=3.0)))
    growing = Drawing(whole.lifelines, 60, lambda text, tone: text, words=[[]])
    lines = growing.heading()
    for arrow in whole.arrows:
        lines += growing.message(arrow)
    assert [line.split("│")[0] for line in lines[2:]] == [
        " " * 10,
        "    0.000 ",
        "        ⋮ ┊" + lines[-2][11:],
        "    3.000 ",
    ]
