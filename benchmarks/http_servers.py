"""The HTTP servers that are compared: how each is set up and started."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ftp_servers import free_port, wait_until_accepting
from portside.cli.rig.servers import NotAvailable, Server, last_line, portside_server, start, stop_process
from servers import HERE, peer_server

OURS = "portside"
NGINX, STARLETTE, AIOHTTP = "nginx", "uvicorn+starlette", "aiohttp"
UVICORN, HYPERCORN = "uvicorn", "hypercorn"
FILE_SERVERS = (NGINX, OURS, STARLETTE, AIOHTTP)
HELLO_SERVERS = (UVICORN, OURS, HYPERCORN)

# As Debian configures it, but for what concerns the measurement: one process, no log, connections that last.
NGINX_CONF = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    default_type application/octet-stream;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {root};
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts HTTP servers on one core: of a tree of files, or with ``root`` None of the application that says hello."""

    root: Path | None
    folder: Path  # for what they need beside it
    python: str
    core: int

    @contextlib.contextmanager
    def started(self, name: str) -> Iterator[Server]:
        """Start the server of that name, and stop it afterwards.

        Raises: NotAvailable if a program, a library or the server itself is not there.
        """
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=name) as own, self._serving(name, Path(own)) as server:
            yield server

    def _serving(self, name: str, own: Path) -> contextlib.AbstractContextManager[Server]:
        if name == OURS:
            what = ("asgi", "http_hello:hello") if self.root is None else ("http", str(self.root))
            folder = HERE / "peers"
            return portside_server(name, "serve", *what, core=self.core, python=self.python, folder=folder)
        if name == NGINX:
            return self._nginx(own)
        script = {STARLETTE: "uvicorn", UVICORN: "uvicorn", AIOHTTP: "aiohttp", HYPERCORN: "hypercorn"}[name]
        files = [] if self.root is None else [str(self.root)]
        return peer_server(name, [self.python, str(HERE / "peers" / f"http_{script}.py"), *files], core=self.core)

    @contextlib.contextmanager
    def _nginx(self, own: Path) -> Iterator[Server]:
        # Daemons live in sbin, which is on few people's PATH.
        program = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
        if program is None:
            raise NotAvailable("it is not installed")
        port = free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = own / "nginx.conf"
        configuration.write_text(NGINX_CONF.format(folder=own, port=port, root=self.root, user=user))
        with tempfile.TemporaryFile() as said:
            process = start([program, "-p", str(own), "-e", "stderr", "-c", str(configuration)], self.core, stderr=said)
            try:
                server = Server(NGINX, port, process)
                wait_until_accepting(server)
                if not server.is_running():
                    raise NotAvailable(last_line(said) or "it did not start")
                yield server
            finally:
                stop_process(process)
