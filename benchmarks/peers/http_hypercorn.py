"""hypercorn with uvloop: the application hello."""

import asyncio
import socket

import uvloop
from http_hello import hello
from hypercorn.asyncio import serve
from hypercorn.config import Config


def main() -> None:
    """Serve until the process is stopped."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print("listening", listener.getsockname()[1], flush=True)
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.loglevel = "WARNING"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(hello, config))


if __name__ == "__main__":
    main()
