"""Certificates for tests, made anew in each session."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificate:
    """A chain and its key, as files; ``both`` holds the two in one, as some programs want them."""

    chain: Path
    key: Path
    both: Path


class Certificates:
    """An authority with its own directory. ``ca`` is its certificate, as a file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._authority = trustme.CA()
        self.ca = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, *names: str, to: str | None = None) -> Certificate:
        """Return a certificate for host names, addresses or mail addresses, in files called ``to`` or as the first."""
        issued = self._authority.issue_cert(*names)
        stem = (to or names[0]).replace("@", "-at-").replace("*", "any").replace(":", "-")
        made = Certificate(
            self.directory / f"{stem}.pem", self.directory / f"{stem}.key", self.directory / f"{stem}.both.pem"
        )
        issued.private_key_pem.write_to_path(str(made.key))
        issued.private_key_and_cert_chain_pem.write_to_path(str(made.both))
        made.chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        return made

    def client_context(self, certificate: Certificate | None = None) -> ssl.SSLContext:
        """Return a context that trusts this authority, and shows ``certificate`` where it is asked for one."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate is not None:
            context.load_cert_chain(certificate.chain, certificate.key)
        return context

    def server_context(self, certificate: Certificate) -> ssl.SSLContext:
        """Return a context that identifies a server by the certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.chain, certificate.key)
        return context
