"""``portside bench``: what it refuses, what it makes of slices, its load generators, and the whole once, small."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from portside.cli import bench
from portside.cli.main import main
from portside.cli.rig import load, machine, models, peers, plot, python_load
from portside.cli.rig.load import Load, Slice
from portside.cli.rig.models import Plan
from portside.cli.rig.plot import Bar, Panel
from portside.cli.rig.servers import Server as Measured
from portside.errors import MissingExtra
from support.listener import Listener
from support.server import ROOT, Server, portside
from support.waiting import WITHIN_S

REFERENCE = ROOT / "docs" / "reference.md"


def keys_of(listing: str) -> list[str]:
    """Return the documented keys of a listing."""
    (row,) = re.findall(rf"^\| `{listing}` \|[^|]*\|(.*)\|$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    return re.findall(r"`(\w+)`", row)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["models", "--models", "event,treads"], "unknown model 'treads'; did you mean thread?"),
        (["models", "--size", "0"], "a message of 0 bytes: it has from one byte to 16MiB"),
        (["models", "--clients", "0"], "0 is not in the range 1<=x<=10000"),
        (["echo", "--against", "uvlop-streams"], "unknown server 'uvlop-streams'; did you mean uvloop-streams?"),
        (["echo", "--mode", "shrt"], "unknown mode 'shrt'; did you mean short?"),
        (["echo", "--sizes", "64,many"], "'many'"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_starts(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_plot_without_matplotlib_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for what in ("models", "echo"):
        assert main(["bench", what, "--plot", "x.png"]) == 3
        assert "pip install 'portside[plot]'" in capsys.readouterr().err


def test_outside_a_checkout_there_is_nobody_to_compare_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "SOURCE", tmp_path)
    assert main(["bench", "echo"]) == 3
    assert "benchmarks/ of Portside's repository" in capsys.readouterr().err


def test_the_servers_to_compare_with_are_those_of_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("servers", ROOT / "benchmarks" / "servers.py")
    assert spec is not None
    assert spec.loader is not None
    servers = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "servers", servers)  # dataclasses look their module up
    spec.loader.exec_module(servers)
    assert {peers.OURS, *peers.NAMES} == set(servers.NAMES)
    assert set(peers.SHORT_NAMES.values()) < set(peers.NAMES)


# ── the load generators ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def generators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, load.Generator]:
    found = {"python": load.python_generator()}
    if any(map(shutil.which, load.COMPILERS)):
        found["c"] = load.c_generator(tmp_path_factory.mktemp("load"))
    return found


@pytest.fixture(params=["c", "python"])
def generator(request: pytest.FixtureRequest, generators: dict[str, load.Generator]) -> load.Generator:
    if request.param not in generators:
        pytest.skip("there is no C compiler")
    return generators[request.param]


def put_to(generator: load.Generator, port: int, mode: str, **options: float) -> dict[str, Any]:
    """Run a generator and return what it told."""
    arguments = [f"--{name}={value}" for name, value in {"port": port, "mode": mode, "timeout": 5, **options}.items()]
    done = subprocess.run(
        [*generator.command, *arguments],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    return {**json.loads(done.stdout), "said": done.stderr}


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("echo", {"connections": 3, "size": 64, "seconds": 0.05, "warmup": 0}),
        ("echo", {"connections": 2, "size": 400_000, "seconds": 0.05, "warmup": 0}),  # more than the sockets take
        ("short", {"connections": 3, "size": 10, "seconds": 0.05, "warmup": 0, "sources": 3}),
        ("idle", {"connections": 7, "size": 10, "rate": 1_000, "hold": 0.01}),
    ],
)
def test_an_echo_is_counted_and_nothing_fails(
    generator: load.Generator, mode: str, options: dict[str, float], serve: Callable[..., Server]
) -> None:
    server = serve("serve", "echo", "--listen", "tcp://127.0.0.1:0", "--limit-accept-rate", "1000000")
    told = put_to(generator, server.port, mode, **options)
    assert (told["errors"], told["first_error"]) == (0, "")
    assert told["requests_total"] >= told["requests"] > 0
    assert told["opened"] >= options["connections"]
    if mode == "idle":
        assert told["said"] == "holding 7\n"
        assert (told["requests"], told["requests_total"]) == (7, 14)


def test_both_generators_answer_alike(generators: dict[str, load.Generator], serve: Callable[..., Server]) -> None:
    server = serve("serve", "echo", "--listen", "tcp://127.0.0.1:0", "--limit-accept-rate", "1000000")
    answers = [put_to(one, server.port, "short", connections=1, seconds=0.02) for one in generators.values()]
    assert len({tuple(answer) for answer in answers}) == 1


def answer_wrongly(connection: socket.socket) -> None:
    data = connection.recv(64)
    connection.sendall(bytes(byte ^ 1 for byte in data))
    connection.recv(64)


def hang_up(connection: socket.socket) -> None:
    connection.recv(64)


@pytest.mark.parametrize(
    ("talk", "kind", "said"),
    [
        (answer_wrongly, "mismatch", "the echo differs from the message"),
        (hang_up, "lost", "the server closed the connection"),
    ],
)
def test_a_server_that_does_not_echo_is_an_error(
    generator: load.Generator, talk: Callable[[socket.socket], None], kind: str, said: str
) -> None:
    with Listener(talk) as listener:
        told = put_to(generator, listener.port, "echo", connections=1, size=64, seconds=0.05)
    assert (told["errors"], told[f"errors_{kind}"], told["first_error"]) == (1, 1, said)


def test_a_port_where_nobody_listens_is_an_error(generator: load.Generator) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        told = put_to(generator, unheard.getsockname()[1], "echo", connections=2, seconds=0.02)
    assert (told["errors"], told["errors_connect"], told["first_error"]) == (2, 2, "Connection refused")


def test_without_a_compiler_the_load_comes_from_python_and_says_what_that_means(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(load.shutil, "which", lambda name: None)
    assert bench._choose("auto", tmp_path).language == "Python"
    assert "there is no C compiler: the load comes from Python, which is the slower side" in capsys.readouterr().err
    with pytest.raises(load.NotAvailable, match="there is no C compiler"):
        bench._choose("c", tmp_path)


def test_a_sample_of_latencies_gives_their_percentiles() -> None:
    tally = python_load.Tally(requests=100, seconds=2.0, latencies_s=[n / 1e6 for n in range(100, 0, -1)])
    other = python_load.Tally(requests=10, seconds=1.0, errors={**tally.errors, "lost": 1}, first_error="gone")
    tally.add(other)
    told = tally.report(python_load.parse_arguments(["--port", "1", "--size", "10"]))
    assert (told["requests"], told["requests_per_s"], told["bytes"]) == (110, 55.0, 1_100)
    assert [round(told[name]) for name in ("p50_us", "p90_us", "p99_us", "max_us")] == [51, 91, 100, 100]
    assert (told["errors"], told["errors_lost"], told["first_error"]) == (1, 1, "gone")


# ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tree_of_processes_is_measured_whole() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        tree = machine.process_tree(process.pid)
        assert (len(tree), tree[0]) == (2, process.pid)
        assert machine.memory_bytes(process.pid) > machine.memory_bytes(tree[1]) > 1 << 20
        process.stdin.close()
    assert machine.memory_bytes(process.pid) == 0
    assert machine.cpu(process.pid) == machine.Cpu()


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_came_out_are_medians_and_differences_from_the_iterative_server(monkeypatch: pytest.MonkeyPatch) -> None:
    visits = {"iterative": [30.0, 10.0, 20.0], "thread": [50.0, 90.0, 70.0]}
    asked: list[tuple[str, str, int]] = []

    @contextlib.contextmanager
    def serving(name: str, *arguments: str, core: int) -> Iterator[Measured]:
        yield cast("Measured", SimpleNamespace(name=name, is_running=lambda: True))

    def run(server: Measured, mode: str, *, connections: int, size: int, **more: float) -> Slice:
        asked.append((server.name, mode, connections))
        if mode == "idle":
            return Slice(memory_bytes=1 << 20, memory_bytes_per_connection=-3.0 if server.name == "iterative" else 9.6)
        if mode == "short" and more["seconds"] == 1.0:
            return Slice(requests_per_s=100.0, cpu_us_per_request=visits[server.name].pop())
        return Slice(requests_per_s=200.0, cpu_us_per_request=5.0, p50_us=7.0, p99_us=8.0)

    monkeypatch.setattr(models, "portside_server", serving)
    loading = cast("Load", SimpleNamespace(run=run, cores=machine.Cores(0, 1)))
    plan = Plan(models=("iterative", "thread"), clients=40, pool=8)
    iterative, thread = models.measure(plan, loading, lambda line: None)
    assert (iterative.visit_cpu_s, iterative.visit_control_s) == (20e-6, 0.0)
    assert (thread.visit_cpu_s, thread.visit_control_s) == (70e-6, 50e-6)
    assert (thread.visits_per_s, thread.requests_per_s) == (100.0, 200.0)
    assert (thread.request_cpu_s, thread.request_p50_s, thread.request_p99_s) == (5e-6, 7e-6, 8e-6)
    assert (iterative.memory_bytes, iterative.memory_bytes_per_connection) == (1 << 20, 0)
    assert thread.memory_bytes_per_connection == 10
    # All clients visit; as many stay as are served at once.
    assert {("iterative", "short", 40), ("iterative", "echo", 1), ("thread", "echo", 40)} <= set(asked)
    assert list(thread.row()) == keys_of("bench models")


def test_who_is_served_at_once() -> None:
    plan = Plan(clients=100, pool=8)
    assert [plan.served_at_once(model) for model in plan.models] == [1, 100, 8, 100, 8, 100]
    assert Plan(clients=3, pool=8).served_at_once("prefork") == 3


def test_models_are_measured_with_real_servers_and_nothing_is_left(tmp_path: Path) -> None:
    few = ("--clients", "2", "--pool", "2", "--rounds", "1", "--seconds", "0.05", "--generator", "python")
    done = portside("bench", "models", "--models", "prefork,event", *few, "--no-namespace", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["model"], row["served_at_once"], row["errors"]) for row in rows] == [
        ("prefork", 2, 0),
        ("event", 2, 0),
    ]
    for row in rows:
        assert list(row) == keys_of("bench models")
        assert row["errors"] == 0
        assert row["visits_per_s"] > 0
        assert row["requests_per_s"] > 0
        assert row["memory_bytes"] > 1 << 20
        assert row["visit_control_s"] is None
    assert "load in Python" in done.stderr


# ── echo ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def document_of(*servers: tuple[str, list[float]], mode: str = "echo") -> dict[str, Any]:
    """Return a document as benchmarks/echo.py writes it, with the requests a second of each round."""
    row = {"ratio": 0.5, "ratio_least": 0.4, "ratio_most": 0.6, "cpu_us_per_request": 5.0, "cpu_ratio": 2.0}
    row |= {"p50_us": 1.0, "p99_us": 2.0, "memory_bytes_per_connection": 2_000.4, "errors": 0, "others_share": 0.1}
    found = [
        {
            **row,
            "server": name,
            "requests_per_s": rates[0],
            "first_error": "",
            "slices": [{"requests_per_s": rate} for rate in rates],
        }
        for name, rates in servers
    ]
    case = {"mode": mode, "size": 64, "connections": 100, "options": {}, "servers": found}
    return {"cases": [case], "notes": ["on a machine"]}


def test_ours_to_theirs_is_the_median_of_the_rounds() -> None:
    document = document_of(("portside-event", [10.0, 20.0, 40.0]), ("trio", [5.0, 5.0, 5.0]), ("dead", [0.0, 0.0, 0.0]))
    ours, trio, dead = peers.rows(document["cases"][0])
    assert (ours["ours_to_it"], trio["ours_to_it"], dead["ours_to_it"]) == (1.0, 4.0, None)
    assert list(ours) == keys_of("bench echo")
    (idle,) = peers.rows(document_of(("portside-event", [1.0]), mode="idle")["cases"][0])
    assert (idle["ratio"], idle["memory_bytes_per_connection"]) == (None, 2_000)
    assert list(idle) == keys_of("bench echo")


def test_echo_prints_a_table_for_each_case_or_one_array(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[tuple[str, ...], list[str]]] = []

    def compare(against: tuple[str, ...], options: list[str]) -> dict[str, Any]:
        asked.append((against, options))
        cases = [document_of(("portside-event", [10.0]), mode=mode)["cases"][0] for mode in ("echo", "idle")]
        return {"cases": cases, "notes": ["on a machine"]}

    monkeypatch.setattr(peers, "compare", compare)
    assert main(["bench", "echo", "--against", "c,go,trio", "--sizes", "64,10KiB", "--rounds", "2"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("echo: 64 bytes, 100 connections\nSERVER ")
    assert "\n\nidle: 64 bytes, 100 connections\nSERVER " in said.out
    assert said.err == "on a machine\n"
    ((against, options),) = asked
    assert against == ("c-epoll", "go-net", "trio")
    assert options[:6] == ["--mode", "echo,short", "--sizes", "64,10240", "--rounds", "2"]
    assert main(["bench", "echo", "--json"]) == 0
    assert [row["mode"] for row in json.loads(capsys.readouterr().out)] == ["echo", "idle"]


# ── plots ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_panels_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    bars = [Bar("event (100)", "loop", 3.0, "3", until=9.0), Bar("fork (100)", "process", 0.0, "none")]
    pictures = [
        Panel("Plain", "note", bars),
        Panel("Logarithmic", "note", bars, logarithmic=True),
        Panel("None", "", []),
    ]
    path = tmp_path / "plot.png"
    plot.draw(path, "Title", "subtitle", pictures)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_every_model_and_server_has_a_style() -> None:
    assert set(models.KINDS) == set(Plan().models)
    assert set(models.KINDS.values()) <= set(plot.STYLES)
    panel = peers.panel(document_of(("portside-event", [1.0]), ("c-epoll", [1.0]), ("trio", [1.0]))["cases"][0])
    assert [bar.kind for bar in panel.bars] == ["ours", "yardstick", "peer"]


def test_a_plot_names_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"portside\[plot\]"):
        plot.require_matplotlib()
