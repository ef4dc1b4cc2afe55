"""An FTP server of pyftpdlib, as its documentation sets one up with TLS: ROOT CERTIFICATE USER PASSWORD."""

import logging
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import FTPServer

EVERYTHING = "elradfmwMT"
SESSIONS_MAX = 1_000_000  # instead of 512; the load brings what it brings


def main(root: str, certificate: str, user: str, password: str) -> None:
    """Serve until the process is stopped."""
    logging.basicConfig(level=logging.WARNING)  # no record for each transfer: nobody else writes one
    authorizer = DummyAuthorizer()
    authorizer.add_user(user, password, root, perm=EVERYTHING)
    TLS_FTPHandler.authorizer = authorizer
    TLS_FTPHandler.certfile = TLS_FTPHandler.keyfile = certificate
    server = FTPServer(("127.0.0.1", 0), TLS_FTPHandler, backlog=4096)
    server.max_cons = SESSIONS_MAX
    print("listening", server.address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
