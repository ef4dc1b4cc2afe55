"""Records of what connections carry: what is built is read again, cut anywhere, and nothing forged is believed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.serve.tapped import Flow, Kind, Record, RecordReader, build_lost, build_opened, build_record

FLOW = Flow("1-2", "echo", {"host": "::1", "port": 7}, {"path": ""}, has_stood=True, tls="TLSv1.3", of="1-1")

records = st.builds(
    Record, st.sampled_from(Kind), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 63) - 1), st.binary(max_size=99)
)


@given(told=st.lists(records, max_size=6), cuts=st.lists(st.integers(0, 800)))
def test_records_are_read_however_they_are_cut(told: list[Record], cuts: list[int]) -> None:
    data = b"".join(build_record(each.kind, each.flow, each.at_ns, each.data) for each in told)
    reader, found = RecordReader(), []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        found += reader.feed(data[start:end])
    assert found == told


def test_a_flow_is_told_with_all_that_is_known() -> None:
    (record,) = RecordReader().feed(build_opened(4, 5, FLOW))
    assert (record.kind, record.flow, record.at_ns, record.opened) == (Kind.OPENED, 4, 5, FLOW)


def test_lost_bytes_are_told_by_their_number() -> None:
    (record,) = RecordReader().feed(build_lost(Kind.OUT_LOST, 1, 2, 1 << 40))
    assert record.lost_bytes == 1 << 40


@pytest.mark.parametrize("data", [bytes([10]) + bytes(16), bytes([1]) + bytes(12) + b"\xff\xff\xff\xff"])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        list(RecordReader().feed(data))


def test_records_in_front_of_nonsense_are_read() -> None:
    reader, found = RecordReader(), []
    with pytest.raises(MalformedMessage):
        found.extend(reader.feed(bytes([10]) + bytes(16)))
    good = RecordReader().feed(build_record(Kind.IN, 1, 2, b"x") + bytes([10]) + bytes(16))
    assert next(good).data == b"x"
    assert found == []


@given(st.binary(max_size=40))
def test_a_flow_or_a_number_that_cannot_be_read_is_refused(data: bytes) -> None:
    record = Record(Kind.OPENED, 1, 2, data)
    with pytest.raises(MalformedMessage):
        _ = record.opened
    if len(data) != 8:
        with pytest.raises(MalformedMessage):
            _ = record.lost_bytes
