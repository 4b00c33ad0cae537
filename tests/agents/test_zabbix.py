"""The user parameter in the real zabbix_agent2, and the template's extraction from what that gives."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict

import pytest
import yaml

from maas_usage_check.standin.models import Models

from ..conftest import Cloud, Program
from .programs import INSTALLED, ROOT, find, replaced, run
from .zabbix import samples, values

PARAMETER = (ROOT / "examples" / "zabbix" / "maas-usage-check.conf").read_text(encoding="utf-8")
TEXT = (ROOT / "examples" / "zabbix" / "template.yaml").read_text(encoding="utf-8")
(TEMPLATE,) = yaml.safe_load(TEXT)["zabbix_export"]["templates"]
AGENT = "apt-get install zabbix-agent2"
ALL = """\
max_concurrency: 1
hourly: true
backfill_days: 1
models: true
service_types: [preset, my_service]
ranges: [last_7d, today]
timezone: UTC
per_api_key: true
api_keys: [team-search, ""]
"""


@pytest.fixture
def collect(program: Program, command: str) -> Callable[..., str]:
    """Have the agent run the user parameter, as `zabbix_agent2 -t` shows it, and return its text."""
    agent = find("zabbix_agent2", AGENT)

    def collected(config: str, parameter: str = PARAMETER, **environ: str) -> str:
        places = {INSTALLED: command, "/etc/maas-usage-check/conf.yaml": config}
        (program.folder / "parameter.conf").write_text(replaced(parameter, places))
        main = program.folder / "zabbix_agent2.conf"
        main.write_text(f"Server=127.0.0.1\nInclude={program.folder}/parameter.conf\n")
        keys = {name: program.environ[name] for name in ("HW_ACCESS_KEY", "HW_SECRET_KEY")}
        done = run([agent, "-c", str(main), "-t", "maas.collect"], program.folder, **{**keys, **environ})
        answer = re.match(r"maas\.collect +\[s\|(.*)\]\n$", done.stdout, re.DOTALL)
        assert answer, done.stdout + done.stderr
        return answer[1]

    return collected


def test_every_item_of_an_expression_is_there() -> None:
    keys = {item["key"] for rule in TEMPLATE["discovery_rules"] for item in rule["item_prototypes"]}
    used = set()
    for rule in TEMPLATE["discovery_rules"]:
        for item in rule["item_prototypes"]:
            used |= set(re.findall(r"//(\S+?\])", item.get("params", "")))
            assert item.get("master_item", {"key": "maas.collect"})["key"] == TEMPLATE["items"][0]["key"]
        for trigger in rule["trigger_prototypes"]:
            found = re.findall(rf"/{TEMPLATE['template']}/(\S+?\])", trigger["expression"])
            assert found
            assert "<" not in re.sub("<=|<>", "", trigger["expression"])
            used |= set(found)
    assert used <= keys
    assert len(used) > 10


def test_every_value_of_the_answer_becomes_the_value_of_an_item(cloud: Cloud, program: Program, collect: Any) -> None:
    cloud.emulator.models = Models(busy=lambda model, start: True)
    text = collect(program.for_cloud(cloud, ALL))
    got = values(TEMPLATE, text)
    wanted = sorted(value for name, _, value in samples(text) if not name.startswith("huawei_maas_model_key"))
    assert sorted(got.values()) == wanted
    weeks = {
        {1: "my_service", 2: "preset"}[body["service_type"]]: round(answer["total_token"] * 1000)
        for body, answer in zip(cloud.statistics(), [answer for answer in cloud.answers if "total_token" in answer])
        if body["end_time"] - body["start_time"] == 7 * 86_400_000 and "api_keys" not in body
    }
    project = "d3m0" * 8
    assert len(weeks) == 2
    for service, tokens in weeks.items():
        assert got[f"maas.usage.total_tokens[last_7d,{service},real_time,cn-southwest-2,{project}]"] == tokens
        assert f"maas.consumed.tokens[{service},real_time,cn-southwest-2,{project}]" in got
    assert any(key.startswith("maas.key_usage.total_tokens[today,online_experience,") for key in got)
    assert any(key.startswith("maas.model.error_ratio[") for key in got)
    assert got["maas.api.up[cn-southwest-2]"] == 1


def test_a_failure_is_a_value_of_up_and_never_of_usage(cloud: Cloud, program: Program, collect: Any) -> None:
    text = collect(program.for_cloud(cloud, "hourly: true"), HW_SECRET_KEY="wrong")
    got = values(TEMPLATE, text)
    assert got["maas.api.up[cn-southwest-2]"] == 0
    assert got["maas.api.result_code[cn-southwest-2]"] == 3
    assert {key.split("[")[0].rpartition(".")[0] for key in got} == {"maas.api"}


def test_the_agent_would_put_a_warning_among_the_values(cloud: Cloud, program: Program, collect: Any) -> None:
    config = program.for_cloud(cloud, "ranges: [last_1d, last_2h]")
    assert "W! " not in collect(config)
    loud: Dict[str, str] = {"parameter": PARAMETER.replace(" --quiet", "")}
    assert "W! " in collect(config, **loud)  # this is what the option is for


def test_the_timeout_of_the_user_parameter_is_above_its_deadline() -> None:
    found = re.search(r"--deadline (\d+).*^Timeout=(\d+)", PARAMETER, re.DOTALL | re.MULTILINE)
    assert found
    assert int(found[1]) < int(found[2]) <= 30
