"""uvicorn with uvloop and httptools: a folder through Starlette's StaticFiles, or without ROOT hello."""

import socket
import sys

import uvicorn
from http_hello import hello


def main(root: str | None = None) -> None:
    """Serve until the process is stopped."""
    application = hello
    if root is not None:
        from starlette.staticfiles import StaticFiles

        application = StaticFiles(directory=root)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print("listening", listener.getsockname()[1], flush=True)
    config = uvicorn.Config(application, loop="uvloop", http="httptools", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
