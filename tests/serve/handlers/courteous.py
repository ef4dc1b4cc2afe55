"""A protocol with words for sending visitors away, and handlers that tell about their process."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from portside import Battery, Connection, Message, PlainConnection


async def greet(visitor: Connection) -> None:
    """Greet, then give each line back."""
    await visitor.write(b"220 hello\r\n")
    async for line in visitor.lines():
        await visitor.write(b"250 " + line + b"\r\n")


def goodbye(why: str) -> bytes:
    return f"421 {why}\r\n".encode()


battery = Battery("courteous", stream=greet, refusal=goodbye)


async def describe(visitor: Connection) -> None:
    """Tell who this process is, and what its open descriptors are."""
    ids = f"{os.getpid()} {os.getuid()} {os.getgid()} {sorted(os.getgroups())}"
    descriptors = []
    for entry in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            descriptors.append(f"{entry}={os.readlink(f'/proc/self/fd/{entry}')}")
        except OSError:
            continue  # the listing's own
    await visitor.write("\n".join([ids, *descriptors]).encode())


was_few = False


async def few_descriptors(visitor: Connection) -> None:
    """Leave this process three descriptors more than it has, then echo."""
    global was_few
    if not was_few:
        was_few = True
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3, used + 3))
        await visitor.write(b"few\n")
    async for data in visitor:
        await visitor.write(data)


def orphan(visitor: PlainConnection) -> None:
    """Start a grandchild whose parent ends at once, and tell the grandchild's pid."""
    script = "import os; pid = os.fork(); pid and (print(pid, flush=True), os._exit(0)); input()"
    child = subprocess.run([sys.executable, "-c", script], stdin=subprocess.PIPE, capture_output=True, check=False)
    visitor.write(child.stdout)


async def vanish(visitor: Connection) -> None:
    """End the process as if all were well."""
    os._exit(0)


async def count(message: Message) -> None:
    """Answer with as many bytes as the datagram asks for."""
    await message.reply(b"x" * int(message.data))
