"""Which keys a configuration may hold, and which it must never hold."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ..errors import ConfigError

AGENT_TOP_KEYS = ("cluster_check", "ad_identifiers", "advanced_ad_identifiers", "ignore_autodiscovery_tags", "logs")

SHARED_KEYS = ("proxy", "skip_proxy", "timeout")
"""Options of `init_config` that are the default of every instance, as in the Agent."""

AGENT_INSTANCE_KEYS = tuple(
    """
    allow_redirects auth_token auth_type aws_host aws_region aws_service connect_timeout disable_generic_tags
    empty_default_hostname enable_legacy_tags_normalization extra_headers headers kerberos_auth kerberos_cache
    kerberos_delegate kerberos_force_initiate kerberos_hostname kerberos_keytab kerberos_principal loader
    log_requests max_returned_metrics metric_patterns name no_index ntlm_domain password persist_connections
    process_isolation profile_memory provider read_timeout request_size service set_breakpoint tls_cert tls_ciphers
    tls_ignore_warning tls_intermediate_ca_certs tls_private_key tls_private_key_password tls_protocols
    tls_protocols_allowed tls_use_host_header tls_validate_hostname use_agent_proxy use_legacy_auth_encoding username
    """.split()
)
"""Keys of the Agent's own instance and http options: accepted everywhere, used by the Agent alone."""

SECRET_KEYS = frozenset(
    """
    ak sk accesskey secretkey accesskeyid secretaccesskey accesskeysecret secretkeyid secret hwaccesskey hwsecretkey
    securitytoken hwsecuritytoken huaweicloudsdkak huaweicloudsdksk huaweicloudsdksecuritytoken
    """.split()
)

INLINE_SECRET = (
    "keys do not belong here: export HW_ACCESS_KEY and HW_SECRET_KEY, or use `credentials: {source: file, path: ...}`; "
    "a key that was typed here should be replaced in the console"
)


def is_secret(key: Any) -> bool:
    """Tell whether a key or an option names a secret, however it is spelled."""
    return "".join(letter for letter in str(key).lower() if letter.isalnum()) in SECRET_KEYS


def refuse_secrets(mapping: Mapping[Any, Any], path: str) -> None:
    """Raise ConfigError for a secret written into the file, at this level or one below. Values are never shown."""
    for key, value in mapping.items():
        at = f"{path}.{key}".lstrip(".")
        if is_secret(key):
            raise ConfigError(f"{at}: {INLINE_SECRET}")
        if key in ("credentials", "init_config") and isinstance(value, dict):
            refuse_secrets(value, at)


def check_keys(mapping: Mapping[Any, Any], known: Iterable[str], path: str) -> None:
    """Raise ConfigError for an unknown key, naming the nearest known one."""
    known = tuple(known)
    for key in mapping:
        if key not in known:
            import difflib

            near = difflib.get_close_matches(str(key), known, 1)
            remedy = f"did you mean `{near[0]}`?" if near else "see conf.yaml.example for those there are"
            raise ConfigError(f"{path}.{str(key)[:60]}".lstrip(".") + f": this key is not known; {remedy}")
