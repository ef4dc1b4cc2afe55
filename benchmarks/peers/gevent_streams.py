"""Echo with gevent: a greenlet per connection, in blocking style."""

import socket
import sys

from gevent.server import StreamServer


def echo(visitor: socket.socket, _address: object) -> None:
    """Send back what comes until the peer has ended its side."""
    visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := visitor.recv(65_536):
        visitor.sendall(data)


def main(port: int) -> None:
    """Serve until the process is stopped; the server closes the connection when the handler returns."""
    server = StreamServer(("127.0.0.1", port), echo, backlog=4096)
    server.start()
    print("listening", server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
