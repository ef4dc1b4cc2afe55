"""Sessions that are resumed: only under the context they were made under, though the certificates are the same."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from portside.net.tls import ServerTls, client_context, server_context
from portside.net.tls_engine import TlsEngine
from support.wire import Wire

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
NAMES = ("one.example", "two.example")


class Site:
    """A server with a certificate for each name, and the client that trusts it."""

    def __init__(self, directory: Path, version: ssl.TLSVersion, *, client_ca: bool = False) -> None:
        authority = trustme.CA()
        self.directory = directory
        self.authority = authority
        self.ca = self._write("ca.pem", authority.cert_pem.bytes())
        self.tls = server_context(
            [self.issue(name) for name in NAMES], client_ca=self.ca if client_ca else None, alpn=["ftp"]
        )
        certificate = self.issue("anna@example.org") if client_ca else None
        self.client = client_context(self.ca, alpn=["ftp"], certificate=certificate)
        self.client.maximum_version = version

    def issue(self, name: str) -> tuple[str, str]:
        issued = self.authority.issue_cert(name)
        chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
        return self._write(f"{name}.pem", chain), self._write(f"{name}.key", issued.private_key_pem.bytes())

    def _write(self, name: str, data: bytes) -> str:
        path = self.directory / name
        path.write_bytes(data)
        return str(path)

    def meet(self, context: ssl.SSLContext, name: str, resume: TlsEngine | None = None) -> TlsEngine:
        """Return the client's end of a connection on which the server has said something."""
        server = TlsEngine(context, server_side=True)
        session = None if resume is None else resume.session
        client = TlsEngine(self.client, server_side=False, server_name=name, session=session)
        wire = Wire(server, client).shake_hands()
        assert client.receive(server.send(b"220")) == b"220"  # a ticket of TLS 1.3 comes with it
        assert wire.server.state.resumed is client.state.resumed
        return client


def names_in(engine: TlsEngine) -> set[str]:
    shown = engine.state.peer_certificate
    assert shown is not None
    return {value for kind, value in shown["subjectAltName"] if kind == "DNS"}


@pytest.fixture(params=VERSIONS, ids=[version.name for version in VERSIONS])
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return ssl.TLSVersion(request.param)


@pytest.mark.parametrize("client_ca", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_session_resumes_where_it_was_made_and_nowhere_else(
    tmp_path: Path, version: ssl.TLSVersion, name: str, client_ca: bool
) -> None:
    site = Site(tmp_path, version, client_ca=client_ca)
    contexts = [site.tls.context, site.tls.new_context(), site.tls.new_context()]
    for made_under in contexts:
        first = site.meet(made_under, name)
        assert not first.state.resumed
        assert names_in(first) == {name}
        for context in contexts:
            again = site.meet(context, name, resume=first)
            assert again.state.resumed is (context is made_under)
            assert names_in(again) == {name}
            assert again.state.alpn == "ftp"


def test_a_session_resumes_as_often_as_it_is_asked_for(tmp_path: Path, version: ssl.TLSVersion) -> None:
    site = Site(tmp_path, version)
    context = site.tls.new_context()
    first = site.meet(context, NAMES[0])
    assert all(site.meet(context, NAMES[0], resume=first).state.resumed for _ in range(5))


def test_a_new_context_shows_what_was_loaded_last(tmp_path: Path, version: ssl.TLSVersion) -> None:
    site = Site(tmp_path, version)
    context = site.tls.new_context()
    before = site.meet(context, NAMES[0]).state.peer_certificate
    site.issue(NAMES[0])
    site.tls.reload()
    after = site.meet(context, NAMES[0]).state.peer_certificate
    assert before is not None
    assert after is not None
    assert before["serialNumber"] != after["serialNumber"]


def test_a_new_context_of_a_self_signed_certificate(tmp_path: Path, version: ssl.TLSVersion) -> None:
    tls: ServerTls = server_context(self_signed=True)
    client = client_context(insecure=True)
    client.maximum_version = version
    wire = Wire(
        TlsEngine(tls.new_context(), server_side=True), TlsEngine(client, server_side=False, server_name="localhost")
    )
    wire.shake_hands()
    assert wire.client.state.version == version.name.replace("TLSv1_", "TLSv1.")


def test_who_shows_no_certificate_of_its_own_is_refused_by_a_new_context_too(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    site = Site(tmp_path, version, client_ca=True)
    site.client = client_context(site.ca)
    site.client.maximum_version = version
    with pytest.raises(Exception, match="certificate"):
        site.meet(site.tls.new_context(), NAMES[0])
