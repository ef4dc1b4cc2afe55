"""Echo with asyncio's streams: the coroutine that the standard library offers."""

import asyncio
import sys


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes until the peer has ended its side."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main(port: int) -> None:
    """Serve until the process is stopped. The loop sets TCP_NODELAY on every connection itself."""
    server = await asyncio.start_server(echo, "127.0.0.1", port, backlog=4096)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
