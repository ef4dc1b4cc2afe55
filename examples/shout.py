"""Whatever you say comes back in capitals: a handler as small as they get.

portside run shout:shout --listen tcp://[::]:9000
"""

from portside import Connection


async def shout(visitor: Connection) -> None:
    async for line in visitor.lines():
        await visitor.write(line.upper() + b"\n")
