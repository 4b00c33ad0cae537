"""Whose certificates are believed: a hashed directory first, the bundle for what it does not vouch for, nobody else."""

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


def asked(server: KeepAliveServer, *transports: DirectTransport) -> int:
    """Ask by each transport; count the connections that it took."""
    for transport in transports:
        assert transport(Request("GET", server.url, {"Host": "x"}, b""), 30).status == 200
        transport.close()
    return len(server.clients)


def transport(**keys: Any) -> DirectTransport:
    return DirectTransport(load_instance(keys, {}, "instances[0]"))


def refused(server: KeepAliveServer, transport: DirectTransport) -> str:
    with pytest.raises(QueryError) as failed:
        transport(Request("GET", server.url, {"Host": "x"}, b""), 30)
    assert failed.value.result == Result.NETWORK
    assert server.asked == []
    return str(failed.value)


def test_a_hashed_directory_vouches_for_a_host_and_no_bundle_is_read(
    secure: KeepAliveServer, authority: trustme.CA, hashed: Any, environment: Any
) -> None:
    environment(folder=hashed(authority, trustme.CA()))
    assert asked(secure, transport()) == 1
    held = load_trust(None, True)
    assert held.is_directory_only
    assert held.context.cert_store_stats()["x509_ca"] == 1  # what it has looked up


def test_a_host_that_only_the_bundle_vouches_for_is_tried_once_more(
    secure: KeepAliveServer, authority: trustme.CA, hashed: Any, bundle: Any, environment: Any
) -> None:
    environment(folder=hashed(trustme.CA()))
    one, other = transport(), transport()
    # It stands for the system's bundle here: named before, it would have been read at once.
    environment(file=bundle(authority))
    assert asked(secure, one) == 2
    assert asked(secure, other) == 3, "who was widened once stays so"


def test_an_authority_that_neither_directory_nor_bundle_knows_is_refused(
    secure: KeepAliveServer, hashed: Any, bundle: Any, environment: Any
) -> None:
    environment(folder=hashed(trustme.CA()))
    transport_of_directory = transport()
    environment(file=bundle(trustme.CA()))
    for _ in range(2):
        words = refused(secure, transport_of_directory)
        assert "the TLS certificate is not trusted" in words
        assert "set tls_ca_cert" in words
    assert len(secure.clients) == 3


def test_a_certificate_for_another_name_is_refused_at_once(
    secure: KeepAliveServer, authority: trustme.CA, hashed: Any, environment: Any
) -> None:
    environment(folder=hashed(authority))
    secure.url = secure.url.replace("localhost", "127.0.0.1")
    assert "the TLS certificate is not trusted" in refused(secure, transport())
    assert len(secure.clients) == 1


def test_the_systems_own_bundle_may_be_named_without_being_read(hashed: Any, environment: Any) -> None:
    environment(file=ssl.get_default_verify_paths().openssl_cafile, folder=hashed(trustme.CA()))
    assert load_trust(None, True).is_directory_only


def test_a_directory_without_hashes_vouches_for_nobody(
    secure: KeepAliveServer, authority: trustme.CA, tmp_path: Path, environment: Any
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    environment(folder=str(tmp_path))
    assert not load_trust(None, True).is_directory_only
    refused(secure, transport())


@pytest.mark.parametrize(
    ("file", "folder", "configured", "believed"),
    [
        ("own", "other", "", True),  # a bundle that the environment names is read at once
        ("other", "other", "", False),
        ("", "other", "own", True),  # a configured authority wins over the environment's
        ("", "own", "other", False),
    ],
)
def test_a_bundle_that_is_named_is_read_at_once_and_vouches_alone(
    secure: KeepAliveServer,
    authority: trustme.CA,
    hashed: Any,
    bundle: Any,
    environment: Any,
    file: str,
    folder: str,
    configured: str,
    believed: bool,
) -> None:
    named = {"own": authority, "other": trustme.CA()}
    environment(file=bundle(named[file]) if file else "", folder=hashed(named[folder]))
    asking = transport(**({"tls_ca_cert": bundle(named[configured])} if configured else {}))
    if believed:
        assert asked(secure, asking) == 1
    else:
        refused(secure, asking)
        assert len(secure.clients) == 1


def test_a_configured_hashed_directory_is_believed(secure: KeepAliveServer, authority: trustme.CA, hashed: Any) -> None:
    assert asked(secure, transport(tls_ca_cert=hashed(authority))) == 1


def test_who_believes_everybody_reads_no_authorities(secure: KeepAliveServer, environment: Any) -> None:
    environment()
    assert asked(secure, transport(tls_verify=False)) == 1
    assert load_trust(None, False).context.cert_store_stats()["x509"] == 0


def test_instances_that_trust_the_same_share_one_context(hashed: Any, bundle: Any, environment: Any) -> None:
    authority = trustme.CA()
    environment(folder=hashed(authority))
    shared = load_trust(None, True)
    assert load_trust(None, True) is shared
    assert load_trust(None, False) is not shared
    environment(file=bundle(authority), folder=os.environ["SSL_CERT_DIR"])
    assert load_trust(None, True) is not shared


def test_replaced_authorities(secure: KeepAliveServer, authority: trustme.CA, bundle: Any) -> None:
    """A file that was replaced in place is read again by the request that needs it; one that was not is not."""
    path = Path(bundle(trustme.CA()))
    asking, other = transport(tls_ca_cert=str(path)), transport(tls_ca_cert=str(path))
    for _ in range(2):
        refused(secure, asking)
    assert len(secure.clients) == 2, "nothing was tried twice"
    before = load_trust(str(path), True)
    path.write_text("half a file")
    assert refused(secure, asking) == f"tls_ca_cert: {path} cannot be read as certificates; name a PEM file"
    bundle(authority)
    assert asked(secure, asking, other) == 3 + 2 * 2
    assert load_trust(str(path), True) is not before, "who is made anew, as on SIGHUP, reads it too"


def test_replaced_authorities_of_a_directory(secure: KeepAliveServer, authority: trustme.CA, hashed: Any) -> None:
    folder = Path(hashed(trustme.CA()))
    asking = transport(tls_ca_cert=str(folder))
    refused(secure, asking)
    shutil.rmtree(folder)
    assert hashed(authority) == str(folder)
    assert asked(secure, asking) >= 2
