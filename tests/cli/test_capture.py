"""``portside capture`` with files: what is shown, chosen and written, and what is refused."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from portside.cli import capture_files
from portside.cli.capture import parse_network, parse_wanted
from portside.cli.capture_files import CaptureFile, read_items
from portside.cli.main import main
from portside.errors import LocalError, UsageError
from portside.wire.captured import CapturedPacket, Interface, Names, Secrets, Section
from portside.wire.dns import DnsMessage, Question
from portside.wire.pcapng import PcapngWriter
from portside.wire.tcp import Flags
from support.capturing import ETH0, NOW_NS, A, dns, pcapng, tcp, udp
from support.peers import program
from support.server import COMMAND, environment, portside

QUESTION = dns(DnsMessage(7, (Question("example.com.", 1),)))
FRAMES = (tcp(flags=Flags.SYN, window=500), udp(b"hello"), QUESTION)
LINES = [
    "── 2023-11-14 ──",
    "22:13:20.123456 192.0.2.1:40000 → 192.0.2.2:80 TCP SYN seq=0 win=500 len=0",
    "22:13:20.124456 192.0.2.1:40000 → 192.0.2.2:9  UDP len=5",
    "22:13:20.125456 192.0.2.1:40000 → 192.0.2.2:53 DNS #7 asks A of example.com.",
]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "100")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace.pcapng"
    path.write_bytes(pcapng(*FRAMES))
    return str(path)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[str]:
    """Return the lines of standard output, having made sure of the exit status."""
    assert main(["capture", *arguments]) == status
    return capsys.readouterr().out.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    assert main(["capture", *arguments]) == status
    return capsys.readouterr().err


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_shown_a_line_for_each_packet(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "-r", trace) == LINES
    assert said(capsys, "--read", trace, "--count", "2") == LINES[:3]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--port", "80"], [1]),
        (["--port", "80", "--port", "domain"], [1, 3]),
        (["--protocol", "udp"], [2, 3]),
        (["--protocol", "dns", "--protocol", "tcp"], [1, 3]),
        (["--host", "192.0.2.2"], [1, 2, 3]),
        (["--host", "192.0.2.0/30", "--port", "9"], [2]),
        (["--host", "10.0.0.1"], []),
        (["--protocol", "udp", "--count", "1"], [2]),
    ],
)
def test_options_choose(options: list[str], shown: list[int], trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [" ".join(line.split()) for line in said(capsys, "-r", trace, *options) if "──" not in line]
    assert lines == [" ".join(LINES[at].split()) for at in shown]


def test_verbose_draws_each_packet_below_its_line(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "-r", trace, "-v", "--port", "9")
    assert lines[1].endswith("UDP len=5")
    assert lines[2].startswith("╭──────────┬")
    assert {len(line) for line in lines[2:-1]} == {100}
    assert lines[-1] == ""


def test_very_verbose_shows_all_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "long.pcapng"
    path.write_bytes(pcapng(udp(bytes(1_000))))
    some, everything = (said(capsys, "-r", str(path), option) for option in ("-v", "-vv"))
    assert any("bytes more (-vv shows them)" in line for line in some)
    assert len(everything) > len(some) + 50


def test_comments_of_a_file_are_shown_with_their_packets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "commented.pcapng"
    with path.open("wb") as file:
        writer = PcapngWriter(file.write)
        writer.packet(writer.add_interface(ETH0), NOW_NS, udp(b"x"), comments=["look\x1b here"])
    assert "  look\\x1b here" in said(capsys, "-r", str(path), "-v")
    (row,) = map(json.loads, said(capsys, "-r", str(path), "--json"))
    assert row["comments"] == ["look\x1b here"]


def test_json_is_an_object_for_each_packet(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = map(json.loads, said(capsys, "-r", trace, "--json"))
    assert [row["number"] for row in (first, second, third)] == [1, 2, 3]
    layers = second.pop("layers")
    assert second == {
        "number": 2,
        "time": "2023-11-14T22:13:20.124456789+00:00",
        "interface": "eth0",
        "direction": None,
        "length_bytes": 47,
        "captured_bytes": 47,
        "source": {"host": "192.0.2.1", "port": 40_000},
        "target": {"host": "192.0.2.2", "port": 9},
        "protocol": "UDP",
        "summary": "len=5",
        "data_bytes": 5,
        "problem": None,
        "comments": [],
    }
    assert [layer["layer"] for layer in layers] == ["ethernet", "ipv4", "udp"]
    assert layers[2] == {
        "layer": "udp",
        "start": 34,
        "header_bytes": 8,
        "is_quoted": False,
        "fields": [
            {"name": "source port", "start": 34, "hex": "9c40", "text": "40000"},
            {"name": "target port", "start": 36, "hex": "0009", "text": "9"},
            {"name": "length", "start": 38, "hex": "000d", "text": "13 bytes"},
            {"name": "checksum", "start": 40, "hex": "9bb4", "text": "0x9bb4, right"},
        ],
    }


def test_a_terminal_has_colours_and_lines_that_fit(trace: str) -> None:
    controller, terminal = pty.openpty()
    env = environment({"TERM": "xterm", "COLUMNS": "80", "TZ": "UTC"})
    with subprocess.Popen([*COMMAND, "capture", "-r", trace], stdout=terminal, stderr=terminal, env=env) as process:
        os.close(terminal)
        text = b""
        while True:
            try:
                text += os.read(controller, 65_536)
            except OSError:  # the other end is closed
                break
        assert process.wait() == 0
    os.close(controller)
    lines = text.decode().split("\r\n")
    assert lines[1] == "\x1b[2m22:13:20.123\x1b[0m 192.0.2.1:40000 → 192.0.2.2:80 \x1b[32mTCP\x1b[0m SYN seq=0 len=0"


def test_a_reader_that_has_seen_enough_is_no_error(trace: str) -> None:
    command = f"{' '.join(COMMAND)} capture -r {trace} --json | head -c 10"
    done = subprocess.run(["sh", "-c", command], capture_output=True, env=environment(), timeout=60, check=True)
    assert done.stderr == b""


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_standard_input_is_a_file_too(trace: str) -> None:
    command = f"cat {trace} | {' '.join(COMMAND)} capture -r - --json"
    done = subprocess.run(["sh", "-c", command], capture_output=True, env=environment(), timeout=60, check=True)
    assert len(done.stdout.splitlines()) == 3


def test_a_file_that_was_cut_off_is_shown_up_to_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.pcapng"
    path.write_bytes(pcapng(*FRAMES)[:-1])
    assert main(["capture", "-r", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == LINES[:3]
    assert err == f"portside: {path}: pcapng, the last block: 103 bytes came of 104\n"


@pytest.mark.parametrize("content", [b"", b"\n", b"GET / HTTP/1.1", b"\x1f\x8b\x08\0"])
def test_a_file_that_is_no_capture_is_refused(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    target = tmp_path / "kept.pcapng"
    target.write_bytes(b"precious")
    assert "this is neither pcapng nor pcap" in refused(capsys, "-r", str(path), "-w", str(target))
    assert target.read_bytes() == b"precious"


def test_a_file_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "-r", "/nowhere/x") == "portside: /nowhere/x: No such file or directory\n"


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_chosen_of_a_file_goes_to_another(
    trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "chosen.pcapng"
    assert said(capsys, "-r", trace, "--protocol", "udp", "-w", str(target)) == []
    packets = [item for item in read_items(str(target)) if isinstance(item, CapturedPacket)]
    assert [packet.data for packet in packets] == list(FRAMES[1:])
    assert [packet.time_ns for packet in packets] == [NOW_NS + 1_000_000, NOW_NS + 2_000_000]


def test_writing_says_how_many(trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "all.pcapng"
    main(["capture", "-r", trace, "-w", str(target)])
    assert capsys.readouterr().err == f"3 packets written to {target}\n"
    main(["capture", "-r", trace, "-w", str(target), "--port", "9"])
    assert capsys.readouterr().err == f"1 packet written to {target}\n"


def test_with_a_file_packets_are_shown_only_on_request(
    trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "all.pcapng")
    assert len(said(capsys, "-r", trace, "-w", target, "--json")) == 3
    assert len(said(capsys, "-r", trace, "-w", target, "-v")) > 30


def test_names_secrets_and_what_is_known_of_packets_are_kept(tmp_path: Path) -> None:
    section = Section("a machine", "an OS", "portside test")
    packet = CapturedPacket(Interface("eth0", filter="port 80"), NOW_NS, udp(b"x"), 100, "out", "unicast", ("hm",))
    items = [Names(((A, ("one.example",)),)), Secrets(0x544C534B, b"CLIENT_RANDOM"), packet]
    path = tmp_path / "kept.pcapng"
    file = CaptureFile(str(path), "0")
    for item in (section, packet.interface, *items):
        file.write(item)
    file.statistics(NOW_NS, received=3, dropped=1)
    file.close()
    found = list(read_items(str(path)))
    assert isinstance(found[0], Section)
    assert (found[0].application, found[0].system.split()[0]) == ("portside 0", os.uname().sysname)
    assert [item for item in found if type(item) in {Names, Secrets, CapturedPacket}] == items


def test_what_is_flushed_is_in_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "growing.pcapng"
    file = CaptureFile(str(path), "0")
    for count in range(3):
        file.write(CapturedPacket(ETH0, NOW_NS, udp(b"x"), 50))
        file.flush()
        assert sum(isinstance(item, CapturedPacket) for item in read_items(str(path))) == count + 1
    file.close()


def test_much_is_written_before_anybody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_files, "GATHERED_BYTES_MAX", 200)
    path = tmp_path / "growing.pcapng"
    file = CaptureFile(str(path), "0")
    file.write(CapturedPacket(ETH0, NOW_NS, bytes(500), 500))
    assert path.stat().st_size > 500
    file.close()


def test_a_disk_that_is_full_says_so() -> None:
    if not stat.S_ISCHR(os.stat("/dev/full").st_mode):
        pytest.skip("there is no /dev/full")
    file = CaptureFile("/dev/full", "0")
    file.write(CapturedPacket(ETH0, NOW_NS, udp(b"x"), 50))
    with pytest.raises(LocalError, match="/dev/full: No space left on device"):
        file.close()


def test_standard_output_is_a_file_too(trace: str) -> None:
    """tshark reads it as it comes."""
    command = (
        f"{' '.join(COMMAND)} capture -r {trace} -w - --port 9 | {program('tshark')} -n -r - -T fields -e udp.dstport"
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, env=environment(), timeout=60, check=True)
    assert done.stdout == b"9\n"


def test_a_file_that_cannot_be_written_is_refused(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "/nowhere/x: No such file or directory" in refused(capsys, "-r", trace, "-w", "/nowhere/x")


# ── what is typed ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--wire", "lo", "-r", "x"], "--wire captures, --read reads a file"),
        (["--wire", "l0"], "this machine has no interface 'l0'"),
        (["-r", "x", "--seconds", "5"], "--seconds is for what happens now"),
        (["--wire", "lo", "--seconds", "soon"], "'soon' is not a duration"),
        (["-r", "x", "--json", "-v"], "--json tells every field already"),
        (["-r", "x", "-w", "-", "-v"], "the file goes to standard output"),
        (["-r", "x", "-w", "-", "--json"], "the file goes to standard output"),
        (["-r", "x", "--port", "nonsense"], "'nonsense' is neither a port"),
        (["-r", "x", "--port", "65536"], "a port is a number from 0 to 65535"),
        (["-r", "x", "--host", "example.com"], "portside resolve example.com lists its addresses"),
        (["-r", "x", "--host", "10.0.0.0/33"], "is no network"),
        (["-r", "x", "--protocol", "http"], "'http' is not one of 'tcp', 'udp', 'icmp', 'arp', 'dns'"),
        (["-r", "x", "--count", "0"], "0 is not in the range x>=1"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refused(capsys, *arguments)


def test_nothing_to_capture_is_refused_with_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = refused(capsys)
    assert "--wire INTERFACE (" in found
    assert found.endswith("any), or --read FILE\n")


def test_networks_in_every_spelling() -> None:
    assert str(parse_network("192.0.2.1")) == "192.0.2.1/32"
    assert str(parse_network("192.0.2.1/24")) == "192.0.2.0/24"
    assert str(parse_network("::ffff:192.0.2.1")) == "192.0.2.1/32"
    assert str(parse_network("fe80::1%eth0")) == "fe80::1/128"
    with pytest.raises(UsageError):
        parse_network("")


def test_a_filter_of_services() -> None:
    wanted = parse_wanted(["domain", "80"], [], ["tcp"])
    assert wanted.ports == {53, 80}
    assert wanted.protocols == {"tcp"}


def test_options_come_from_the_environment_too(trace: str) -> None:
    done = portside("capture", "-r", trace, "--json", env={"PORTSIDE_PORT": "9,53", "PORTSIDE_COUNT": "1"})
    assert [json.loads(line)["protocol"] for line in done.stdout.splitlines()] == ["UDP"]


def test_standard_output_is_named_as_such(trace: str, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        arguments = [*COMMAND, "capture", "-r", trace, "-w", "-", "--count", "1"]
        done = subprocess.run(arguments, stdout=out, stderr=subprocess.PIPE, env=environment(), timeout=60, check=True)
    assert done.stderr == b"1 packet written to standard output\n"
    assert len(list(read_items(str(tmp_path / "out")))) == 3
