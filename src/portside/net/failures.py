"""What the kernel's errors mean, said once for everybody: whose fault it was, in words."""

from __future__ import annotations

import errno
from typing import Final

from portside.errors import (
    AddressInUse,
    AddressNotAvailable,
    ConnectionLost,
    LocalError,
    NetworkError,
    NotPermitted,
    OutOfDescriptors,
    PortsideError,
)

_LOST: Final = {
    errno.ECONNRESET: "the peer reset the connection",
    errno.EPIPE: "the peer has closed the connection",
    errno.ESHUTDOWN: "the connection is shut down",
    errno.ENOTCONN: "the peer is gone",
    errno.ETIMEDOUT: "the peer no longer answers",
    errno.ECONNABORTED: "the connection was aborted",
}
_NO_WAY: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "the network is unreachable",
    errno.EHOSTDOWN: "the host is down",
    errno.ENETDOWN: "the network is down",
    errno.EMSGSIZE: "the datagram is too long",
}
DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
NO_SUCH_ADDRESS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def translate(error: OSError, where: str = "") -> PortsideError:
    """Return what an error of the operating system means, the error itself as its cause.

    ``where`` names what was being used, for the sentence. Errors of TLS are told by ``net.tls_engine``.
    """
    said = _translate(error, f"{where}: " if where else "")
    said.__cause__ = error
    return said


def _translate(error: OSError, prefix: str) -> PortsideError:
    code = error.errno or 0
    words = error.strerror or str(error) or type(error).__name__
    if code in _LOST:
        return ConnectionLost(prefix + _LOST[code])
    if code in _NO_WAY:
        return NetworkError(prefix + _NO_WAY[code])
    if code == errno.EADDRINUSE:
        return AddressInUse(prefix.removesuffix(": ") or "the address")
    if code in NO_SUCH_ADDRESS:
        return AddressNotAvailable(f"{prefix}{words}")
    if code in DENIED:
        return NotPermitted(f"{prefix}{words}")
    if code in {errno.EMFILE, errno.ENFILE}:
        whose = "this process has" if code == errno.EMFILE else "the machine has"
        return OutOfDescriptors(f"{prefix}{whose} no file descriptor left")
    return LocalError(f"{prefix}{words}")
