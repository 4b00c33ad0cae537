"""The SDK's own sources, against a real HTTP server that stands for its token services."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_httpserver import HTTPServer

from maas_usage_check.cloud.credentials import Credentials, provider
from maas_usage_check.config import CredentialsSource
from maas_usage_check.errors import QueryError, Result

SDK = CredentialsSource("sdk")


def serve_metadata(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let the SDK, of whichever age, look for the ECS agency's key at a URL."""
    from huaweicloudsdkcore.auth import internal

    accessor = getattr(internal, "MetadataAccessor", None)
    if accessor is None:
        monkeypatch.setattr(internal.Metadata, "URL", f"{url}/openstack/latest/securitykey")
        return
    name = next(name for name in ("_METADATA_ENDPOINT", "METADATA_ENDPOINT") if hasattr(accessor, name))
    monkeypatch.setattr(accessor, name, url)


@pytest.fixture(autouse=True)
def no_metadata_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the SDK from waiting for the link-local address that only an ECS has."""
    serve_metadata(monkeypatch, "http://127.0.0.1:9")


def needs(name: str) -> None:
    """Skip where the SDK has no such source, and so renews nothing by itself."""
    from huaweicloudsdkcore.auth import provider

    if not hasattr(provider, name):
        pytest.skip(f"this SDK is older than its {name}")


def answer(ak: str, seconds: float) -> dict:
    ends = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=seconds)  # the clock that the SDK reads
    own = {"access": ak, "secret": f"{ak}-secret", "securitytoken": f"{ak}-token"}
    return {"credential": {**own, "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%S.000000Z")}}


def test_the_sdks_own_environment_names_are_read_anew_each_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "one")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "two")
    ask = provider(SDK)
    assert ask() == Credentials("one", "two")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "three")
    assert ask() == Credentials("one", "three")


def test_the_sdks_profile_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "profile"
    path.write_text("[basic]\nak = one\nsk = two\nsecurity_token = three\n")
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(path))
    assert provider(SDK)() == Credentials("one", "two", "three")


def test_an_ecs_agencys_key_is_renewed_before_it_ends_and_kept_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    needs("PodIdentityCredentialProvider")
    serve_metadata(monkeypatch, httpserver.url_for("").rstrip("/"))
    httpserver.expect_ordered_request("/meta-data/latest/api/token", method="PUT").respond_with_data("session")
    where = "/openstack/latest/securitykey"
    httpserver.expect_ordered_request(where).respond_with_json(answer("first", 30 * 60))
    httpserver.expect_ordered_request(where).respond_with_json(answer("second", 24 * 3600))
    ask = provider(SDK)
    assert [ask().ak, ask().ak, ask().ak] == ["second"] * 3
    assert [request.path for request, _ in httpserver.log].count(where) == 2


def test_pod_identity_is_reached_although_there_is_no_metadata_service(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer, tmp_path: Path
) -> None:
    needs("PodIdentityCredentialProvider")
    token = tmp_path / "token"
    token.write_text("pod")
    httpserver.expect_request("/pod").respond_with_json(answer("pod-key", 24 * 3600))
    monkeypatch.setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", httpserver.url_for("/pod"))
    monkeypatch.setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    assert provider(SDK)() == Credentials("pod-key", "pod-key-secret", "pod-key-token")


def test_an_oidc_token_that_was_replaced_is_read_when_the_key_is_renewed(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer, tmp_path: Path
) -> None:
    needs("OidcStsCredentialProvider")
    token = tmp_path / "token"
    token.write_text("old-token")
    for name, value in {"PROVIDER_URN": "p", "AGENCY_URN": "a", "TOKEN_FILE": str(token)}.items():
        monkeypatch.setenv(f"HUAWEICLOUD_OIDC_{name}", value)
    monkeypatch.setenv("HUAWEICLOUD_SDK_STS_ENDPOINT", httpserver.url_for("").rstrip("/"))
    where = "/v5/agencies/assume-with-oidc"
    httpserver.expect_ordered_request(where).respond_with_json(answer("first", 10 * 60))
    httpserver.expect_ordered_request(where).respond_with_data("expired", status=401)
    httpserver.expect_ordered_request(where).respond_with_json(answer("second", 24 * 3600))
    ask = provider(SDK)
    first = ask()
    token.write_text("new-token")
    assert (first.ak, ask().ak) == ("first", "second")
    assert b"new-token" in httpserver.log[-1][0].get_data()


def test_an_older_sdk_whose_sources_have_other_names_and_cannot_renew_is_asked_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from huaweicloudsdkcore.auth import provider as sdk

    class Metadata:
        asked = 0

        @classmethod
        def get_basic_credential_metadata_provider(cls) -> Metadata:
            return cls()

        def get_credentials(self) -> SimpleNamespace:
            Metadata.asked += 1
            return SimpleNamespace(ak="one", sk=f"two-{self.asked}", security_token="three")

    for name in ("OidcSts", "Env", "Profile", "PodIdentity"):
        monkeypatch.delattr(sdk, f"{name}CredentialProvider", raising=False)
    monkeypatch.setattr(sdk, "MetadataCredentialProvider", Metadata)
    ask = provider(SDK)
    assert [ask(), ask()] == [Credentials("one", f"two-{number}", "three") for number in (1, 2)]


def test_an_ecs_agencys_key_is_read_by_an_sdk_of_any_age(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    serve_metadata(monkeypatch, httpserver.url_for("").rstrip("/"))
    httpserver.expect_request("/meta-data/latest/api/token", method="PUT").respond_with_data("session")
    httpserver.expect_request("/openstack/latest/securitykey").respond_with_json(answer("first", 24 * 3600))
    assert provider(SDK)() == Credentials("first", "first-secret", "first-token")


def test_no_source_at_all_is_one_line_with_the_remedy() -> None:
    with pytest.raises(QueryError, match="no SDK source returned a key") as refused:
        provider(SDK)()
    assert refused.value.result == Result.NO_CREDENTIALS
    assert "\n" not in str(refused.value)
