"""Echo as a Portside coroutine handler under the event model, started as a user would.

Limits and timeouts are on, the limits higher than the load. Nothing is logged for each connection, as
the other peers log nothing. This process only starts the server, passes on the port, and stops the
server when it is stopped itself.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY = re.compile(r"listening on tcp://127\.0\.0\.1:(\d+)")
READY_S_MAX, LOOK_AGAIN_S = 20.0, 0.02
LIMITS = ("--limit-connections", "1000000", "--limit-per-ip", "1000000", "--limit-accept-rate", "1000000")
QUIET = ("--log-level", "warning")


def start(port: int, said: Path) -> subprocess.Popen[bytes]:
    """Start ``portside run`` from the checkout, installed or not.

    What it says goes to a file: a pipe would need a reader, whose work would count as the server's.
    """
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "portside", "run", "benchmarks.handlers:echo"]
    command += ["--listen", f"tcp://127.0.0.1:{port}", *LIMITS, *QUIET]
    with said.open("wb") as file:
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stderr=file)


def wait_until_ready(server: subprocess.Popen[bytes], said: Path) -> int | None:
    """Return the port from the line that says it; None if the server ends or is silent."""
    deadline = time.monotonic() + READY_S_MAX
    while server.poll() is None and time.monotonic() < deadline:
        if found := READY.search(said.read_text()):
            return int(found[1])
        time.sleep(LOOK_AGAIN_S)
    return None


def main(port: int) -> int:
    """Return the exit code of the server."""
    with tempfile.TemporaryDirectory(prefix="portside-bench-") as place:
        said = Path(place) / "said"
        server = start(port, said)
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        real_port = wait_until_ready(server, said)
        if real_port is None:
            server.kill()
            print(said.read_text(), file=sys.stderr)
        else:
            print("listening", real_port, flush=True)
        return server.wait()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
