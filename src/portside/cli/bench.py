"""``portside bench``: what the models cost, and how Portside does beside other servers."""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from portside.cli.output import print_listing, write_out
from portside.cli.rig import machine, peers
from portside.cli.rig.load import Generator, Load, c_generator, python_generator
from portside.cli.rig.models import COLUMNS, Plan, measure, panels
from portside.cli.rig.plot import draw, require_matplotlib
from portside.cli.rig.servers import NotAvailable
from portside.errors import UsageError
from portside.serve.settings import MODELS, hint
from portside.units import parse_size

SIZE_BYTES_MAX: Final = 16 << 20
GENERATORS: Final = ("auto", "c", "python")


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────────


Reader = Callable[[click.Context, click.Parameter, str], Any]


def _words(what: str, known: tuple[str, ...], short: Mapping[str, str] | None = None) -> Reader:
    """Return a reader of words with commas between, each one of those known. It raises UsageError."""
    short = short or {}

    def read(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
        words = [short.get(word, word) for word in (part.strip() for part in text.split(","))]
        for word in words:
            if word not in known:
                near = hint(word, [*known, *short], otherwise=f"there are {', '.join(known)}")
                raise UsageError(f"unknown {what} {word!r}{near}")
        return tuple(dict.fromkeys(words))

    return read


def _sizes(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    """Return the sizes that are written with commas between. Raises: UsageError."""
    sizes = tuple(map(parse_size, text.split(",")))
    for size in sizes:
        if not 1 <= size <= SIZE_BYTES_MAX:
            raise UsageError(f"a message of {size:,} bytes: it has from one byte to 16MiB")
    return sizes


def _measuring(rounds: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of both commands. Everything is bounded: a measurement always ends."""
    options = (
        click.option(
            "--rounds",
            type=click.IntRange(1, 1_000),
            default=rounds,
            show_default=True,
            help="Slices of each server; the medians are shown.",
        ),
        click.option(
            "--seconds",
            type=click.FloatRange(0.05, 60),
            default=1.0,
            show_default=True,
            help="Length of a slice.",
        ),
        click.option(
            "--namespace/--no-namespace",
            default=True,
            show_default=True,
            help="Measure in a network namespace of its own, where that is allowed.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON array."),
        click.option("--plot", metavar="FILE.png", help="Draw the figures too. Needs the extra [plot]."),
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group(invoke_without_command=True)
@click.pass_context
def bench(ctx: click.Context) -> None:
    """Measure what concurrency models and servers cost on this machine.

    It takes two cores, one for the servers and one for the load, and is best left alone meanwhile.
    """
    if ctx.invoked_subcommand is None:
        raise click.UsageError(f"which benchmark? There are {', '.join(bench.list_commands(ctx))}", ctx)


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@bench.command()
@click.option(
    "--models",
    callback=_words("model", MODELS),
    metavar="NAMES",
    default=",".join(MODELS),
    show_default=True,
    help="Which to measure.",
)
@click.option("--clients", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at a time.")
@click.option(
    "--size",
    callback=_sizes,
    default="64",
    show_default=True,
    metavar="SIZE",
    help="Bytes of a message.",
)
@click.option(
    "--pool", type=click.IntRange(1, 1_000), default=8, show_default=True, help="Processes or threads of a pool."
)
@click.option(
    "--generator",
    type=click.Choice(GENERATORS),
    default="auto",
    show_default=True,
    help="Which load generator: the one in C needs a compiler, the other is slower.",
)
@_measuring(rounds=3)
def models(
    *,
    models: tuple[str, ...],
    clients: int,
    size: tuple[int, ...],
    pool: int,
    generator: str,
    rounds: int,
    seconds: float,
    namespace: bool,
    as_json: bool,
    plot: str | None,
) -> int:
    """Serve echo under each model and compare what that costs.

    A visit is connect, one message, its echo, and the end. A request is a message and its echo on a connection that
    stays. CONTROL is the CPU of a visit over that of the iterative server; MIB the server's memory before anybody
    comes, KIB EACH what a connection adds. docs/models.md says more.
    """
    if plot is not None:
        require_matplotlib()
    plan = Plan(models=models, clients=clients, size=size[0], rounds=rounds, seconds=seconds, pool=pool)
    with _ends_in_order(), tempfile.TemporaryDirectory(prefix="portside-bench-") as folder:
        is_alone = namespace and machine.enter_network_namespace()
        machine.raise_file_limit()
        chosen = _choose(generator, Path(folder))
        load = Load(chosen, machine.choose_cores(), None if is_alone else machine.CONGESTION_FOR_ALL)
        measured = measure(plan, load, _say)
    print_listing([one.row() for one in measured], COLUMNS, as_json=as_json)
    for one in measured:
        if one.errors:
            _say(f"{one.model}: {one.errors} errors, the first: {one.first_error}")
    _say_how(chosen, load.cores, is_alone)
    if plot is not None:
        subtitle = (
            f"Echo of {plan.size:,} bytes to {clients} clients, each server on one core. In parentheses: how many it "
            "serves at once.\nProcesses (plain), threads (hatched), one loop for all (dotted)."
        )
        draw(
            Path(plot),
            "One handler under each model",
            subtitle,
            panels(measured),
        )
    return 0


def _choose(name: str, folder: Path) -> Generator:
    if name == "python":
        return python_generator()
    try:
        return c_generator(folder)
    except NotAvailable as reason:
        if name == "c":
            raise
        _say(
            f"{reason}: the load comes from Python, which is the slower side. "
            "Compare the CPU; the rates are lower bounds."
        )
        return python_generator()


def _say_how(generator: Generator, cores: machine.Cores, is_alone: bool) -> None:
    network = "a network namespace of its own" if is_alone else "the machine's network"
    where = f"cores {', '.join(map(str, cores.others))}" if generator.uses_all_cores else f"core {cores.load}"
    congestion = machine.congestion_control()
    _say(
        f"in {network}, congestion control {congestion}; server on core {cores.server}, load in {generator.language} "
        f"on {where}"
    )


def _say(line: str) -> None:
    # Not to stdout: that is for the listing.
    if sys.stderr is not None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def _ends_in_order() -> Iterator[None]:
    """Inside, TERM leaves through every ``finally``, as an interrupt does: no server is left behind."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# ── echo ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@bench.command()
@click.option(
    "--against",
    callback=_words("server", peers.NAMES, peers.SHORT_NAMES),
    default=peers.AGAINST,
    show_default=True,
    metavar="NAMES",
    help=f"Servers to stand beside ours: {', '.join(peers.NAMES)}.",
)
@click.option(
    "--mode",
    callback=_words("mode", peers.MODES),
    default="echo,short",
    show_default=True,
    metavar="MODES",
    help="Of echo, short and idle.",
)
@click.option(
    "--sizes",
    callback=_sizes,
    default="64,1KiB",
    show_default=True,
    metavar="SIZES",
    help="Bytes of a message, in the mode echo.",
)
@click.option("--connections", type=click.IntRange(1, 100_000), help="Instead of what belongs to a mode.")
@click.option(
    "--python", default=sys.executable, metavar="PATH", help="The interpreter that has the others' libraries."
)
@_measuring(rounds=5)
def echo(
    *,
    against: tuple[str, ...],
    mode: tuple[str, ...],
    sizes: tuple[int, ...],
    connections: int | None,
    python: str,
    rounds: int,
    seconds: float,
    namespace: bool,
    as_json: bool,
    plot: str | None,
) -> int:
    """Serve echo beside other servers, in short slices that take turns, and compare.

    RATIO is to a server in C that does nothing else, OURS/IT our speed to the server's; both are medians of ratios
    within a round. OTHERS is what anyone else used of both cores: above a few per cent, measure again. The servers to
    compare with are in benchmarks/ of Portside's repository, so it needs a checkout.
    """
    if plot is not None:
        require_matplotlib()
    options = ["--mode", ",".join(mode), "--sizes", ",".join(map(str, sizes))]
    options += ["--rounds", str(rounds), "--seconds", str(seconds), "--python", python]
    options += ["--connections", str(connections)] if connections else []
    options += [] if namespace else ["--no-namespace"]
    with _ends_in_order():
        document = peers.compare(against, options)
    cases = document["cases"]
    for number, case in enumerate([] if as_json else cases):
        write_out(f"{chr(10) if number else ''}{peers.title(case)}\n")
        print_listing(peers.rows(case), peers.columns(case), as_json=False)
    if as_json:
        print_listing([row for case in cases for row in peers.rows(case)], (), as_json=True)
    for note in document["notes"]:
        _say(note)
    if plot is not None:
        draw(
            Path(plot),
            "Echo servers on one core",
            "of the speed of a C server with epoll",
            list(map(peers.panel, cases)),
        )
    return 0
