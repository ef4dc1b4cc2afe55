"""Echo as a Portside coroutine handler under the event model, started as a user would.

The limits are on, but higher than the load. This process only starts the server, passes on the port,
and stops the server when it is stopped.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY = re.compile(r"listening on tcp://127\.0\.0\.1:(\d+)")
LIMITS = ("--limit-connections", "1000000", "--limit-per-ip", "1000000", "--limit-accept-rate", "1000000")


def start(port: int) -> subprocess.Popen[str]:
    """Start ``portside run`` from the checkout, installed or not."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    url = f"tcp://127.0.0.1:{port}"
    return subprocess.Popen(
        [sys.executable, "-m", "portside", "run", "benchmarks.handlers:echo", "--listen", url, *LIMITS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )


def main(port: int) -> int:
    """Return the exit code of the server."""
    server = start(port)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    assert server.stderr is not None
    for line in server.stderr:
        if found := READY.search(line):
            print("listening", found[1], flush=True)
        else:
            print(line, end="", file=sys.stderr, flush=True)
    return server.wait()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
