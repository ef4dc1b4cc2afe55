"""Echo with the standard library's socketserver: a thread per connection."""

import socketserver
import sys


class Echo(socketserver.StreamRequestHandler):
    """Sends back what comes until the peer has ended its side."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        while data := self.request.recv(65_536):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    """Keeps as many visitors waiting as the other servers do; threads do not outlive it."""

    request_queue_size = 4096
    daemon_threads = True
    block_on_close = False


if __name__ == "__main__":
    with Server(("127.0.0.1", int(sys.argv[1])), Echo) as server:
        print("listening", server.server_address[1], flush=True)
        server.serve_forever()
