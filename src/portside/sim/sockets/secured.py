"""``ssl.SSLSocket`` over a simulated socket: what ``SSLContext.wrap_socket`` gives to blocking programs on a host.

Python's own works on a descriptor. This one is an ``ssl.SSLSocket`` by type, and does the same with OpenSSL's records
in memory: they are taken from, and put into, the simulated socket below it.
"""

from __future__ import annotations

import _socket
import errno
import os
import socket
import ssl
import time
from typing import Any, Final, NoReturn

from portside.sim.sockets.in_front import InFront
from portside.sim.sockets.sim_socket import SimSocket

RECORDS_BYTES: Final = 65_536

_wrap: Final = ssl.SSLContext.wrap_socket


class SimTlsSocket(InFront, ssl.SSLSocket):
    """See ``ssl.SSLSocket``."""

    _tls: ssl.SSLObject | None
    _came: ssl.MemoryBIO
    _goes: ssl.MemoryBIO
    _unsent: bytes
    do_handshake_on_connect: bool
    suppress_ragged_eofs: bool

    def __new__(cls, *_: Any, **__: Any) -> SimTlsSocket:
        made: SimTlsSocket = _socket.socket.__new__(cls)  # the class between makes simulated ones, or refuses
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        """Leave it to ``over``: nobody makes one by itself."""

    @classmethod
    def over(  # noqa: PLR0917 -- as SSLContext.wrap_socket has them
        cls,
        below: SimSocket,
        context: ssl.SSLContext,
        server_side: bool,
        handshakes: bool,
        ragged: bool,
        hostname: str | None,
        session: Any,
    ) -> SimTlsSocket:
        """Return a socket that takes the place of the one below, which is closed to whoever has it.

        It is closed itself if the handshake fails.
        """
        if below.type != socket.SOCK_STREAM:
            raise NotImplementedError("only stream sockets are supported")
        if server_side and hostname:
            raise ValueError("server_hostname can only be specified in client mode")
        if context.check_hostname and not server_side and not hostname:
            raise ValueError("check_hostname requires server_hostname")
        made = cls()
        made._below = below.move()
        made._context = context
        made._io_refs = 0
        made._closed = False
        made.server_side = server_side
        made.server_hostname = hostname
        made.do_handshake_on_connect = handshakes
        made.suppress_ragged_eofs = ragged
        made._session = session
        made._tls = None
        made._connected = False
        try:
            if made._below.connection is not None:
                made._begin_at_once()
        except BaseException:
            made.close()
            raise
        return made

    def _begin_at_once(self) -> None:
        self._begin()
        if self.do_handshake_on_connect:
            if self.gettimeout() == 0.0:
                raise ValueError("do_handshake_on_connect should not be specified for non-blocking sockets")
            self.do_handshake()

    def _begin(self) -> None:
        """Begin with OpenSSL, where there is a connection."""
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._unsent = b""
        self._connected = True
        self._tls = self._context.wrap_bio(
            self._came, self._goes, self.server_side, self.server_hostname, session=self._session
        )

    # ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _do(self, act: Any, *arguments: Any) -> Any:
        """Do something with OpenSSL, and move records until it is done. Raises: ssl.SSLError, OSError."""
        if self._tls is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        limit_s = self._below.gettimeout()
        ends_s = time.monotonic() + limit_s if limit_s else None  # for all of it, as OpenSSL's sockets have it
        while True:
            try:
                result = act(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                self._fill(ends_s)
            except ssl.SSLError:
                self._flush()  # an alert may tell the peer why
                raise
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        self._unsent += self._goes.read()
        while self._unsent:
            try:
                sent = self._below.send(self._unsent)
            except BlockingIOError:
                told = "The operation did not complete (write)"
                raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, told) from None
            self._unsent = self._unsent[sent:]

    def _fill(self, ends_s: float | None) -> None:
        below = self._below
        limit_s = below.gettimeout()
        try:
            if ends_s is not None:
                below.settimeout(max(ends_s - time.monotonic(), 1e-9))  # of nothing left, a moment: 0 would not block
            records = below.recv(RECORDS_BYTES)
        except BlockingIOError:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)") from None
        except TimeoutError:
            raise TimeoutError("The read operation timed out") from None
        finally:
            below.settimeout(limit_s)
        if records:
            self._came.write(records)
        else:
            self._came.write_eof()

    # ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def do_handshake(self, block: bool = False) -> None:
        assert self._tls is not None
        self._do(self._tls.do_handshake)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        if self._tls is None:
            raise ValueError("Read on closed or unwrapped SSL socket.")
        arguments = (len,) if buffer is None else (len, buffer)
        try:
            return self._do(self._tls.read, *arguments)
        except ssl.SSLZeroReturnError:
            return b"" if buffer is None else 0
        except ssl.SSLEOFError:
            if not self.suppress_ragged_eofs:
                raise
            return b"" if buffer is None else 0

    def write(self, data: Any) -> int:
        if self._tls is None:
            raise ValueError("Write on closed or unwrapped SSL socket.")
        written: int = self._do(self._tls.write, data)
        return written

    def unwrap(self) -> Any:
        """Say goodbye, wait for the peer's, and return the socket, which is from then on without TLS."""
        if self._tls is None:
            raise ValueError(f"No SSL wrapper around {self}")
        self._do(self._tls.unwrap)
        self._tls = None
        return self

    def pending(self) -> int:
        return self._tls.pending() if self._tls is not None else 0

    def getpeercert(self, binary_form: bool = False) -> Any:
        return self._asked().getpeercert(binary_form)

    def cipher(self) -> Any:
        return self._tls.cipher() if self._tls is not None else None

    def shared_ciphers(self) -> Any:
        return self._tls.shared_ciphers() if self._tls is not None else None

    def compression(self) -> str | None:
        return self._tls.compression() if self._tls is not None else None

    def version(self) -> str | None:
        return self._tls.version() if self._tls is not None else None

    def selected_alpn_protocol(self) -> str | None:
        return self._tls.selected_alpn_protocol() if self._tls is not None else None

    def selected_npn_protocol(self) -> None:
        return None

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        return self._tls.get_channel_binding(cb_type) if self._tls is not None else None

    def verify_client_post_handshake(self) -> None:
        self._asked().verify_client_post_handshake()

    def _asked(self) -> ssl.SSLObject:
        if self._tls is None:
            raise ValueError("there is no TLS yet, or no more")
        return self._tls

    @property
    def context(self) -> ssl.SSLContext:
        return self._context

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        self._context = context
        if self._tls is not None:
            self._tls.context = context  # the server's choice by the client's indication: RFC 6066 section 3

    @property
    def session(self) -> Any:
        return self._tls.session if self._tls is not None else None

    @session.setter
    def session(self, session: Any) -> None:
        self._session = session
        if self._tls is not None:
            self._tls.session = session

    @property
    def session_reused(self) -> bool | None:
        return self._tls.session_reused if self._tls is not None else None

    # ── the calls of a socket ────────────────────────────────────────────────────────────────────────────────────────

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        if self._tls is None:
            return self._below.recv(buflen, flags)
        _no_flags(flags, "recv")
        data: bytes = self.read(buflen)
        return data

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        if self._tls is None:
            return self._below.recv_into(buffer, nbytes or 0, flags)
        _no_flags(flags, "recv_into")
        with memoryview(buffer) as view:
            size = nbytes or view.nbytes or 1024
            count: int = self.read(size, view)
            return count

    def send(self, data: Any, flags: int = 0) -> int:
        if self._tls is None:
            return self._below.send(data, flags)
        _no_flags(flags, "send")
        return self.write(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self._tls is None:
            self._below.sendall(data, flags)
            return
        _no_flags(flags, "sendall")
        with memoryview(data) as view, view.cast("B") as octets:
            sent = 0
            while sent < len(octets):
                sent += self.write(octets[sent:])

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        return int(self._sendfile_use_send(file, offset, count))  # type: ignore[attr-defined]

    def sendto(self, *_: Any) -> NoReturn:
        raise ValueError(f"sendto not allowed on instances of {type(self)}")

    def recvfrom(self, *_: Any) -> NoReturn:
        raise ValueError(f"recvfrom not allowed on instances of {type(self)}")

    def recvfrom_into(self, *_: Any) -> NoReturn:
        raise ValueError(f"recvfrom_into not allowed on instances of {type(self)}")

    def connect(self, addr: Any) -> None:
        self._connect_with(lambda: self._below.connect(addr))

    def connect_ex(self, addr: Any) -> int:
        number: int = self._connect_with(lambda: self._below.connect_ex(addr))
        return number

    def _connect_with(self, connect: Any) -> Any:
        if self.server_side:
            raise ValueError("can't connect in server-side mode")
        if self._connected:
            raise ValueError("attempt to connect already-connected SSLSocket!")
        number = connect()
        if not number:
            self._begin()
            if self.do_handshake_on_connect:
                self.do_handshake()
        return number

    def accept(self) -> tuple[Any, Any]:
        sock, address = self._below.accept()
        secured = SimTlsSocket.over(
            sock, self._context, True, self.do_handshake_on_connect, self.suppress_ragged_eofs, None, None
        )
        return secured, address

    def shutdown(self, how: int) -> None:
        self._tls = None
        self._below.shutdown(how)

    def fileno(self) -> int:
        return -1 if self._closed else self._below.fileno()

    def dup(self) -> NoReturn:
        raise NotImplementedError(f"Can't dup() {type(self).__name__} instances")

    def _real_close(self, *_: Any) -> None:
        self._tls = None
        self._below.close()

    def __repr__(self) -> str:
        return f"<SimTlsSocket over {self._below!r}>"

    def __del__(self) -> None:
        """Leave it, as the socket below does."""


def _no_flags(flags: int, name: str) -> None:
    if flags:
        raise ValueError(f"non-zero flags not allowed in calls to {name}() on {SimTlsSocket}")


def wrap_socket(  # noqa: PLR0917 -- as SSLContext.wrap_socket has them
    self: ssl.SSLContext,
    sock: Any,
    server_side: bool = False,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    server_hostname: Any = None,
    session: Any = None,
) -> Any:
    """Secure a socket: a simulated one by records in memory, any other as ``ssl`` does."""
    if not isinstance(sock, SimSocket):
        return _wrap(self, sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname, session)
    name = server_hostname.decode("ascii") if isinstance(server_hostname, bytes) else server_hostname
    return SimTlsSocket.over(sock, self, server_side, do_handshake_on_connect, suppress_ragged_eofs, name, session)
