"""Echo with AnyIO's streams on the faster of its loops, uvloop."""

import sys

import anyio
from anyio.abc import SocketAttribute, SocketStream


async def echo(stream: SocketStream) -> None:
    """Send back what comes until the peer has ended its side. AnyIO's loop sets TCP_NODELAY itself."""
    async with stream:
        async for data in stream:
            await stream.send(data)


async def main(port: int) -> None:
    """Serve until the process is stopped."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port, backlog=4096)
    print("listening", listener.extra(SocketAttribute.local_port), flush=True)
    await listener.serve(echo)


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), backend="asyncio", backend_options={"use_uvloop": True})
