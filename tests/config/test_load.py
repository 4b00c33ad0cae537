from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud import DirectTransport
from maas_usage_check.config import Instance, KeySource, ServiceType, load, load_file
from maas_usage_check.config.known_keys import AGENT_INSTANCE_KEYS
from maas_usage_check.config.list_items import ITEMS
from maas_usage_check.config.ranges import Fixed, Rolling
from maas_usage_check.errors import ConfigError

from ..conftest import NOW

EXAMPLE = Path(__file__).parents[2] / "conf.yaml.example"


def one(**keys: Any) -> Instance:
    (instance,) = load({"instances": [keys]}, NOW)
    return instance


def refusal(document: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        load(document, NOW)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_an_empty_instance_has_the_defaults_of_the_design() -> None:
    instance = one()
    assert instance.region == "cn-southwest-2"
    assert instance.endpoint == "https://modelarts.cn-southwest-2.myhuaweicloud.com"
    assert instance.iam_endpoint == "https://iam.cn-southwest-2.myhuaweicloud.com"
    assert [span.name for span in instance.ranges] == ["last_7d", "last_14d", "last_30d"]
    assert (instance.service_types, instance.infer_types) == ((ServiceType.preset,), ("real_time",))
    assert (instance.timeout, instance.deadline, instance.max_concurrency) == (10, 25, 4)
    assert (instance.max_requests_per_minute, instance.min_collection_interval) == (100, 300)
    assert instance.credentials == KeySource("env")
    assert instance.api_keys is None
    assert instance.tls_verify


def test_every_key_of_an_instance_is_read() -> None:
    given_keys: Dict[str, Any] = {
        "region": "ap-southeast-1", "project_id": "0123456789abcdef" * 2, "endpoint": "https://a.example/",
        "iam_endpoint": "http://127.0.0.1:8080", "cloud_eye_endpoint": "https://b.example",
        "models": True, "model_names": {"id": "name"},
        "prices": {"currency": "CNY", "models": {"name": {"prompt": 2.0, "completion": 8}}},
        "credentials": {"source": "file", "path": "/k"},
        "ranges": ["last_1d", {"name": "may", "from": "2026-05-08"}], "hourly": True, "backfill_days": 7,
        "service_types": ["my_service", 4], "infer_types": ["batch"], "api_keys": ["a", ""], "per_api_key": True,
        "ips": ["10.0.0.1", "::1"], "timezone": "Asia/Shanghai", "tags": ["team:a", "url:http://x"], "timeout": 1.5,
        "deadline": 20, "max_concurrency": 2, "max_requests_per_minute": 50,
        "proxy": {"https": "http://p:1", "no_proxy": ["x"]}, "skip_proxy": True, "tls_verify": False,
        "tls_ca_cert": "/", "state_dir": "/s", "min_collection_interval": 60,
    }  # fmt: skip
    instance = one(**given_keys)
    assert set(given_keys) == set(Instance.__struct_fields__)
    assert instance.ranges[0] == Rolling("last_1d", 86_400_000)
    assert isinstance(instance.ranges[1], Fixed)
    assert (instance.hourly, instance.backfill_days) == (True, 7)
    assert instance.service_types == (ServiceType.my_service, ServiceType.custom_endpoint)
    assert instance.user_tags == {"team": "a", "url": "http://x"}
    assert instance.endpoint == "https://a.example"
    assert instance.prices is not None
    assert instance.prices.models["name"].cost(1_000_000, 500_000) == 6


def test_the_agents_own_keys_are_accepted_and_init_config_gives_defaults_as_in_the_agent() -> None:
    document = {
        "init_config": {"timeout": 3, "proxy": {"https": "http://p:1"}, "service": "x"},
        "instances": [dict.fromkeys(AGENT_INSTANCE_KEYS), {"timeout": 4, "tags": ["n:2"]}],
        "cluster_check": True, "logs": [], "ad_identifiers": [], "advanced_ad_identifiers": [],
        "ignore_autodiscovery_tags": True,
    }  # fmt: skip
    first, second = load(document, NOW)
    assert (first.timeout, second.timeout) == (3, 4)
    assert first.proxy is not None


def test_two_folders_of_state_are_refused_and_one_that_several_instances_name_is_not() -> None:
    one, other = ({"tags": [f"n:{i}"], "state_dir": folder} for i, folder in enumerate(("/a", "/b")))
    assert "name 2 folders as state_dir" in refusal({"instances": [one, other]})
    assert len(load({"instances": [one, {**other, "state_dir": "/a"}, {"tags": ["n:2"]}]}, NOW)) == 3


def test_the_shipped_example_is_valid_and_names_every_key() -> None:
    (instance,) = load_file(str(EXAMPLE), NOW)
    assert [span.name for span in instance.ranges] == ["last_7d", "last_14d", "last_30d", "today", "this_month"]
    assert instance.hourly
    text = EXAMPLE.read_text(encoding="utf-8")
    for key in Instance.__struct_fields__:
        assert f"## @param {key} " in text, key


def test_every_option_of_the_example_is_valid_when_it_is_uncommented(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    shown = [line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in lines]
    path = tmp_path / "conf.yaml"
    path.write_text("\n".join(line for line in shown if not line.lstrip().startswith("##")), encoding="utf-8")
    (instance,) = load_file(str(path), NOW)
    assert instance.project_id


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "`instances:` is missing"),
        (None, "`instances:` is missing"),
        ({"instances": []}, "instances: must be a list"),
        ({"instances": None}, "instances: must be a list"),
        ({"instances": ["x"]}, "instances[0]: must be a mapping"),
        ({"instances": [{}], "instance": []}, "instance: this key is not known; did you mean `instances`"),
        ({"instances": [{}], "init_config": 3}, "init_config: must be a mapping"),
        ({"instances": [{}], "init_config": {"regoin": 1}}, "init_config.regoin: this key is not known"),
        ({"instances": [{}, {"tags": ["n:1"], "timeout": 0}]}, "instances[1].timeout: must be greater than 0"),
    ],
)
def test_a_document_of_the_wrong_shape_is_named(document: Any, message: str) -> None:
    assert refusal(document).startswith(message)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"regon": "x"}, "instances[0].regon: this key is not known; did you mean `region`?"),
        ({"zzzz": 1}, "instances[0].zzzz: this key is not known; see conf.yaml.example"),
        ({"region": "CN north"}, "instances[0].region: must be a region's id"),
        ({"region": 7}, "instances[0].region: expected `str`, got `int`"),
        ({"project_id": "ABC"}, "instances[0].project_id: must be the 32"),
        ({"endpoint": "http://example.com"}, "instances[0].endpoint: http only to this machine"),
        ({"iam_endpoint": "http://10.0.0.1"}, "instances[0].iam_endpoint: http only to this machine"),
        ({"endpoint": "http://127.0.0.1.evil.example"}, "instances[0].endpoint: http only to this machine"),
        ({"endpoint": "ftp://x"}, "instances[0].endpoint: must be a URL"),
        ({"endpoint": "https://u:p@x.example"}, "instances[0].endpoint: must be a URL"),
        ({"endpoint": "https://x.example/path"}, "instances[0].endpoint: must be a URL"),
        ({"credentials": {"source": "vault"}}, "instances[0].credentials.source: must be env, file or sdk"),
        ({"credentials": {"source": "file"}}, "instances[0].credentials.path: goes with"),
        ({"credentials": {"path": "/x"}}, "instances[0].credentials.path: goes with"),
        ({"credentials": "env"}, "instances[0].credentials: expected `object`, got `str`"),
        ({"ranges": []}, "instances[0].ranges: must be a list with at least one"),
        ({"ranges": "last_7d"}, "instances[0].ranges: must be a list"),
        ({"ranges": ["last_7d", "last_week"]}, "instances[0].ranges[1]: not a range"),
        ({"ranges": ["last_7d", "last_7d"]}, "instances[0].ranges[1]: is there already"),
        ({"ranges": ["today", {"name": "today", "from": "2026-11-01"}]}, "instances[0].ranges[1]: the name `today`"),
        ({"ranges": [{"name": "x", "from": "2026-02-30"}]}, "instances[0].ranges[0]: no such date"),
        ({"ranges": [{"name": "x", "from": "2026-11-09", "to": "2026-11-08"}]}, "instances[0].ranges[0]: `to` must"),
        ({"ranges": [{"name": "x", "from": "2026-12-01"}]}, "instances[0].ranges[0]: the range has not begun"),
        ({"service_types": [3]}, "instances[0].service_types[0]: must be my_service (1)"),
        ({"service_types": [True]}, "instances[0].service_types[0]: must be my_service (1)"),
        ({"service_types": ["preset", 2]}, "instances[0].service_types[1]: is there already"),
        ({"infer_types": ["realtime"]}, "instances[0].infer_types[0]: must be real_time or batch"),
        ({"api_keys": [], "per_api_key": True}, "instances[0].per_api_key: needs `api_keys`"),
        ({"service_types": []}, "instances[0].service_types: must be a list with at least one"),
        ({"api_keys": [7]}, "instances[0].api_keys[0]: must be a label in quotes"),
        ({"per_api_key": True}, "instances[0].per_api_key: needs `api_keys`"),
        ({"per_api_key": True, "api_keys": ["", "online_experience"]}, "instances[0].api_keys: \"\" is tagged"),
        ({"ips": ["300.0.0.1"]}, "instances[0].ips[0]: must be an IPv4"),
        ({"timezone": "Mars/Olympus"}, "instances[0].timezone: `Mars/Olympus` is not an IANA name"),
        ({"timezone": "../etc/passwd"}, "instances[0].timezone: "),
        ({"tags": ["team"]}, "instances[0].tags[0]: must be `key:value`"),
        ({"tags": ["team:"]}, "instances[0].tags[0]: must be `key:value`"),
        ({"tags": [1]}, "instances[0].tags[0]: must be `key:value`"),
        ({"tags": ["region:x"]}, "instances[0].tags[0]: `region` is a tag that the plugin sets"),
        ({"tags": ["a:1", "a:2"]}, "instances[0].tags[1]: `a` is there already"),
        ({"tags": ["a:\ud800"]}, "instances[0].tags[0]: holds half a character"),
        ({"tags": ["a\\:1"]}, "instances[0].tags[0]: a tag's key or value must not end in a backslash"),
        ({"tags": ["t:a\\"]}, "instances[0].tags[0]: a tag's key or value must not end in a backslash"),
        ({"tags": ["ran\0ge:x"]}, "instances[0].tags[0]: a tag must not hold a control character"),
        ({"tags": ["a:x\ny"]}, "instances[0].tags[0]: a tag must not hold a control character"),
        ({"tags": ["project-id:mine"]}, "instances[0].tags[0]: `project-id`, written `project_id` in some formats, is"),
        ({"tags": ["a-b:1", "a_b:1"]}, "instances[0].tags[1]: `a_b` and an earlier key are both `a_b` in some"),
        ({"tags": ["1st:1", "tag_1st:1"]}, "instances[0].tags[1]: `tag_1st` and an earlier key are both"),
        ({"per_api_key": True, "api_keys": ["a", "a\\"]}, "instances[0].api_keys[1]: a tag's key or value must not"),
        ({"ranges": [{"name": "a\tb", "from": "2026-11-01"}]}, "instances[0].ranges[0]: a tag must not hold a control"),
        ({"timeout": 0}, "instances[0].timeout: must be greater than 0"),
        ({"timeout": "10"}, "instances[0].timeout: expected `float`, got `str`"),
        ({"deadline": float("inf")}, "instances[0].deadline: must be greater than 0"),
        ({"deadline": float("nan")}, "instances[0].deadline: must be greater than 0"),
        ({"max_concurrency": 1.5}, "instances[0].max_concurrency: expected `int`, got `float`"),
        ({"max_concurrency": True}, "instances[0].max_concurrency: expected `int`, got `bool`"),
        ({"max_requests_per_minute": -1}, "instances[0].max_requests_per_minute: must be greater than 0"),
        ({"per_api_key": "yes"}, "instances[0].per_api_key: expected `bool`, got `str`"),
        ({"proxy": {"https": "socks5://p:1"}}, "instances[0].proxy.https: socks is not spoken here"),
        ({"proxy": {"https": "https://p:1"}}, "instances[0].proxy.https: TLS to the proxy itself is not spoken here"),
        ({"proxy": {"http": "HTTPS://u:p@p"}}, "instances[0].proxy.http: TLS to the proxy itself is not spoken here"),
        ({"proxy": {"https": "ftp://p:1"}}, "instances[0].proxy.https: must be a URL of scheme, host and port"),
        ({"proxy": {"https": "http://"}}, "instances[0].proxy.https: must be a URL of scheme, host and port"),
        ({"proxy": {"https": "http://p:99999"}}, "instances[0].proxy.https: must be a URL of scheme, host and port"),
        ({"proxy": {"http": "http://p:x"}}, "instances[0].proxy.http: must be a URL of scheme, host and port"),
        ({"proxy": {"no_proxy": 5}}, "instances[0].proxy.no_proxy: must be a list of hosts"),
        ({"endpoint": "https://x.example:99999"}, "instances[0].endpoint: the port must be 1 to 65535"),
        ({"iam_endpoint": "http://127.0.0.1:0"}, "instances[0].iam_endpoint: the port must be 1 to 65535"),
        ({"tls_ca_cert": "/missing.pem"}, "instances[0].tls_ca_cert: /missing.pem cannot be read as certificates"),
        ({"tls_ca_cert": "/a\0b"}, "instances[0].tls_ca_cert: holds a character that no path has, such as NUL"),
        ({"state_dir": "/a\0b"}, "instances[0].state_dir: holds a character that no path has, such as NUL"),
        ({"state_dir": "/a\ud800"}, "instances[0].state_dir: holds a character that no path has, such as NUL"),
        ({"credentials": {"source": "file", "path": "\0"}}, "instances[0].credentials.path: holds a character that no"),
        ({"tls_ca_cert": __file__}, "instances[0].tls_ca_cert: "),
        ({"proxy": {"htps": "x"}}, "instances[0].proxy: object contains unknown field `htps`"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_by_its_path_with_the_remedy(keys: Dict[str, Any], message: str) -> None:
    assert refusal({"instances": [keys]}).startswith(message)


@pytest.mark.parametrize("hosts", [None, "", []])
def test_an_optional_list_that_is_empty_counts_as_left_out(hosts: Any) -> None:
    instance = one(tags=[], ips=[], api_keys=[], proxy={"https": "p.example:3128", "no_proxy": hosts})
    assert (instance.tags, instance.ips, instance.api_keys) == ((), None, None)
    assert instance.proxy is not None
    assert DirectTransport(instance).way(instance.endpoint) == ("p.example", 3128)


@pytest.mark.parametrize(
    "url", ["http://p:1", "http://user:pass%40@p.example:3128/", "p", "HTTP://[::1]:80", "http://user:p:w@p_1:1", ""]
)
def test_a_proxy_that_can_be_used_is_taken(url: str) -> None:
    assert one(proxy={"https": url}).proxy is not None


def test_instances_that_would_write_the_same_series_are_refused_until_a_tag_tells_them_apart() -> None:
    for pair in (
        [{}, {"ranges": ["today"]}],
        [{"project_id": "a" * 32}, {}],
        [{"tags": ["a-b:1"]}, {"tags": ["a.b:1"]}],
    ):
        assert "same series as instances[0]" in refusal({"instances": pair})
    for pair in ([{}, {"tags": ["account:b"]}], [{"project_id": letter * 32} for letter in "ab"]):
        assert len(load({"instances": pair}, NOW)) == 2


@pytest.mark.parametrize(
    "key", ["ak", "SK", "access_key", "Secret-Key", "HW_ACCESS_KEY", "secretAccessKey", "security_token"]
)
def test_a_key_written_into_the_file_is_refused_with_advice_and_never_shown(key: str) -> None:
    planted = {key: "PLANTED-SECRET"}
    for document in (
        {"instances": [planted]},
        {"instances": [{"credentials": {"source": "env", **planted}}]},
        {"instances": [{}], "init_config": planted},
        {"instances": [{}], **planted},
    ):
        text = refusal(document)
        assert "export HW_ACCESS_KEY" in text
        assert "should be replaced" in text
        assert "PLANTED" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "`instances:` is missing"),
        (b"instances: [", "line 2, column 1: not YAML"),
        (b"a: b: c", "line 1, column 5: not YAML"),
        (b"\x00", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"instances:\n- ranges: [{name: x, from: 2026-02-30}]", "quote dates"),
        (b"instances: !!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_a_file_that_is_no_yaml_is_named_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "conf.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        load_file(str(path), NOW)
    assert str(refused.value).startswith(str(path))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: cannot be read"):
        load_file(str(tmp_path / "missing.yaml"), NOW)


def test_an_unquoted_date_means_the_same_as_a_quoted_one(tmp_path: Path) -> None:
    path = tmp_path / "conf.yaml"
    path.write_text("instances:\n- ranges: [{name: a, from: 2026-11-01}, {name: b, from: '2026-11-01'}]\n")
    bare, quoted = load_file(str(path), NOW)[0].ranges
    assert bare.since == quoted.since


yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.none(), inner, max_size=3),
    max_leaves=6,
)
any_instance = st.dictionaries(
    st.sampled_from([*Instance.__struct_fields__, *AGENT_INSTANCE_KEYS[:3], "x"]), yaml_values, max_size=4
)


@given(st.fixed_dictionaries({"instances": st.lists(any_instance | yaml_values, max_size=2)}) | yaml_values)
def test_any_document_is_loaded_or_refused_in_one_line(document: Any) -> None:
    try:
        instances = load(document, NOW)
    except ConfigError as refused:
        assert len(str(refused).splitlines()) == 1
    else:
        assert instances


@given(st.sampled_from(sorted(ITEMS)), st.lists(yaml_values, max_size=3))
def test_any_list_is_read_or_refused(key: str, values: Any) -> None:
    try:
        one(**{key: values})
    except ConfigError as refused:
        assert f"instances[0].{key}" in str(refused)
