"""The report, and the trace under it: what it shows is what the links have counted, and noting changes nothing."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from portside.sim import World
from portside.sim.report import Curve, write_report
from portside.sim.report.plot import Axis, plot
from portside.sim.trace import SAMPLES_MAX, Series, Trace

EMPTY = {"meta", "link", "br"}


async def sink(port: int = 9_000) -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    await (await asyncio.start_server(take, port=port)).serve_forever()


async def send(size: int) -> None:
    reader, writer = await asyncio.open_connection("bob", 9_000)
    writer.write(bytes(size))
    writer.write_eof()
    await reader.read()
    writer.close()


def lossy(*, traced: bool) -> tuple[World, Trace | None, str]:
    world = World(seed=5)
    alice, bob = world.host("alice"), world.host("bob")
    world.link(alice, bob, rate="5Mbit/s", delay="10ms", loss="3%", duplicate="1%", corrupt="1%", queue_frames=20)
    trace = Trace(world) if traced else None

    async def main() -> None:
        bob.spawn(sink())
        await alice.spawn(send(300_000))

    world.play(main())
    if trace is not None:
        trace.end()
    return world, trace, world.digest()


def test_a_trace_changes_nothing_about_the_run() -> None:
    assert lossy(traced=True)[2] == lossy(traced=False)[2]


def test_a_trace_counts_as_the_links_do() -> None:
    world, trace, _ = lossy(traced=True)
    assert trace is not None
    for line in world.links[0].lines:
        fates = trace.fates[line.name]
        assert (fates["lost"], fates["dropped"]) == (line.lost, line.dropped)
        assert sum(fates.values()) - fates["dropped"] - fates["duplicated"] == line.sent
    flow = max(trace.flows, key=lambda one: one.acknowledged_bytes)
    assert flow.acknowledged_bytes == 300_000
    again = sum(flight.is_again for flight in trace.flights if flight.source == "alice" and flight.fate != "duplicated")
    assert again >= flow.retransmits > 0


class Balance(HTMLParser):
    """Finds tags that are not closed, or closed by others."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    _, trace, digest = lossy(traced=True)
    assert trace is not None
    trace.mark("<b>crash</b>")
    results = [("send <1>", "alice", "done & well")]
    path = write_report(trace, tmp_path, title="A <world>", results=results, captures=["world.pcapng"])
    page = path.read_text(encoding="utf-8")
    reader = Balance()
    reader.feed(page)
    assert reader.open == []
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(drawing)
    assert "A &lt;world&gt;" in page
    assert "<b>crash" not in page
    assert "done &amp; well" in page
    assert digest in page
    assert re.findall(r'(?:src|href)="([^"]+)"', page) == ["world.pcapng"]
    assert page.count('class="cross"') == sum(
        not flight.arrives for flight in trace.flights[:90] if flight.conversation
    )


def test_what_is_noted_is_bounded() -> None:
    series = Series()
    for at in range(50_000):
        series.add(at, at)
    assert len(series.points) < SAMPLES_MAX
    assert series.points[-1][0] > 49_000
    times = [at for at, _ in series.points]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("values", "log", "expected"),
    [
        ([0, 9.5], False, [0, 2, 4, 6, 8]),
        ([100, 103], False, [100, 101, 102, 103]),
        ([0.002, 0.04], True, [0.002, 0.005, 0.01, 0.02]),
        ([5], False, [5]),
        ([], False, [0, 0.5, 1]),
    ],
)
def test_marks_of_an_axis_are_round(values: list[float], log: bool, expected: list[float]) -> None:
    ticks = Axis(values, 0, 100, log=log).ticks()
    assert [value for value in expected if not any(abs(value - tick) < 1e-9 for tick in ticks)] == []
    assert len(ticks) <= 8


def test_a_plot_of_nothing_is_a_plot() -> None:
    ElementTree.fromstring(plot(Curve("nothing", "x", "y", {"none": [], "one": [(1.0, 1.0)]}, steps=True)))
