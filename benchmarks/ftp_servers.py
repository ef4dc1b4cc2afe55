"""The FTP servers that are compared: how each is set up and started."""

from __future__ import annotations

import contextlib
import ftplib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ftp_load import TLS_LIBRARIES, C
from portside.cli.rig.load import compile_c
from portside.cli.rig.servers import NotAvailable, Server, last_line, portside_server, start, stop_process
from portside.errors import MissingExtra
from portside.net.certificates import make_self_signed
from servers import HERE, READY_S_MAX, peer_server

REFERENCE = "c"
OURS = "portside"
VSFTPD, PROFTPD, PYFTPDLIB = "vsftpd", "proftpd", "pyftpdlib"
NAMES = (REFERENCE, OURS, VSFTPD, PROFTPD, PYFTPDLIB)

USER, PASSWORD = "anna", "secret"
# SHA-512 crypt(3) of the password with its usual 5,000 rounds, for the peers that check one.
PASSWORD_HASH = "$6$portside$KLFRx0B3HwGysvEzfweDPevnI6o9//eu.sLVlD70jF3Sb1MjsXYuBSZ1LucNlus7VxjFiCNGGwdKMMNSGPNgo1"
NOBODY = 65534  # whom the peers that change their user become: Debian's nobody and nogroup
LOOK_AGAIN_S = 0.02

# vsftpd knows its users from PAM and /etc/passwd, so it gets both of its own in a mount namespace: nobody else sees
# them, and they are gone with the server.
OWN_USERS = (
    'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/shadow" /etc/shadow && '
    'mount --bind "$1/pam.d" /etc/pam.d && shift && exec "$@"'
)
PAM = "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n"
VSFTPD_CONF = """\
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
local_root={root}
chroot_local_user=YES
allow_writeable_chroot=YES
check_shell=NO
secure_chroot_dir={folder}/empty
xferlog_enable=NO
max_per_ip=0
max_clients=0
ssl_enable=YES
force_local_logins_ssl=NO
force_local_data_ssl=NO
rsa_cert_file={certificate}
rsa_private_key_file={certificate}
ssl_ciphers=HIGH
"""
PROFTPD_CONF = """\
ModulePath {modules}
LoadModule mod_tls.c
ServerName bench
ServerType standalone
DefaultAddress 127.0.0.1
Port {port}
UseIPv6 off
UseReverseDNS off
User nobody
Group nogroup
MaxInstances none
AuthOrder mod_auth_file.c
AuthUserFile {folder}/users
RequireValidShell off
DefaultRoot ~
AllowOverwrite on
DelayEngine off
UseSendfile on
PidFile {folder}/pid
ScoreboardFile {folder}/scoreboard
SystemLog none
TransferLog none
WtmpLog off
TLSEngine on
TLSRequired off
TLSLog none
TLSProtocol TLSv1.2 TLSv1.3
TLSECCertificateFile {certificate}
TLSECCertificateKeyFile {certificate}
"""


def make_certificate(folder: Path) -> Path:
    """Return a file with a certificate and its key, which every server uses. Raises: NotAvailable."""
    path = folder / "certificate.pem"
    path.touch(mode=0o600)
    try:
        path.write_bytes(make_self_signed())
    except MissingExtra as error:
        raise NotAvailable(str(error)) from error
    return path


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts FTP servers of one tree of files on one core. Anna may do everything there; her password is secret."""

    root: Path
    folder: Path  # for what they need beside it
    certificate: Path
    python: str
    peers: Path | None  # with packages unpacked, that are not installed
    core: int
    congestion: str | None

    @contextlib.contextmanager
    def started(self, name: str) -> Iterator[Server]:
        """Start the server of that name, and stop it afterwards.

        Raises: NotAvailable if a program, a library, a compiler or a right is not there.
        """
        with (
            tempfile.TemporaryDirectory(dir=self.folder, prefix=name) as own,
            self._serving(name, Path(own)) as server,
        ):
            log_in_once(server)
            yield server

    def _serving(self, name: str, own: Path) -> contextlib.AbstractContextManager[Server]:
        if name == OURS:
            login = ("--login", f"{USER}:{PASSWORD}")
            tls = ("--tls-cert", str(self.certificate), "--tls-key", str(self.certificate))
            return portside_server(
                name, "serve", "ftp", str(self.root), *login, *tls, core=self.core, python=self.python
            )
        if name == REFERENCE:
            congestion = [self.congestion] if self.congestion else []
            files = [str(self.root), str(self.certificate), str(self.certificate)]
            return peer_server(name, [str(self._compiled()), *files, *congestion], core=self.core)
        if name == PYFTPDLIB:
            script = HERE / "peers" / "ftp_pyftpdlib.py"
            command = [self.python, str(script), str(self.root), str(self.certificate), USER, PASSWORD]
            return peer_server(name, command, core=self.core)
        return self._serving_as_root(name, own)

    def _compiled(self) -> Path:
        source, program = C / "ftp_server.c", self.folder / "ftp_server"
        return program if program.exists() else compile_c(source, self.folder, str(C / "ftp_stream.c"), *TLS_LIBRARIES)

    @contextlib.contextmanager
    def _serving_as_root(self, name: str, own: Path) -> Iterator[Server]:
        """Run one that changes its user: it needs to be root, and a port that is told beforehand."""
        if os.geteuid() != 0:
            raise NotAvailable("it needs to be started by root")
        port = free_port()
        command = {VSFTPD: self._vsftpd, PROFTPD: self._proftpd}[name](own, port)
        with tempfile.TemporaryFile() as said:
            process = start(command, self.core, stderr=said)
            try:
                server = Server(name, port, process)
                wait_until_accepting(server)
                if not server.is_running():
                    raise NotAvailable(last_line(said) or "it did not start")
                yield server
            finally:
                stop_process(process)

    def _vsftpd(self, own: Path, port: int) -> list[str]:
        program = self._command(VSFTPD)
        (own / "empty").mkdir(mode=0o555)
        (own / "pam.d").mkdir()
        for service in ("vsftpd", "ftp"):  # Debian's default, and the one of the authors
            (own / "pam.d" / service).write_text(PAM)
        user = f"{USER}:x:{NOBODY}:{NOBODY}::{self.root}:/bin/sh\n"
        (own / "passwd").write_text(Path("/etc/passwd").read_text() + user)
        (own / "shadow").touch(mode=0o600)
        (own / "shadow").write_text(f"{USER}:{PASSWORD_HASH}:20000::::::\n")
        configuration = own / "vsftpd.conf"
        configuration.write_text(self._filled(VSFTPD_CONF, own, port))
        return ["unshare", "--mount", "sh", "-c", OWN_USERS, "sh", str(own), *program, str(configuration)]

    def _proftpd(self, own: Path, port: int) -> list[str]:
        *program, path = self._command(PROFTPD)
        own.chmod(0o755)
        (own / "users").touch(mode=0o600)
        (own / "users").write_text(f"{USER}:{PASSWORD_HASH}:{NOBODY}:{NOBODY}::{self.root}:/bin/sh\n")
        configuration = own / "proftpd.conf"
        modules = Path(path).parents[1] / "lib" / "proftpd"
        if not (modules / "mod_tls.so").exists():
            raise NotAvailable("its module mod_tls is not installed (Debian: proftpd-mod-crypto)")
        configuration.write_text(self._filled(PROFTPD_CONF, own, port, modules=modules))
        return [*program, path, "--nodaemon", "--quiet", "--config", str(configuration)]

    def _filled(self, text: str, own: Path, port: int, **more: Path) -> str:
        return text.format(folder=own, port=port, root=self.root, certificate=self.certificate, **more)

    def _command(self, name: str) -> list[str]:
        """Return how the program is called: with the libraries that were unpacked beside it, if it was."""
        # Daemons live in sbin, which is on few people's PATH.
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
        if (installed := shutil.which(name, path=path)) is not None:
            return [installed]
        if self.peers is None or not (unpacked := self.peers.resolve() / "usr" / "sbin" / name).exists():
            raise NotAvailable("it is not installed")
        libraries = os.pathsep.join(map(str, self.peers.resolve().glob("**/lib/*-linux-gnu")))
        return ["env", f"LD_LIBRARY_PATH={libraries}", str(unpacked)]


def free_port() -> int:
    """Return a port of the loopback that nobody listens on; in a network of our own it stays so."""
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        port: int = any_socket.getsockname()[1]
        return port


def wait_until_accepting(server: Server) -> None:
    """Wait until somebody listens on the server's port, or the server has ended. Raises: NotAvailable if neither."""
    deadline_s = time.monotonic() + READY_S_MAX
    while server.is_running() and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), READY_S_MAX):
            return
        time.sleep(LOOK_AGAIN_S)
    if server.is_running():
        raise NotAvailable("it does not listen")


def log_in_once(server: Server) -> None:
    """Log in as the load will; a server that does not let it in is not measured. Raises: NotAvailable."""
    try:
        with ftplib.FTP(timeout=READY_S_MAX) as visit:
            visit.connect("127.0.0.1", server.port)
            visit.login(USER, PASSWORD)
    except ftplib.all_errors as error:
        raise NotAvailable(f"no login: {error}") from error
