"""TLS against OpenSSL's own client, and against Python's."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from support import peers
from support.certificates import Certificate, Certificates
from support.client import connect, exchange, read_exactly, read_to_end
from support.server import Server
from support.waiting import WITHIN_S, wait_until

Run = Callable[..., Server]
TLS_PORT = "tls://127.0.0.1:0"


@pytest.fixture(scope="module")
def certificate(certificates: Certificates) -> Certificate:
    return certificates.issue("localhost", "127.0.0.1", to="server")


def shown_with(certificate: Certificate) -> tuple[str, ...]:
    """Return the options that give a server its certificate."""
    return ("--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key))


def s_client(server: Server, *arguments: str | Path, said: bytes = b"") -> tuple[int, bytes]:
    """Return the exit status and all words of ``openssl s_client``, half-closing after ``said``."""
    done = peers.run("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *map(str, arguments), input=said)
    return done.returncode, done.stdout + done.stderr


def test_openssl_verifies_the_certificate_and_is_answered(
    run: Run, certificates: Certificates, certificate: Certificate, model: str
) -> None:
    server = run("who", *shown_with(certificate), listen=[TLS_PORT], model=model)
    trust = ("-CAfile", certificates.ca, "-verify_return_error", "-ign_eof")
    status, said = s_client(server, *trust, "-servername", "localhost", "-verify_hostname", "localhost")
    assert status == 0, said
    assert b"Verify return code: 0 (ok)" in said
    assert re.search(rb"127\.0\.0\.1:\d+ 127\.0\.0\.1:%d \d+ TLSv1\.3 None localhost" % server.port, said)


def test_lines_come_through(run: Run, certificates: Certificates, certificate: Certificate, model: str) -> None:
    server = run("shout", *shown_with(certificate), listen=[TLS_PORT], model=model)
    context = certificates.client_context()
    text = b"".join(b"line %d\n" % number for number in range(5_000))
    with context.wrap_socket(connect(server.at()), server_hostname="localhost") as visitor:
        visitor.sendall(text)
        assert read_exactly(visitor, len(text)) == text.upper()


def test_socat_s_openssl_and_curl_s(battery: Run, certificates: Certificates, certificate: Certificate) -> None:
    server = battery("whoami", *shown_with(certificate), listen=[TLS_PORT])
    page = peers.run(
        "curl", "--silent", "--show-error", "--cacert", certificates.ca, f"https://localhost:{server.port}/"
    )
    assert page.returncode == 0, page.stderr
    assert b"127.0.0.1" in page.stdout
    target = f"OPENSSL:127.0.0.1:{server.port},cafile={certificates.ca},commonname=localhost"
    answer = peers.run("socat", "-t", WITHIN_S, "-", target, input=b"GET / HTTP/1.0\r\n\r\n")
    assert answer.stdout.startswith(b"HTTP/1.0 200 "), answer.stderr


def test_each_name_is_shown_its_own_certificate(run: Run, certificates: Certificates) -> None:
    issued = [certificates.issue(name) for name in ("one.example", "two.example", "*.three.example")]
    options = [word for one in issued for word in shown_with(one)]
    server = run("who", *options, listen=[TLS_PORT])
    for asked, shown in [
        ("one.example", "one.example"),
        ("two.example", "two.example"),
        ("a.three.example", "*.three.example"),
        ("unknown.example", "one.example"),
    ]:
        context = certificates.client_context()
        context.check_hostname = False
        with context.wrap_socket(connect(server.at()), server_hostname=asked) as visitor:
            assert subject_names(visitor) == [shown]


def subject_names(visitor: ssl.SSLSocket) -> list[str]:
    certificate = visitor.getpeercert()
    assert certificate
    return [str(value) for _, value in certificate["subjectAltName"]]


def test_application_protocols_are_agreed_on(run: Run, certificates: Certificates, certificate: Certificate) -> None:
    server = run("who", *shown_with(certificate), "--tls-alpn", "shout/2", "--tls-alpn", "shout/1", listen=[TLS_PORT])
    status, said = s_client(server, "-CAfile", certificates.ca, "-alpn", "shout/1,other", "-ign_eof")
    assert status == 0, said
    assert b"ALPN protocol: shout/1" in said
    assert b" TLSv1.3 shout/1 " in said


def test_a_client_s_certificate_is_asked_for_and_known(
    run: Run, certificates: Certificates, certificate: Certificate, model: str
) -> None:
    server = run(
        "who", *shown_with(certificate), "--tls-client-ca", str(certificates.ca), listen=[TLS_PORT], model=model
    )
    anna = certificates.issue("anna@example.org")
    shown = ("-cert", anna.chain, "-key", anna.key)
    status, said = s_client(server, "-CAfile", certificates.ca, *shown, "-ign_eof")
    assert status == 0, said
    assert b"anna@example.org" in said


def test_nobody_without_a_certificate_comes_in(
    run: Run, certificates: Certificates, certificate: Certificate, model: str
) -> None:
    server = run(
        "who", *shown_with(certificate), "--tls-client-ca", str(certificates.ca), listen=[TLS_PORT], model=model
    )
    _, said = s_client(server, "-CAfile", certificates.ca, "-ign_eof")
    assert b"127.0.0.1:" + str(server.port).encode() + b" " not in said
    server.wait_for_record(event="connection", ended="tls")


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(run: Run, certificate: Certificate, version: str) -> None:
    server = run("who", *shown_with(certificate), listen=[TLS_PORT])
    status, _ = s_client(server, version, "-cipher", "DEFAULT@SECLEVEL=0")
    assert status != 0
    record = server.wait_for_record(event="connection", ended="tls")
    assert "version" in record["detail"]


def test_version_1_2_is_welcome(run: Run, certificates: Certificates, certificate: Certificate) -> None:
    server = run("who", *shown_with(certificate), listen=[TLS_PORT])
    status, said = s_client(server, "-tls1_2", "-CAfile", certificates.ca, "-ign_eof")
    assert status == 0, said
    assert b" TLSv1.2 " in said


@pytest.mark.parametrize("said", [b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x00" * 100, b"\0" * 1_000, b"\x16"])
def test_plain_bytes_and_nonsense_are_events(run: Run, certificate: Certificate, said: bytes, model: str) -> None:
    server = run("who", *shown_with(certificate), listen=[TLS_PORT], model=model)
    with connect(server.at()) as visitor, contextlib.suppress(OSError):  # it may be over before we have said all
        visitor.sendall(said)
        visitor.shutdown(socket.SHUT_WR)
        read_to_end(visitor)
    server.wait_for_record(event="connection", ended="tls")
    assert not [one for one in server.records if one["level"] == "error"]


def test_certificates_that_change_on_disk_are_shown_within_seconds(
    run: Run, certificates: Certificates, tmp_path: Path
) -> None:
    before, after = certificates.issue("before.example"), certificates.issue("after.example")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    shutil.copy(before.chain, chain)
    shutil.copy(before.key, key)
    server = run("shout", "--tls-cert", str(chain), "--tls-key", str(key), listen=[TLS_PORT])
    context = certificates.client_context()
    context.check_hostname = False

    def shown() -> list[str]:
        with context.wrap_socket(connect(server.at()), server_hostname="x.example") as visitor:
            return subject_names(visitor)

    with context.wrap_socket(connect(server.at()), server_hostname="x.example") as old:
        assert shown() == ["before.example"]
        shutil.copy(after.key, key)
        shutil.copy(after.chain, chain)
        wait_until(lambda: shown() == ["after.example"], "the new certificate")
        old.sendall(b"still here\n")
        assert old.recv(100) == b"STILL HERE\n"


def test_a_key_of_another_certificate_is_a_mistake(run: Run, certificates: Certificates) -> None:
    one, other = certificates.issue("one.example"), certificates.issue("other.example")
    server = run("shout", "--tls-cert", str(one.chain), "--tls-key", str(other.key), listen=[TLS_PORT], listening=0)
    assert server.wait() == 2
    assert str(other.key) in server.said


def test_a_self_signed_certificate_for_development(run: Run) -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    server = run("who", "--tls-self-signed", listen=[TLS_PORT])
    status, said = s_client(server, "-servername", "localhost", "-ign_eof")
    assert status == 0, said
    assert b"self-signed certificate" in said


def test_without_a_certificate_there_is_no_tls(run: Run) -> None:
    server = run("shout", listen=[TLS_PORT], listening=0)
    assert server.wait() == 2
    assert "--tls-cert" in server.said


def test_secrets_are_logged_where_asked(
    run: Run, certificates: Certificates, certificate: Certificate, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets.keylog"
    server = run("who", *shown_with(certificate), listen=[TLS_PORT], env={"SSLKEYLOGFILE": str(secrets)})
    status, _ = s_client(server, "-CAfile", certificates.ca, "-ign_eof")
    assert status == 0
    assert "CLIENT_HANDSHAKE_TRAFFIC_SECRET" in secrets.read_text()


def test_plain_and_tls_side_by_side(run: Run, certificates: Certificates, certificate: Certificate) -> None:
    server = run("shout", *shown_with(certificate), listen=["tcp://127.0.0.1:0", TLS_PORT])
    assert exchange(server.at(scheme="tcp"), b"plain\n") == b"PLAIN\n"
    context = certificates.client_context()
    with context.wrap_socket(connect(server.at(scheme="tls")), server_hostname="localhost") as visitor:
        visitor.sendall(b"sealed\n")
        assert visitor.recv(100) == b"SEALED\n"
