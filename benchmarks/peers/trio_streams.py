"""Echo with Trio's streams."""

import sys
from functools import partial

import trio


async def echo(stream: trio.SocketStream) -> None:
    """Send back what comes until the peer has ended its side. Trio sets TCP_NODELAY itself."""
    async for data in stream:
        await stream.send_all(data)


async def main(port: int) -> None:
    """Serve until the process is stopped."""
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, echo, port, host="127.0.0.1", backlog=4096)
        (listener,) = await nursery.start(serve)
        print("listening", listener.socket.getsockname()[1], flush=True)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
