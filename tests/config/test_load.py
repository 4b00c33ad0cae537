from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud import DirectTransport
from maas_usage_check.config import CredentialsSource, Instance, ServiceType, load, load_file
from maas_usage_check.config.known_keys import AGENT_INSTANCE_KEYS
from maas_usage_check.config.prices import Cost
from maas_usage_check.config.ranges import Fixed, Rolling
from maas_usage_check.config.values import LISTS
from maas_usage_check.errors import ConfigError

from ..conftest import NOW

EXAMPLE = Path(__file__).parents[2] / "conf.yaml.example"
WRONG = sorted(Path(__file__).with_name("wrong").glob("*.yaml"))
"""The first line of each is a comment with its exact error."""


def one(**keys: Any) -> Instance:
    (instance,) = load({"instances": [keys]}, NOW)
    return instance


def test_defaults() -> None:
    instance = one()
    assert instance.region == "cn-southwest-2"
    assert instance.endpoint == "https://modelarts.cn-southwest-2.myhuaweicloud.com"
    assert instance.iam_endpoint == "https://iam.cn-southwest-2.myhuaweicloud.com"
    assert [span.name for span in instance.ranges] == ["last_7d", "last_14d", "last_30d"]
    assert (instance.service_types, instance.infer_types) == ((ServiceType.preset,), ("real_time",))
    assert (instance.timeout, instance.deadline, instance.max_concurrency) == (10, 25, 4)
    assert (instance.max_requests_per_minute, instance.min_collection_interval) == (100, 300)
    assert instance.credentials == CredentialsSource("env")
    assert instance.api_keys is None
    assert instance.tls_verify


EVERY_KEY: Dict[str, Any] = {
    "region": "ap-southeast-1", "project_id": "0123456789abcdef" * 2, "endpoint": "https://a.example/",
    "iam_endpoint": "http://127.0.0.1:8080", "cloud_eye_endpoint": "https://b.example",
    "models": True, "model_names": {"id": "name"}, "key_names": {"id": "a"},
    "prices": {"currency": "CNY", "models": {"name": {"prompt": 2.0, "completion": 8}}},
    "teams": {"search": {"api_keys": ["a"], "cost_center": "CC-1", "budget": {"cost": 1}}}, "budget": {"tokens": 1},
    "limits": {"name": {"rpm": 60, "tpm": 1.5}},
    "credentials": {"source": "file", "path": "/k"},
    "ranges": ["last_1d", {"name": "may", "from": "2026-05-08"}], "hourly": True, "backfill_days": 7,
    "service_types": ["my_service", 4], "infer_types": ["batch"], "api_keys": ["a", ""], "per_api_key": True,
    "ips": ["10.0.0.1", "::1"], "timezone": "Asia/Shanghai", "tags": ["account:a", "url:http://x"], "timeout": 1.5,
    "deadline": 20, "max_concurrency": 2, "max_requests_per_minute": 50,
    "proxy": {"https": "http://p:1", "no_proxy": ["x"]}, "skip_proxy": True, "tls_verify": False,
    "tls_ca_cert": "/", "state_dir": "/s", "min_collection_interval": 60,
}  # fmt: skip


def test_every_key() -> None:
    instance = one(**EVERY_KEY)
    assert set(EVERY_KEY) == set(Instance.__struct_fields__)
    assert instance.ranges[0] == Rolling("last_1d", 86_400_000)
    assert isinstance(instance.ranges[1], Fixed)
    assert (instance.hourly, instance.backfill_days) == (True, 7)
    assert instance.service_types == (ServiceType.my_service, ServiceType.custom_endpoint)
    assert instance.user_tags == {"account": "a", "url": "http://x"}
    assert instance.endpoint == "https://a.example"
    prices = instance.prices_of("id")
    assert prices is not None
    assert prices.cost(0, 1_000_000, 500_000) == Cost(Decimal(2), Decimal(4))


def test_agent_keys() -> None:
    """The Agent's own keys are accepted in an instance, in `init_config` and beside them."""
    document = {
        "init_config": dict.fromkeys(AGENT_INSTANCE_KEYS), "instances": [dict.fromkeys(AGENT_INSTANCE_KEYS)],
        "cluster_check": True, "logs": [], "ad_identifiers": [], "advanced_ad_identifiers": [],
        "ignore_autodiscovery_tags": True,
    }  # fmt: skip
    assert load(document, NOW) == [one()]


def test_every_key_as_default() -> None:
    """A value in `init_config` is that of every instance without an own one."""
    assert load({"init_config": EVERY_KEY, "instances": [{}]}, NOW) == [one(**EVERY_KEY)]
    assert load({"init_config": EVERY_KEY, "instances": [dict.fromkeys(EVERY_KEY)]}, NOW) == [one(**EVERY_KEY)]


def test_own_value_wins() -> None:
    """An instance's own value replaces the whole default; an empty list is one."""
    defaults = {"timeout": 3, "tags": ["a:1", "b:2"], "credentials": {"source": "file", "path": "/k"}, "hourly": True}
    own = {"timeout": 4, "tags": [], "credentials": {"source": "sdk"}, "hourly": False}
    assert load({"init_config": defaults, "instances": [own, {}]}, NOW) == [one(**own), one(**defaults)]


def test_shipped_example() -> None:
    """The shipped example is valid and documents every key."""
    (instance,) = load_file(str(EXAMPLE), NOW)
    assert [span.name for span in instance.ranges] == ["last_7d", "last_14d", "last_30d", "today", "this_month"]
    assert instance.hourly
    text = EXAMPLE.read_text(encoding="utf-8")
    for key in Instance.__struct_fields__:
        assert f"## @param {key} " in text, key


def test_uncommented_example(tmp_path: Path) -> None:
    """Every option of the example is valid when uncommented."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    shown = [line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in lines]
    path = tmp_path / "conf.yaml"
    path.write_text("\n".join(line for line in shown if not line.lstrip().startswith("##")), encoding="utf-8")
    (instance,) = load_file(str(path), NOW)
    assert instance.project_id


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_wrong_file(path: Path) -> None:
    """The file is refused with the error in its first line."""
    with pytest.raises(ConfigError) as refused:
        load_file(str(path), NOW)
    first, _, _ = path.read_text(encoding="utf-8").partition("\n")
    assert first == f"# error: {refused.value}".replace(str(path), "conf.yaml")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tags": ["a:\ud800"]}, "instances[0].tags[0]: contains a lone surrogate"),
        ({"state_dir": "/a\ud800"}, "instances[0].state_dir: contains a character that is not allowed in a path"),
    ],
)
def test_lone_surrogate(keys: Dict[str, Any], message: str) -> None:
    """YAML cannot contain one, but a mapping that the Agent passes can."""
    with pytest.raises(ConfigError) as refused:
        one(**keys)
    assert str(refused.value).startswith(message)


def test_blanks_around_names_are_removed() -> None:
    """Keys and values of tags, and names that become values, have no blanks around them."""
    instance = one(
        tags=[" team : a b ", "x:y\n"], ranges=[{"name": " may ", "from": "2026-05-08"}], models=True,
        model_names={"id": " name\t"},
    )  # fmt: skip
    assert instance.tags == ("team:a b", "x:y")
    assert (instance.ranges[0].name, instance.model_names) == ("may", {"id": "name"})


def test_tags_outside_ascii() -> None:
    """Keys that differ only outside ASCII are different tags, of one instance and of two."""
    assert one(tags=["团队:a", "部门:a"]).user_tags == {"团队": "a", "部门": "a"}
    assert len(load({"instances": [{"tags": ["团队:a"]}, {"tags": ["部门:a"]}]}, NOW)) == 2


@pytest.mark.parametrize("hosts", [None, "", []])
def test_empty_optional_list(hosts: Any) -> None:
    """An optional list that is empty means the default."""
    instance = one(tags=[], ips=[], api_keys=[], proxy={"https": "p.example:3128", "no_proxy": hosts})
    assert (instance.tags, instance.ips, instance.api_keys) == ((), None, None)
    assert instance.proxy is not None
    assert DirectTransport(instance).address(instance.endpoint) == ("p.example", 3128)


@pytest.mark.parametrize(
    "url", ["http://p:1", "http://user:pass%40@p.example:3128/", "p", "HTTP://[::1]:80", "http://user:p:w@p_1:1", ""]
)
def test_valid_proxy(url: str) -> None:
    assert one(proxy={"https": url}).proxy is not None


@pytest.mark.parametrize(
    "second", [{"tags": ["n:1"]}, {"project_id": "b" * 32}, {"tags": ["n:1"], "state_dir": "/s"}], ids=str
)
def test_distinct_instances(second: Dict[str, Any]) -> None:
    """Instances with different tags or projects are accepted."""
    first = {"project_id": "a" * 32, "state_dir": "/s"}
    assert len(load({"instances": [first, second]}, NOW)) == 2


def test_unquoted_date(tmp_path: Path) -> None:
    """An unquoted date is equal to a quoted one."""
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


def test_any_value_is_refused_in_words() -> None:
    """No error of a wrong type names a type of the decoder."""
    kinds = [7, 7.5, True, "planted", ["planted"], {"planted": "planted"}, dt.date(2026, 11, 1), b"planted", 10**400]
    entries = [{config_key: value} for config_key in Instance.__struct_fields__ for value in kinds]
    entries += [{"proxy": {"http": value}} for value in kinds] + [{"proxy": {"no_proxy": value}} for value in kinds]
    entries += [{"credentials": {"source": "file", "path": value}} for value in kinds]
    for entry in entries:
        try:
            one(**entry)
        except ConfigError as refused:
            assert not re.search("xpected|`(str|int|float|bool|object|array|null|date)|out of range", str(refused))


@given(st.fixed_dictionaries({"instances": st.lists(any_instance | yaml_values, max_size=2)}) | yaml_values)
def test_any_document(document: Any) -> None:
    """Any document is loaded, or refused with a one-line error."""
    try:
        instances = load(document, NOW)
    except ConfigError as refused:
        assert len(str(refused).splitlines()) == 1
    else:
        assert instances


@given(st.sampled_from(sorted(LISTS)), st.lists(yaml_values, max_size=3))
def test_any_list(key: str, values: Any) -> None:
    """Any list is read, or refused with its path."""
    try:
        one(**{key: values})
    except ConfigError as refused:
        assert f"instances[0].{key}" in str(refused)
