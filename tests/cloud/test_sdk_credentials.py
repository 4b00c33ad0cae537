"""The SDK's own sources, against an HTTP server that plays its token services."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Dict

import pytest
from pytest_httpserver import HTTPServer

from maas_usage_check.cloud.credentials import Credentials, provider
from maas_usage_check.config import CredentialsSource
from maas_usage_check.errors import QueryError, Result

SDK = CredentialsSource("sdk")


def serve_metadata(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let the SDK, of any version, fetch the ECS agency's key from a URL."""
    from huaweicloudsdkcore.auth import internal

    accessor = getattr(internal, "MetadataAccessor", None)
    if accessor is None:
        monkeypatch.setattr(internal.Metadata, "URL", f"{url}/openstack/latest/securitykey")
        return
    name = next(name for name in ("_METADATA_ENDPOINT", "METADATA_ENDPOINT") if hasattr(accessor, name))
    monkeypatch.setattr(accessor, name, url)


@pytest.fixture(autouse=True)
def no_metadata_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevent the SDK from waiting for the link-local address that only an ECS has."""
    serve_metadata(monkeypatch, "http://127.0.0.1:9")


def require_source(name: str) -> None:
    """Skip the test if the SDK has no such source, and so renews no key."""
    from huaweicloudsdkcore.auth import provider

    if not hasattr(provider, name):
        pytest.skip(f"this SDK is older than its {name}")


def credential_answer(ak: str, seconds: float) -> dict:
    expires = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=seconds)  # the clock that the SDK reads
    own = {"access": ak, "secret": f"{ak}-secret", "securitytoken": f"{ak}-token"}
    return {"credential": {**own, "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%S.000000Z")}}


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's environment variables are read again in each cycle."""
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "one")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "two")
    fetch = provider(SDK)
    assert fetch() == Credentials("one", "two")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "three")
    assert fetch() == Credentials("one", "three")


def test_profile_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "profile"
    path.write_text("[basic]\nak = one\nsk = two\nsecurity_token = three\n")
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(path))
    assert provider(SDK)() == Credentials("one", "two", "three")


def test_agency_renewal(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    """An ECS agency's key is renewed before it expires, and cached until then."""
    require_source("PodIdentityCredentialProvider")
    serve_metadata(monkeypatch, httpserver.url_for("").rstrip("/"))
    httpserver.expect_ordered_request("/meta-data/latest/api/token", method="PUT").respond_with_data("session")
    path = "/openstack/latest/securitykey"
    httpserver.expect_ordered_request(path).respond_with_json(credential_answer("first", 30 * 60))
    httpserver.expect_ordered_request(path).respond_with_json(credential_answer("second", 24 * 3600))
    fetch = provider(SDK)
    assert [fetch().ak, fetch().ak, fetch().ak] == ["second"] * 3
    assert [request.path for request, _ in httpserver.log].count(path) == 2


def test_pod_identity(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer, tmp_path: Path) -> None:
    """Pod identity is tried although there is no metadata service."""
    require_source("PodIdentityCredentialProvider")
    token = tmp_path / "token"
    token.write_text("pod")
    httpserver.expect_request("/pod").respond_with_json(credential_answer("pod-key", 24 * 3600))
    monkeypatch.setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", httpserver.url_for("/pod"))
    monkeypatch.setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    assert provider(SDK)() == Credentials("pod-key", "pod-key-secret", "pod-key-token")


def test_replaced_oidc_token(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer, tmp_path: Path) -> None:
    """A renewal reads the OIDC token again."""
    require_source("OidcStsCredentialProvider")
    token = tmp_path / "token"
    token.write_text("old-token")
    for name, value in {"PROVIDER_URN": "p", "AGENCY_URN": "a", "TOKEN_FILE": str(token)}.items():
        monkeypatch.setenv(f"HUAWEICLOUD_OIDC_{name}", value)
    monkeypatch.setenv("HUAWEICLOUD_SDK_STS_ENDPOINT", httpserver.url_for("").rstrip("/"))
    path = "/v5/agencies/assume-with-oidc"
    httpserver.expect_ordered_request(path).respond_with_json(credential_answer("first", 10 * 60))
    httpserver.expect_ordered_request(path).respond_with_data("expired", status=401)
    httpserver.expect_ordered_request(path).respond_with_json(credential_answer("second", 24 * 3600))
    fetch = provider(SDK)
    first = fetch()
    token.write_text("new-token")
    assert (first.ak, fetch().ak) == ("first", "second")
    assert b"new-token" in httpserver.log[-1][0].get_data()


def test_older_sdk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sources of an older SDK, with other factories and without renewal, work too."""
    from huaweicloudsdkcore.auth import provider as sdk

    class Metadata:
        calls = 0

        @classmethod
        def get_basic_credential_metadata_provider(cls) -> Metadata:
            return cls()

        def get_credentials(self) -> SimpleNamespace:
            Metadata.calls += 1
            return SimpleNamespace(ak="one", sk=f"two-{self.calls}", security_token="three")

    for name in ("OidcSts", "Env", "Profile", "PodIdentity"):
        monkeypatch.delattr(sdk, f"{name}CredentialProvider", raising=False)
    monkeypatch.setattr(sdk, "MetadataCredentialProvider", Metadata)
    fetch = provider(SDK)
    assert [fetch(), fetch()] == [Credentials("one", f"two-{number}", "three") for number in (1, 2)]


def test_agency_in_any_sdk(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    serve_metadata(monkeypatch, httpserver.url_for("").rstrip("/"))
    httpserver.expect_request("/meta-data/latest/api/token", method="PUT").respond_with_data("session")
    httpserver.expect_request("/openstack/latest/securitykey").respond_with_json(credential_answer("first", 24 * 3600))
    assert provider(SDK)() == Credentials("first", "first-secret", "first-token")


def test_no_source() -> None:
    with pytest.raises(QueryError, match="no SDK source returned a key") as refused:
        provider(SDK)()
    assert refused.value.result == Result.NO_CREDENTIALS
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "169.254.0.0/16"),
        ({"NO_PROXY": "a.invalid,10.0.0.0/8"}, "a.invalid,10.0.0.0/8,169.254.0.0/16"),
        ({"NO_PROXY": "a.invalid", "no_proxy": "b.invalid"}, "b.invalid,169.254.0.0/16"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_link_local(monkeypatch: pytest.MonkeyPatch, before: Dict[str, str], after: str) -> None:
    """Link-local addresses are added once to the hosts that the environment excludes from its proxy."""
    monkeypatch.setenv("no_proxy", "")
    for name, value in {**before, "HUAWEICLOUD_SDK_AK": "one", "HUAWEICLOUD_SDK_SK": "two"}.items():
        monkeypatch.setenv(name, value)
    fetch = provider(SDK)
    assert fetch() == fetch()
    assert os.environ["no_proxy"] == after
