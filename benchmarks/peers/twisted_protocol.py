"""Echo as a Twisted protocol on the reactor that Twisted chooses."""

import sys

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol


class Echo(Protocol):
    """Sends back what comes; the transport is its own producer, so reading stops while writing waits."""

    def connectionMade(self) -> None:  # noqa: N802 - Twisted names it
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted names it
        self.transport.write(data)

    def connectionLost(self, reason: object) -> None:  # noqa: N802 - Twisted names it
        self.transport.unregisterProducer()


def main(port: int) -> None:
    """Serve until the process is stopped."""
    listening = reactor.listenTCP(port, Factory.forProtocol(Echo), backlog=4096, interface="127.0.0.1")
    print("listening", listening.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
