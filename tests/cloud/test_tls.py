"""Which authorities are trusted: the hashed directory, then the bundle, and no others."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
import trustme

from maas_usage_check.cloud import DirectTransport, Request
from maas_usage_check.cloud.tls import load_trust
from maas_usage_check.config import load_instance
from maas_usage_check.errors import QueryError, Result

from ..keep_alive_server import KeepAliveServer


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


def count_connections(server: KeepAliveServer, *transports: DirectTransport) -> int:
    """Send a request over each transport; return the number of connections so far."""
    for transport in transports:
        assert transport(Request("GET", server.url, {"Host": "x"}, b""), 30).status == 200
        transport.close()
    return len(server.clients)


def transport(**keys: Any) -> DirectTransport:
    return DirectTransport(load_instance(keys, {}, "instances[0]"))


def refusal(server: KeepAliveServer, transport: DirectTransport) -> str:
    with pytest.raises(QueryError) as failed:
        transport(Request("GET", server.url, {"Host": "x"}, b""), 30)
    assert failed.value.result == Result.NETWORK
    assert server.requests == []
    return str(failed.value)


def test_hashed_directory(secure: KeepAliveServer, authority: trustme.CA, hashed: Any, environment: Any) -> None:
    """A host that the hashed directory verifies needs no bundle."""
    environment(folder=hashed(authority, trustme.CA()))
    assert count_connections(secure, transport()) == 1
    trust = load_trust(None, True)
    assert trust.is_directory_only
    assert trust.context.cert_store_stats()["x509_ca"] == 1  # only the authority that was looked up


def test_bundle_loaded_on_demand(
    secure: KeepAliveServer, authority: trustme.CA, hashed: Any, bundle: Any, environment: Any
) -> None:
    """A host that only the bundle verifies costs one more connection."""
    environment(folder=hashed(trustme.CA()))
    one, other = transport(), transport()
    # This file plays the system's bundle: set earlier, it would have been loaded at once.
    environment(file=bundle(authority))
    assert count_connections(secure, one) == 2
    assert count_connections(secure, other) == 3, "the loaded bundle is shared"


def test_unknown_authority(secure: KeepAliveServer, hashed: Any, bundle: Any, environment: Any) -> None:
    """A certificate is refused if neither directory nor bundle has its authority."""
    environment(folder=hashed(trustme.CA()))
    transport_of_directory = transport()
    environment(file=bundle(trustme.CA()))
    for _ in range(2):
        text = refusal(secure, transport_of_directory)
        assert "the TLS certificate is not trusted" in text
        assert "set tls_ca_cert" in text
    assert len(secure.clients) == 3


def test_wrong_host_name(secure: KeepAliveServer, authority: trustme.CA, hashed: Any, environment: Any) -> None:
    """A certificate for another name is refused at once."""
    environment(folder=hashed(authority))
    secure.url = secure.url.replace("localhost", "127.0.0.1")
    assert "the TLS certificate is not trusted" in refusal(secure, transport())
    assert len(secure.clients) == 1


def test_system_bundle_in_environment(hashed: Any, environment: Any) -> None:
    """SSL_CERT_FILE may name the system's own bundle; it is not loaded then."""
    environment(file=ssl.get_default_verify_paths().openssl_cafile, folder=hashed(trustme.CA()))
    assert load_trust(None, True).is_directory_only


def test_directory_without_hashes(
    secure: KeepAliveServer, authority: trustme.CA, tmp_path: Path, environment: Any
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    environment(folder=str(tmp_path))
    assert not load_trust(None, True).is_directory_only
    refusal(secure, transport())


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
        assert count_connections(secure, client) == 1
    else:
        refusal(secure, client)
        assert len(secure.clients) == 1


def test_configured_directory(secure: KeepAliveServer, authority: trustme.CA, hashed: Any) -> None:
    assert count_connections(secure, transport(tls_ca_cert=hashed(authority))) == 1


def test_without_verification(secure: KeepAliveServer, environment: Any) -> None:
    """With tls_verify false, no authorities are loaded."""
    environment()
    assert count_connections(secure, transport(tls_verify=False)) == 1
    assert load_trust(None, False).context.cert_store_stats()["x509"] == 0


def test_shared_context(hashed: Any, bundle: Any, environment: Any) -> None:
    """Instances with the same authorities share one context."""
    authority = trustme.CA()
    environment(folder=hashed(authority))
    shared = load_trust(None, True)
    assert load_trust(None, True) is shared
    assert load_trust(None, False) is not shared
    environment(file=bundle(authority), folder=os.environ["SSL_CERT_DIR"])
    assert load_trust(None, True) is not shared


def test_replaced_authorities(secure: KeepAliveServer, authority: trustme.CA, bundle: Any) -> None:
    """A file that was replaced in place is loaded again by the request that needs it, an unchanged file is not."""
    path = Path(bundle(trustme.CA()))
    client, other = transport(tls_ca_cert=str(path)), transport(tls_ca_cert=str(path))
    for _ in range(2):
        refusal(secure, client)
    assert len(secure.clients) == 2, "no request connected twice"
    before = load_trust(str(path), True)
    path.write_text("half a file")
    assert refusal(secure, client) == f"tls_ca_cert: {path} cannot be read as certificates; name a PEM file"
    bundle(authority)
    assert count_connections(secure, client, other) == 3 + 2 * 2
    assert load_trust(str(path), True) is not before, "a new transport, as after SIGHUP, loads it too"


def test_replaced_directory(secure: KeepAliveServer, authority: trustme.CA, hashed: Any) -> None:
    folder = Path(hashed(trustme.CA()))
    client = transport(tls_ca_cert=str(folder))
    refusal(secure, client)
    shutil.rmtree(folder)
    assert hashed(authority) == str(folder)
    assert count_connections(secure, client) >= 2
