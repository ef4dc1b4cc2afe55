"""Asking the kernel over netlink: requests out, answers in; what they mean is for ``wire`` to say."""

from __future__ import annotations

from contextlib import closing
from typing import Final, Protocol

from portside.errors import LocalError
from portside.net.sockets import MSG_TRUNC, open_netlink, translate

READ_BYTES: Final = 65_536  # the kernel fills reads of up to 32 KiB: net/netlink/af_netlink.c, netlink_dump
ANSWER_S: Final = 5.0  # the kernel answers at once; whoever waits longer waits for ever


class Reader(Protocol):
    """What gathers an answer, like ``wire.netlink.DumpReader``."""

    @property
    def is_done(self) -> bool: ...

    def feed(self, data: bytes) -> None: ...


def ask(protocol: int, request: bytes, reader: Reader) -> None:
    """Send one request and feed the answer to the reader, read by read, until it is done.

    Raises: LocalError where there is no netlink, or when the kernel does not answer; and what the reader raises.
    """
    with closing(open_netlink(protocol)) as sock:
        sock.settimeout(ANSWER_S)
        try:
            sock.sendall(request)
            while not reader.is_done:
                data, _, flags, _ = sock.recvmsg(READ_BYTES)
                if flags & MSG_TRUNC or not data:
                    raise LocalError("netlink: the kernel's answer was cut off")
                reader.feed(data)
        except TimeoutError as error:
            raise LocalError(f"netlink: the kernel did not answer within {ANSWER_S:g} s") from error
        except OSError as error:
            raise translate(error, "netlink") from error
