"""Known config keys, and keys that would put a secret into the file."""

from __future__ import annotations

from typing import Any, Collection, Mapping, Sequence

from ..errors import ConfigError

AGENT_TOP_KEYS = ("cluster_check", "ad_identifiers", "advanced_ad_identifiers", "ignore_autodiscovery_tags", "logs")

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
"""The Agent's own instance and http options: accepted everywhere, used only by the Agent."""

ID_OR_NAME = "a model's id or name"
"""The keys of a mapping of models."""

SECRET_KEYS = frozenset(
    """
    ak sk accesskey secretkey accesskeyid secretaccesskey accesskeysecret secretkeyid secret hwaccesskey hwsecretkey
    securitytoken hwsecuritytoken huaweiaccesskey huaweisecretkey huaweicloudsdkak huaweicloudsdksk
    huaweicloudsdksecuritytoken
    """.split()
)

INLINE_SECRET = (
    "access keys do not belong here: export HW_ACCESS_KEY and HW_SECRET_KEY, or use `credentials: {source: file, "
    "path: ...}`; a key that was typed here should be replaced in the console"
)


def is_secret(name: Any) -> bool:
    """Return whether a config key or option names a secret, in any spelling."""
    return "".join(letter for letter in str(name).lower() if letter.isalnum()) in SECRET_KEYS


def check_keys(mapping: Mapping[Any, Any], known: Collection[str], path: str) -> None:
    """Raise ConfigError for a secret, whose value is never shown, or an unknown key. The nearest known one is named."""
    for config_key in mapping:
        at = f"{path}.{str(config_key)[:60]}".lstrip(".")
        if is_secret(config_key):
            raise ConfigError(f"{at}: {INLINE_SECRET}")
        if config_key not in known:
            import difflib  # saves 2 million instructions of a `collect`

            similar = difflib.get_close_matches(str(config_key), known, 1)
            remedy = f"did you mean `{similar[0]}`?" if similar else "conf.yaml.example lists all keys"
            raise ConfigError(f"{at}: unknown key; {remedy}")


def read_entries(value: Any, path: str, key: str) -> Mapping[str, Any]:
    """Return a mapping from ids or names; raise ConfigError if it is none. `key` describes them."""
    if not isinstance(value, dict) or not value:
        raise ConfigError(f"{path}: must be a mapping with {key} as the key, and at least one entry")
    for name in value:
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"{path}: the key `{str(name)[:60]}` must be an id or a name in quotes")
    return value


def check_mapping(value: Any, known: Sequence[str], path: str, required: Sequence[str] = ()) -> None:
    """Raise ConfigError for anything but a mapping of known keys. The error names the required ones, or all."""
    if not isinstance(value, dict):
        *names, last = required or known
        raise ConfigError(f"{path}: must be a mapping of {', '.join(names)} and {last}")
    check_keys(value, known, path)
