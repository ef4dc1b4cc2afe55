"""aiohttp with uvloop: a folder, by its own static route. ROOT"""

import socket
import sys

import uvloop
from aiohttp import web


def main(root: str) -> None:
    """Serve until the process is stopped."""
    application = web.Application()
    application.router.add_static("/", root)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print("listening", listener.getsockname()[1], flush=True)
    web.run_app(application, sock=listener, access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main(sys.argv[1])
