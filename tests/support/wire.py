"""Two TLS engines joined back to back."""

from __future__ import annotations

import ssl

from portside.net.tls import TlsEngine


class Wire:
    """Two engines and the bytes between them, cut into pieces of ``cut`` bytes (0: as they come)."""

    def __init__(self, server: TlsEngine, client: TlsEngine, cut: int = 0) -> None:
        self.server, self.client, self.cut = server, client, cut
        self.server_got = self.client_got = b""

    def carry(self, server_says: bytes = b"", client_says: bytes = b"") -> None:
        """Carry what both say, and what that makes them say, until nobody has anything left to say."""
        while server_says or client_says:
            self.client_got += self._feed(self.client, server_says)
            self.server_got += self._feed(self.server, client_says)
            server_says, client_says = self.server.pending_output(), self.client.pending_output()

    def _feed(self, engine: TlsEngine, ciphertext: bytes) -> bytes:
        size = self.cut or len(ciphertext) or 1
        return b"".join(engine.receive(ciphertext[i : i + size]) for i in range(0, len(ciphertext), size))

    def shake_hands(self) -> Wire:
        assert not self.client.handshake()
        self.carry(client_says=self.client.pending_output())
        return self


def join(server: ssl.SSLContext, client: ssl.SSLContext, cut: int = 0, server_name: str | None = "localhost") -> Wire:
    return Wire(TlsEngine(server, server_side=True), TlsEngine(client, server_side=False, server_name=server_name), cut)
