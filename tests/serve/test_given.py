"""What a worker has for its battery: the name of its service, its certificates, and counters that all workers share."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from support.client import exchange
from support.server import Server

HANDLERS = Path(__file__).parent / "handlers"


def test_all_processes_of_a_service_count_together_and_go_on_after_a_reload(
    serve: Callable[..., Server], model: str
) -> None:
    server = serve("run", "couriers:tally", "--listen", "tcp://127.0.0.1:0", "--model", model, cwd=HANDLERS)
    answers = [exchange(server.at(), b"") for _ in range(3)]
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded")
    answers += [exchange(server.at(), b"") for _ in range(2)]
    assert answers == [b"tally without certificates: %d" % number for number in range(1, 6)]


def test_each_service_counts_for_itself_and_has_certificates_on_plain_endpoints_too(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    service = """
[service.%s]
run = "couriers:tally"
listen = ["tcp://127.0.0.1:0"]
%s
"""
    text = service % ("anna", "tls.self_signed = true") + service % ("bert", "")
    (tmp_path / "portside.toml").write_text(text)
    server = serve("up", str(tmp_path / "portside.toml"), listening=2, cwd=tmp_path, env={"PYTHONPATH": str(HANDLERS)})
    assert [exchange(server.ready[index], b"") for index in (0, 1, 0)] == [
        b"anna with certificates: 1",
        b"bert without certificates: 1",
        b"anna with certificates: 2",
    ]
