"""``portside simulate``: a world from a file, run once or for many seeds, with a report and a capture."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from portside.cli import exit_status
from portside.cli.output import print_object, write_out

if TYPE_CHECKING:
    from portside.sim.report import Curve
    from portside.sim.scenario import Outcome, Scenario

PROGRESS_S: Final = 0.2  # of real time, between two tellings


@click.command(short_help="run a world from a file: report, capture, sequence diagrams")
@click.argument("scenario", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", type=int, help="Run with this seed instead of the file's.")
@click.option("--seeds", metavar="FIRST-LAST", help="Run with each of these seeds, until one fails.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--no-report", is_flag=True, help="Write no files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def simulate(
    *, scenario: Path, seed: int | None, seeds: str | None, out: Path | None, no_report: bool, as_json: bool
) -> int:
    """Run the simulated internet that FILE describes, in virtual time.

    A report (report.html) and a capture for Wireshark (world.pcapng) are written to a folder that is named like FILE,
    or to --out. What the file may say is in docs/simulation.md; examples are in examples/worlds.
    """
    from portside.sim.scenario import read_scenario

    read = read_scenario(scenario)
    sys.path.insert(0, "")  # run = "module:function" is looked for here, as `portside run` does
    if seeds is not None:
        return _explore(read, seeds, as_json=as_json)
    folder = None if no_report else out or Path(scenario.stem)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    outcome = _run(read, seed, None if folder is None else folder / "world.pcapng")
    curves = [] if read.sweep is None else [_sweep(read, outcome.seed)]
    files = [] if folder is None else _write(read, outcome, folder, curves)
    _tell(read, outcome, files, as_json=as_json)
    return exit_status.OK if outcome.failure is None else exit_status.FAILED


def _run(read: Scenario, seed: int | None, capture: Path | None, changes: Any = None) -> Outcome:
    from portside.sim.scenario import run_scenario

    progress = _progress() if sys.stderr.isatty() else None
    try:
        return run_scenario(read, seed=seed, serve=serve_battery, capture=capture, progress=progress, changes=changes)
    finally:
        if progress is not None:
            click.echo("\r\x1b[K", nl=False, err=True)


def _progress() -> Callable[[float], None]:
    told_s = 0.0

    def tell(now_s: float) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= PROGRESS_S:
            told_s = time.monotonic()
            click.echo(f"\r\x1b[K{now_s:,.1f} s of the world's time", nl=False, err=True)

    return tell


async def serve_battery(name: str, port: int, arguments: Mapping[str, Any]) -> None:
    """Serve one of Portside's batteries on the host that this runs on."""
    from portside.errors import UsageError
    from portside.net.transport_network import TransportNetwork
    from portside.protocols import catalogue

    battery = catalogue.load(name, arguments)
    if battery.stream is None:
        raise UsageError(f"the battery {name} serves no streams")
    handler: Any = battery.stream

    async def handle(connection: Any) -> None:
        async with connection:
            await handler(connection)

    async with TransportNetwork() as network:
        listener = await network.listen(f"tcp://0.0.0.0:{port or battery.port}")
        while True:
            network.start(handle(await listener.accept()))


# ── many runs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _explore(read: Scenario, seeds: str, *, as_json: bool) -> int:
    match = re.fullmatch(r"(\d+)-(\d+)", seeds)
    if match is None or int(match[1]) > int(match[2]):
        raise click.UsageError("--seeds is written FIRST-LAST: 1-1000")
    first, last = int(match[1]), int(match[2])
    for seed in range(first, last + 1):
        outcome = _run(read, seed, None)
        if outcome.failure is not None:
            _tell(read, outcome, [], as_json=as_json)
            click.echo(f"run it again: portside simulate {read.path} --seed {seed}", err=True)
            return exit_status.FAILED
    count = last - first + 1
    if as_json:
        print_object({"scenario": str(read.path), "seeds": [first, last], "failed": None})
    else:
        write_out(f"{count:,} seeds, none failed\n")
    return exit_status.OK


def _sweep(read: Scenario, seed: int) -> Curve:
    """Run once for each value of a link's setting, and return what came through; of loss, with Mathis' curve."""
    from portside.sim.quantities import fraction
    from portside.sim.report import Curve
    from portside.sim.scenario.sweeping import mathis

    sweep: Any = read.sweep
    measured: list[tuple[float, float]] = []
    expected: list[tuple[float, float]] = []
    for value in sweep["values"]:
        outcome = _run(read, seed, None, {sweep["link"]: {sweep["setting"]: value}})
        assert outcome.trace is not None
        flow = max(outcome.trace.flows, key=lambda one: one.acknowledged_bytes, default=None)
        if flow is None or outcome.failure is not None:
            continue
        x = fraction(value) if sweep["setting"] == "loss" else float(value)
        measured.append((x, 8 * flow.throughput))
        if sweep["setting"] == "loss":
            expected.append((x, mathis(flow, x)))
    series = {"measured": measured} | ({"Mathis and others, 1997": expected} if expected else {})
    is_loss = sweep["setting"] == "loss"
    title = f"Throughput by {sweep['setting']} of {sweep['link']}"
    label = "probability that a frame is lost" if is_loss else sweep["setting"]
    return Curve(title, label, "bit/s", series, log_x=is_loss, log_y=is_loss, dots=frozenset({"measured"}))


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(read: Scenario, outcome: Outcome, folder: Path, curves: list[Curve]) -> list[str]:
    from portside.sim.report import write_report

    assert outcome.trace is not None
    report = write_report(
        outcome.trace,
        folder,
        title=read.title,
        description=str(read.world.get("description", "")),
        results=outcome.results,
        captures=["world.pcapng"],
        curves=curves,
    )
    return [str(report), str(folder / "world.pcapng")]


def _tell(read: Scenario, outcome: Outcome, files: list[str], *, as_json: bool) -> None:
    trace = outcome.trace
    assert trace is not None
    flows = [flow for flow in trace.flows if flow.acknowledged_bytes]
    if as_json:
        print_object(
            {
                "scenario": str(read.path),
                "seed": outcome.seed,
                "ended_s": trace.ended_s,
                "digest": trace.digest,
                "failure": None if outcome.failure is None else _why(outcome.failure),
                "programs": [{"program": what, "host": host, "result": how} for what, host, how in outcome.results],
                "flows": [
                    {
                        "host": flow.host,
                        "connection": flow.name,
                        "acknowledged_bytes": flow.acknowledged_bytes,
                        "bits_per_s": round(8 * flow.throughput),
                        "retransmits": flow.retransmits,
                        "timeouts": flow.timeouts,
                    }
                    for flow in flows
                ],
                "frames": {line: dict(counts) for line, counts in trace.fates.items()},
                "faults": [{"at_s": at, "fault": text} for at, text in trace.marks],
                "files": files,
            }
        )
        return
    lines = [f"{read.title}: ended after {trace.ended_s:,.6f} s, seed {outcome.seed}, digest {trace.digest}"]
    lines += [f"  {host}: {what}: {how}" for what, host, how in outcome.results]
    lines += [f"  {at:,.3f} s: {text}" for at, text in trace.marks]
    again = sum(flow.retransmits for flow in flows)
    lost = sum(count for fates in trace.fates.values() for fate, count in fates.items() if fate in LOST)
    lines.append(f"  {trace.flights_seen:,} frames on all links, {lost:,} lost, {again:,} segments sent again")
    lines += [f"  {name}" for name in files]
    write_out("\n".join(lines) + "\n")
    if outcome.failure is not None:
        click.echo(f"portside: {_why(outcome.failure)}", err=True)


LOST: Final = frozenset({"lost", "ruled out", "dropped", "down"})


def _why(error: BaseException) -> str:
    """Return what ended a run: of a group the first error, which ended the others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {error}{notes}"
