"""Streams arrive as they were sent, whatever the wire does to their segments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portside.sim.profile import LINUX, RFC
from support.talkers import Pair

DATA = bytes(range(256)) * 400


@pytest.mark.parametrize("profile", [LINUX, RFC], ids=lambda one: one.name)
@pytest.mark.parametrize(
    "link",
    [
        {"delay": "10ms"},
        {"delay": "10ms", "rate": "10Mbit/s"},
        {"delay": "10ms", "loss": "5%"},
        {"delay": "10ms", "loss": "30%"},
        {"delay": "10ms", "loss": "10%", "burst": 4},
        {"delay": "10ms", "reorder": "20%", "reorder_delay": "5ms"},
        {"delay": "10ms", "duplicate": "20%"},
        {"delay": "10ms", "corrupt": "5%"},
        {"delay": "10ms", "jitter": "10ms", "rate": "5Mbit/s", "queue_frames": 10},
        {"delay": "5ms", "rate": "2Mbit/s", "queue": "codel", "loss": "1%", "reorder": "2%", "duplicate": "2%"},
    ],
    ids=lambda link: " ".join(f"{name}={value}" for name, value in link.items()),
)
def test_both_streams_arrive_whole(profile: Any, link: dict[str, Any]) -> None:
    pair = Pair(3, profile, **link)
    client, server = pair.connect()
    client.say(DATA, close=True)
    pair.run(0.1)
    while server.connection is None:
        pair.run(1)
    server.say(DATA[::-1], close=True)
    pair.run(3_000)
    assert bytes(server.received) == DATA
    assert bytes(client.received) == DATA[::-1]
    assert client.ended
    assert server.ended
    assert client.errors == server.errors == []
    assert pair.alice.tcp.connections() == pair.bob.tcp.connections() == []


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    loss=st.floats(0, 0.4),
    reorder=st.floats(0, 0.4),
    duplicate=st.floats(0, 0.3),
    corrupt=st.floats(0, 0.2),
    mtu=st.sampled_from([100, 576, 1_500]),
    sizes=st.lists(st.integers(0, 20_000), min_size=1, max_size=4),
    sack=st.booleans(),
    timestamps=st.booleans(),
    nodelay=st.booleans(),
    buffer_bytes=st.sampled_from([3_000, 20_000, 262_144]),
)
def test_whatever_is_lost_doubled_damaged_or_overtaken(  # noqa: PLR0917 -- drawn by hypothesis, by name
    seed: int,
    loss: float,
    reorder: float,
    duplicate: float,
    corrupt: float,
    mtu: int,
    sizes: list[int],
    sack: bool,
    timestamps: bool,
    nodelay: bool,
    buffer_bytes: int,
) -> None:
    profile = replace(
        RFC, receive_buffer_bytes=buffer_bytes, data_retries=1_000, synack_retries=1_000, syn_retries=1_000
    )
    pair = Pair(
        seed,
        profile,
        mtu,
        delay="3ms",
        loss=loss,
        reorder=reorder,
        reorder_delay="4ms",
        duplicate=duplicate,
        corrupt=corrupt,
    )
    client, server = pair.connect()
    client.connection.sack_on, client.connection.ts_on = sack, timestamps
    client.connection.nodelay = nodelay
    sent = b""
    for place, size in enumerate(sizes):
        data = bytes((place + number) % 251 for number in range(size))
        sent += data
        client.say(data, close=place == len(sizes) - 1)
        pair.run(0.05)
    pair.run(100_000)
    assert bytes(server.received) == sent
    assert server.ended
    server.connection.shutdown()
    pair.run(100_000)
    assert client.ended
    assert pair.alice.tcp.connections() == pair.bob.tcp.connections() == []


def test_a_reader_that_does_not_read_stops_the_sender_and_loses_nothing() -> None:
    pair = Pair(1, replace(LINUX, receive_buffer_bytes=30_000, send_buffer_bytes=20_000))
    client, server = pair.connect(reads=False)
    client.say(DATA, close=True)
    pair.run(30)
    assert server.connection.readable_bytes <= 30_000
    assert client.connection.unsent_bytes <= 20_000
    server.reads = True
    server.readable()
    pair.run(60)
    assert bytes(server.received) == DATA
