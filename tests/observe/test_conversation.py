"""The last messages of each conversation: what is kept, what is lost, and that memory has a bound."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.observe.conversation import WORDS_MAX, Conversation, Conversations


def say(kept: Conversations, connection: str, words: str, direction: Literal["in", "out"] = "in") -> None:
    kept.add(connection, 1_000.0, direction, words, len(words))


def of(kept: Conversations, connection: str) -> Conversation:
    found = kept.of(connection)
    assert found is not None
    return found


def words_of(kept: Conversations, connection: str, after: int = 0) -> list[str]:
    return [message.words for message in of(kept, connection).newer_than(after, 1_000)[0]]


def test_messages_are_numbered_from_one_in_their_order() -> None:
    kept = Conversations()
    for words in ("USER anna", "331 Password?", "PASS …"):
        say(kept, "1-1", words)
    say(kept, "1-2", "another's")
    messages, lost = of(kept, "1-1").newer_than(0, 10)
    assert [(message.seq, message.words) for message in messages] == [
        (1, "USER anna"),
        (2, "331 Password?"),
        (3, "PASS …"),
    ]
    assert lost == 0


@pytest.mark.parametrize(
    ("after", "limit", "seqs", "lost"),
    [
        (0, 9, [3, 4, 5], 2),
        (1, 9, [3, 4, 5], 1),
        (2, 9, [3, 4, 5], 0),
        (4, 9, [5], 0),
        (5, 9, [], 0),
        (9, 9, [], 0),
        (0, 2, [3, 4], 2),
    ],
)
def test_who_knows_some_is_told_the_rest_and_how_many_are_missing_in_between(
    after: int, limit: int, seqs: list[int], lost: int
) -> None:
    kept = Conversations(messages_kept=3)
    for number in range(5):
        say(kept, "1-1", str(number))
    messages, missing = of(kept, "1-1").newer_than(after, limit)
    assert ([message.seq for message in messages], missing) == (seqs, lost)


def test_an_ended_conversation_is_kept_with_its_end_until_others_have_ended() -> None:
    kept = Conversations(ended_kept=2)
    for number in range(4):
        say(kept, f"1-{number}", "hello")
        kept.end(f"1-{number}", {"reason": "done"})
    assert [kept.of(f"1-{number}") is not None for number in range(4)] == [False, False, True, True]
    assert of(kept, "1-3").ended == {"reason": "done"}


def test_a_conversation_in_which_nothing_was_said_is_not_kept() -> None:
    kept = Conversations()
    kept.end("1-1", {"reason": "done"})
    assert kept.of("1-1") is None


def test_long_words_are_cut() -> None:
    kept = Conversations()
    say(kept, "1-1", "x" * 10_000)
    (words,) = words_of(kept, "1-1")
    assert (len(words), words[-1]) == (WORDS_MAX, "…")


def test_who_ended_first_gives_way_first_and_then_who_has_been_silent_longest() -> None:
    kept = Conversations(bytes_max=3_000)
    say(kept, "ended", "bye")
    kept.end("ended", {})
    say(kept, "silent", "hello")
    while kept.of("ended") is not None:
        say(kept, "busy", "again")
    assert words_of(kept, "silent") == ["hello"]
    while words_of(kept, "silent"):
        say(kept, "busy", "again")
    say(kept, "silent", "still here")
    messages, lost = of(kept, "silent").newer_than(0, 10)
    assert ([(message.seq, message.words) for message in messages], lost) == ([(2, "still here")], 1)


def test_what_is_told_after_the_end_belongs_to_it() -> None:
    kept = Conversations()
    say(kept, "1-1", "RETR x")
    kept.end("1-1", {"reason": "done"})
    say(kept, "1-1", "226 The file is sent.")
    assert words_of(kept, "1-1") == ["RETR x", "226 The file is sent."]
    assert of(kept, "1-1").ended == {"reason": "done"}


def test_conversations_whose_end_nobody_tells_do_not_pile_up() -> None:
    kept = Conversations(live_kept=3)
    for number in range(10):
        say(kept, f"1-{number}", "hello")
    assert [number for number in range(10) if kept.of(f"1-{number}")] == [7, 8, 9]
    assert kept.cost_bytes == 3 * of(kept, "1-9").messages[0].cost_bytes


STEPS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 400) | st.none()), max_size=150)


@given(STEPS)
def test_memory_is_what_is_kept_and_within_its_bound(steps: list[tuple[str, int | None]]) -> None:
    kept = Conversations(messages_kept=5, ended_kept=3, bytes_max=4_000)
    said: dict[str, int] = {}
    for connection, length in steps:
        if length is None:
            kept.end(connection, {})  # again and again, some of them
            said.pop(connection, None)
        else:
            say(kept, connection, "x" * length)
            if connection in kept._live:
                said[connection] = said.get(connection, 0) + 1
    everything = [*kept._live.values(), *kept._ended.values()]
    assert kept.cost_bytes == sum(message.cost_bytes for one in everything for message in one.messages) <= 4_000
    for connection, count in said.items():
        messages, lost = of(kept, connection).newer_than(0, 1_000)
        assert len(messages) + lost == count
        assert len(messages) <= 5
