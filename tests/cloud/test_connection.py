"""How connections are opened: every address of a host, proxies, and the authorities that are trusted."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import http.client
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple
from urllib.parse import urlsplit

import pytest
import trustme

from maas_usage_check.cloud import DirectTransport, Pool, Request, Response
from maas_usage_check.cloud.connection import load_authorities, open_connection
from maas_usage_check.config import load_instance
from maas_usage_check.errors import QueryError, Result

from ..conftest import FixedClock
from ..keep_alive_server import KeepAliveServer, ReceivedRequest

HOST = "modelarts.cloud.invalid"


def transport(pool: Optional[Pool] = None, **keys: Any) -> DirectTransport:
    return DirectTransport(load_instance(keys, {}, "instances[0]"), pool)


def get(url: str, transport: DirectTransport) -> Response:
    return transport(Request("GET", url, {"Host": "x"}, b""), 30)


def error_of(url: str, transport: DirectTransport) -> str:
    with pytest.raises(QueryError) as failed:
        get(url, transport)
    assert failed.value.result == Result.NETWORK
    return str(failed.value)


class Network:
    """Resolve every name to `addresses`; those of `silent` swallow packets until the timeout."""

    def __init__(self, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: List[str] = []
        self.silent: List[str] = []
        self.tried: List[Tuple[str, float]] = []
        self._clock = clock
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)
        monkeypatch.setattr(socket, "create_connection", self._create_connection)
        monkeypatch.setattr("maas_usage_check.cloud.transport.time", SimpleNamespace(monotonic=clock.now))

    def _resolve(self, host: Any, port: int, *args: Any, **kwargs: Any) -> List[Any]:
        families = {address: socket.AF_INET6 if ":" in address else socket.AF_INET for address in self.addresses}
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for address, family in families.items()]

    def _create_connection(self, address: Tuple[str, int], timeout: float) -> socket.socket:
        self.tried.append((address[0], timeout))
        if address[0] not in self.silent:
            sock = socket.socket()
            sock.connect(address)
            return sock
        self._clock.at += timeout
        raise socket.timeout("timed out")


@pytest.fixture
def network(clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(clock, monkeypatch)


def connect(url: str, clock: FixedClock) -> None:
    open_connection(urlsplit(url), None, None, clock.now() + 30).close()


def test_every_address(server: KeepAliveServer, network: Network, clock: FixedClock) -> None:
    """Families take turns, each address within its share of the remaining time."""
    network.silent = ["2001:db8::1", "2001:db8::2", "192.0.2.1"]
    network.addresses = [*network.silent, "127.0.0.1"]
    connect(server.url, clock)
    assert network.tried == [("2001:db8::1", 7.5), ("192.0.2.1", 7.5), ("2001:db8::2", 7.5), ("127.0.0.1", 7.5)]


def test_last_address(server: KeepAliveServer, network: Network, clock: FixedClock) -> None:
    """The time that a refused connection leaves belongs to the other addresses; the last error is reported."""
    network.silent, network.addresses = ["192.0.2.1"], ["127.0.0.2", "192.0.2.1"]
    server.close()
    with pytest.raises(socket.timeout):
        connect(server.url, clock)
    assert network.tried == [("127.0.0.2", 15), ("192.0.2.1", 30)]


def test_first_address(server: KeepAliveServer, network: Network, clock: FixedClock) -> None:
    """The system's preference decides which family is tried first; no other address is tried if it answers."""
    network.addresses = ["127.0.0.1", "::1"]
    connect(server.url, clock)
    assert network.tried == [("127.0.0.1", 15)]


def test_silent_ipv6(secure: KeepAliveServer, network: Network, ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose IPv6 address swallows packets is reached over IPv4, and its name is verified."""
    network.addresses, network.silent = ["::1", "127.0.0.1"], ["::1"]
    monkeypatch.setattr("maas_usage_check.cloud.direct_transport.time", SimpleNamespace(monotonic=network._clock.now))
    assert get(secure.url, transport(tls_ca_cert=ca_file)).status == 200
    assert [address for address, _ in network.tried] == ["::1", "127.0.0.1"]


def test_socket(server: KeepAliveServer) -> None:
    """Idle connections are probed, requests sent without delay, and a closed one never opened again without TLS."""
    connection = open_connection(urlsplit(server.url), None, None, time.monotonic() + 30)
    assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.close()
    with pytest.raises(http.client.NotConnected):
        connection.request("GET", "/")


@pytest.fixture
def proxy(secure: KeepAliveServer) -> Iterator[KeepAliveServer]:
    """A proxy that tunnels every host to the server with TLS."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def tunnel(request: ReceivedRequest) -> Optional[bytes]:
        with socket.create_connection(("127.0.0.1", secure.port)) as cloud:
            request.client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=pump, args=(request.client, cloud), daemon=True).start()
            pump(cloud, request.client)
        return None

    with contextlib.closing(KeepAliveServer()) as proxy:
        proxy.handler = tunnel
        yield proxy


def test_configured_proxy(proxy: KeepAliveServer, secure: KeepAliveServer, ca_file: str) -> None:
    """A configured proxy gets its password, and its tunnel is reused."""
    options = {"https": f"http://user:p%40ss@127.0.0.1:{proxy.port}"}
    with contextlib.closing(transport(tls_ca_cert=ca_file, proxy=options)) as tunneling:
        for _ in range(2):
            assert get(f"https://{HOST}/", tunneling).status == 200
    (request,) = proxy.requests
    assert (request.method, request.target) == ("CONNECT", f"{HOST}:443")
    assert request.headers["Host"] == f"{HOST}:443"
    assert request.headers["Proxy-Authorization"] == f"Basic {base64.b64encode(b'user:p@ss').decode()}"
    assert secure.connection_log == [(1, 1), (1, 2)]


def test_environment_proxy(proxy: KeepAliveServer, ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY is used unless skip_proxy or NO_PROXY excludes it."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert get(f"https://{HOST}:8443/", transport(tls_ca_cert=ca_file)).status == 200
    assert [request.target for request in proxy.requests] == [f"{HOST}:8443"]
    error_of(f"https://{HOST}/", transport(tls_ca_cert=ca_file, skip_proxy=True))
    monkeypatch.setenv("NO_PROXY", "cloud.invalid")
    error_of(f"https://{HOST}/", transport(tls_ca_cert=ca_file))
    assert len(proxy.requests) == 1


def test_no_proxy(
    proxy: KeepAliveServer, secure: KeepAliveServer, server: KeepAliveServer, ca_file: str, monkeypatch: Any
) -> None:
    """A host in `no_proxy` and plain http, which is for loopback, never use a proxy."""
    options = {"https": f"http://127.0.0.1:{proxy.port}", "no_proxy": ["localhost"]}
    assert get(secure.url, transport(tls_ca_cert=ca_file, proxy=options)).status == 200
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, options["https"])
    assert get(server.url, transport()).status == 200
    assert proxy.requests == []


def refusing(server: KeepAliveServer, status: str) -> str:
    """Let a server refuse tunnels and quote the password; return its URL as a proxy with user and password."""
    pair = base64.b64encode(b"user:planted").decode()
    server.handler = lambda request: request.client.sendall(f"HTTP/1.1 {status} {pair} planted\r\n\r\n".encode())
    return server.url.replace("//", "//user:planted@")


def test_refused_by_proxy(server: KeepAliveServer) -> None:
    """The error does not quote the proxy's text, which may echo the password."""
    error = error_of(f"https://{HOST}/", transport(proxy={"https": refusing(server, "299")}))
    assert "the proxy refused: 299)" in error
    assert "planted" not in error


@pytest.mark.parametrize(
    ("user", "says"),
    [
        (True, "refused the password in its URL (407): correct it in proxy or HTTPS_PROXY"),
        (False, "requires a password (407): write http://USER:PASSWORD@localhost:…/ in proxy or HTTPS_PROXY"),
    ],
)
def test_password_refused_by_proxy(server: KeepAliveServer, user: bool, says: str) -> None:
    url = refusing(server, "407")
    with pytest.raises(QueryError) as failed:
        get(f"https://{HOST}/", transport(proxy={"https": url if user else server.url}))
    assert failed.value.result == Result.PROXY_REFUSED
    assert str(failed.value) == f"the proxy localhost:{server.port} {says.replace('…/', str(server.port))}"
    assert len(server.requests) == 1


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., str]:
    def write(authority: trustme.CA) -> str:
        path = tmp_path / "bundle.pem"
        authority.cert_pem.write_to_path(str(path))
        return str(path)

    return write


@pytest.fixture
def hashed(tmp_path: Path) -> Callable[..., str]:
    def make(*authorities: trustme.CA) -> str:
        folder = tmp_path / "certs"
        folder.mkdir()
        for i, each in enumerate(authorities):
            each.cert_pem.write_to_path(str(folder / f"{i}.pem"))
        subprocess.run(["openssl", "rehash", str(folder)], check=True)
        return str(folder)

    return make


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_to(file: str = "", folder: str = "") -> None:
        for name, value in (("SSL_CERT_FILE", file), ("SSL_CERT_DIR", folder)):
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)

    return set_to


def connections(server: KeepAliveServer, *transports: DirectTransport) -> int:
    """Send a request over each transport; return how many connections they took."""
    before = len(server.clients)
    for each in transports:
        assert get(server.url, each).status == 200
        each.close()
    return len(server.clients) - before


def loaded() -> Dict[str, int]:
    """Count the certificates that are read at once."""
    return load_authorities(None, True, with_bundle=False).cert_store_stats()


def test_hashed_directory(secure: KeepAliveServer, authority: trustme.CA, hashed: Any, environment: Any) -> None:
    """A host that the hashed directory verifies needs no bundle, also if the environment names the system's own."""
    environment(file=ssl.get_default_verify_paths().openssl_cafile, folder=hashed(authority, trustme.CA()))
    assert not any(loaded().values())
    assert connections(secure, transport()) == 1


def test_bundle_on_demand(
    secure: KeepAliveServer, authority: trustme.CA, hashed: Any, bundle: Any, environment: Any, monkeypatch: Any
) -> None:
    """A host that only the system's bundle verifies costs one more connection, once for the instances of a pool."""
    environment(file=bundle(authority), folder=hashed(trustme.CA()))
    system = ssl.get_default_verify_paths()._replace(openssl_cafile=os.environ["SSL_CERT_FILE"])
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: system)
    assert not any(loaded().values())
    pool = Pool()
    assert connections(secure, transport(pool)) == 2
    assert connections(secure, transport(pool)) == 1


def test_unknown_authority(secure: KeepAliveServer, hashed: Any, environment: Any) -> None:
    environment(folder=hashed(trustme.CA()))
    error = error_of(secure.url, transport())
    assert "the TLS certificate is not trusted" in error
    assert "set tls_ca_cert" in error
    assert secure.requests == []


def test_wrong_host_name(secure: KeepAliveServer, ca_file: str) -> None:
    url = secure.url.replace("localhost", "127.0.0.1")
    assert "the TLS certificate is not trusted" in error_of(url, transport(tls_ca_cert=ca_file))


def test_directory_without_hashes(tmp_path: Path, environment: Any) -> None:
    """A directory in which OpenSSL finds nothing does not replace the bundle."""
    environment(folder=str(tmp_path))
    (tmp_path / "0123456.0").touch()
    assert loaded() == ssl.create_default_context().cert_store_stats()


@pytest.mark.parametrize(
    ("file", "folder", "configured", "trusted"),
    [
        ("own", "other", "", True),  # a bundle that the environment names is loaded at once
        ("other", "other", "", False),
        ("", "other", "own", True),  # a configured authority overrides the environment's
        ("", "own", "other", False),
    ],
)
def test_named_bundle(
    secure: KeepAliveServer,
    authority: trustme.CA,
    hashed: Any,
    bundle: Any,
    environment: Any,
    file: str,
    folder: str,
    configured: str,
    trusted: bool,
) -> None:
    """A bundle that is named is loaded at once, and only its authorities are trusted."""
    named = {"own": authority, "other": trustme.CA()}
    environment(file=bundle(named[file]) if file else "", folder=hashed(named[folder]))
    client = transport(**({"tls_ca_cert": bundle(named[configured])} if configured else {}))
    if trusted:
        assert connections(secure, client) == 1
    else:
        error_of(secure.url, client)


def test_configured_directory(secure: KeepAliveServer, authority: trustme.CA, hashed: Any) -> None:
    assert connections(secure, transport(tls_ca_cert=hashed(authority))) == 1


def test_without_verification(secure: KeepAliveServer) -> None:
    """With tls_verify false, no authorities are loaded."""
    assert connections(secure, transport(tls_verify=False)) == 1
    assert load_authorities(None, False, with_bundle=False).cert_store_stats()["x509"] == 0


def test_replaced_authorities(secure: KeepAliveServer, authority: trustme.CA, bundle: Any) -> None:
    """A file that was replaced in place is read again by the request that needs it."""
    path, pool = bundle(trustme.CA()), Pool()
    client, other = transport(pool, tls_ca_cert=path), transport(pool, tls_ca_cert=path)
    error_of(secure.url, client)
    Path(path).write_text("half a file")
    expected = f"tls_ca_cert: {path} cannot be read as certificates; name a PEM file"
    assert error_of(secure.url, client) == expected
    bundle(authority)
    assert connections(secure, client, other) == 2 + 1


def without_key_identifier(folder: Path) -> Tuple[str, str, str]:
    """Write an authority, and a certificate and its key that lack an Authority Key Identifier; return their paths."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def certificate(name: str, issuer: str, own_key: Any, signing_key: Any, is_authority: bool) -> Any:
        begin = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=1)
        usage = {"key_cert_sign": is_authority, "crl_sign": is_authority, "digital_signature": True}
        others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
        builder = (
            x509.CertificateBuilder(
                x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]),
                x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
                own_key.public_key(),
                x509.random_serial_number(),
                begin,
                begin + dt.timedelta(days=2),
            )
            .add_extension(x509.BasicConstraints(is_authority, None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own_key.public_key()), False)
            .add_extension(x509.KeyUsage(**usage, **dict.fromkeys((*others, "decipher_only"), False)), True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        )
        return builder.sign(signing_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority_key, own_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    contents = {
        "authority.pem": certificate("company", "company", authority_key, authority_key, is_authority=True),
        "own.pem": certificate("localhost", "company", own_key, authority_key, is_authority=False),
        "key.pem": own_key.private_bytes(*form),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    authority, own, key = (str(folder / name) for name in contents)
    return authority, own, key


@pytest.mark.skipif(sys.version_info < (3, 13), reason="older Pythons accept it")
def test_strict_certificate(tmp_path: Path) -> None:
    """A certificate that only the strict mode of Python 3.13 refuses is described as that."""
    authority, own, key = without_key_identifier(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    with contextlib.closing(KeepAliveServer(context)) as server:
        assert error_of(server.url, transport(tls_ca_cert=authority)) == (
            f"localhost:{server.port}: the TLS certificate breaks RFC 5280 (Missing Authority Key Identifier), which "
            "Python 3.13 checks: have its authority, or the proxy's, issued again with what is missing"
        )
