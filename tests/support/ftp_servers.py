"""FTP servers of other people, each on a port of its own; a test whose server is missing is skipped by its name."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.certificates import Certificate
from support.listener import Listener
from support.peers import program
from support.waiting import WITHIN_S


@dataclass(frozen=True, slots=True)
class FtpServer:
    """A running server: the URL of its root for somebody who may do everything there, and that root here."""

    url: str
    root: Path


_VSFTPD = """
listen=NO
listen_ipv6=NO
background=NO
run_as_launching_user=YES
anonymous_enable=YES
local_enable=NO
anon_root={root}
anon_umask=022
anon_world_readable_only=NO
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
connect_from_port_20=NO
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
"""

_VSFTPD_TLS = """
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
ssl_ciphers=HIGH
rsa_cert_file={certificate}
"""


@contextlib.contextmanager
def vsftpd(directory: Path, certificate: Certificate | None = None) -> Iterator[FtpServer]:
    """Serve a directory by vsftpd, as inetd would start it: a process for each visitor, on a socket of ours."""
    path = program("vsftpd")
    root = directory / "root"
    root.mkdir()
    settings = _VSFTPD.format(root=root)
    if certificate is not None:
        settings += _VSFTPD_TLS.format(certificate=certificate.both)
    (directory / "vsftpd.conf").write_text(settings.lstrip(), encoding="ascii")

    def talk(connection: socket.socket) -> None:
        connection.setblocking(True)
        streams = {"stdin": connection, "stdout": connection, "stderr": subprocess.DEVNULL}
        subprocess.run([path, str(directory / "vsftpd.conf")], **streams, timeout=WITHIN_S, check=False)  # type: ignore[call-overload]

    with Listener(talk) as listener:
        scheme = "ftp" if certificate is None else "ftpes"
        yield FtpServer(f"{scheme}://localhost:{listener.port}/", root)


_PYFTPDLIB = """
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

root, certificate = sys.argv[1:]
authorizer = DummyAuthorizer()
authorizer.add_user("anna", "secret", root, perm="elradfmwMT")
handler = FTPHandler
if certificate:
    from pyftpdlib.handlers import TLS_FTPHandler as handler
    handler.certfile = certificate
    handler.tls_control_required = handler.tls_data_required = True
handler.authorizer = authorizer
server = FTPServer(("127.0.0.1", 0), handler)
print(server.address[1], flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def pyftpdlib(directory: Path, certificate: Certificate | None = None) -> Iterator[FtpServer]:
    """Serve a directory by pyftpdlib, in a process of its own."""
    for package in ("pyftpdlib", *(("OpenSSL",) if certificate else ())):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    root = directory / "root"
    root.mkdir()
    both = "" if certificate is None else str(certificate.both)
    process = subprocess.Popen(
        [sys.executable, "-c", _PYFTPDLIB, str(root), both],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ),
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        scheme = "ftp" if certificate is None else "ftpes"
        yield FtpServer(f"{scheme}://anna:secret@localhost:{port}/", root)
    finally:
        process.kill()
        process.communicate()
