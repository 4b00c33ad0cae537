"""The template and the user parameter in a real Zabbix: server, frontend and agent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, FrozenSet, List, Set, Tuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from maas_usage_check.emulator.simulated_models import SimulatedModels
from tools import zabbix as zabbix_template

from ..conftest import AK, SK, Cloud, Program
from .expected_models import TRAFFIC
from .programs import INSTALLED, find, listening, listens, replaced, wait
from .test_zabbix import AGENT, PARAMETER, TEXT
from .zabbix_server import HOST, Zabbix, zabbix

UP = "maas.api.up[cn-southwest-2]"
WEEK = 7 * 86_400_000
KEY = "maas.usage.total_tokens[last_7d,preset,real_time,cn-southwest-2," + "d3m0" * 8 + "]"
MODELS = SimulatedModels(2, 1, TRAFFIC, busy=lambda model, start: True)
"""Only two: the server keeps 64 KB of a text."""
ALL = f"""\
max_concurrency: 1
ranges: [last_7d, today]
timezone: UTC
service_types: [preset, my_service]
per_api_key: true
api_keys: [team-search]
hourly: true
backfill_days: 0
models: true
model_names: {{{MODELS.ids()[0]}: large}}
prices: {{currency: CNY, models: {{large: {{prompt: 2, completion: 8}}}}}}
limits: {{large: {{rpm: 0.001, tpm: 100000000}}}}
budget: {{tokens: 1000000000000, cost: 1000000000}}
teams: {{search: {{api_keys: [team-search], budget: {{tokens: 1000000000000}}}}}}
"""
KINDS = set("usage key_usage consumed key_consumed model model_consumed model_cost_consumed budget api".split())
Values = Dict[Tuple[str, FrozenSet[str]], float]
"""Values by metric and by the labels' values."""


def expected_values(text: str) -> Values:
    """Parse the text of the master item, without keys of models, which have no items."""
    return {
        (
            re.sub("_total$", "", one.name),
            frozenset(value for label, value in one.labels.items() if is_of_item(label, one.name)),
        ): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if not one.name.startswith("huawei_maas_model_key")
    }


def is_of_item(label: str, metric: str) -> bool:
    """Return whether a label identifies an item: not the owner of a key, nor a budget's scope."""
    return label not in ("scope", "cost_center") and (label != "team" or metric.startswith("huawei_maas_budget"))


def item_values(items: Dict[str, str]) -> Values:
    """Return the values of the discovered items that are not calculated."""
    found = {tuple(key[:-1].split("[")): value for key, value in items.items() if "[" in key and ".hour[" not in key}
    return {
        (name.replace("maas.", "huawei_maas_").replace(".", "_"), frozenset(labels.split(","))): float(value)
        for (name, labels), value in found.items()
    }


@pytest.mark.timeout(600)  # it waits for the agent's interval
def test_zabbix(cloud: Cloud, program: Program, command: str, tmp_path: Path) -> None:
    """Zabbix shows every value in an item, and a model near its limit and a refused key as problems."""
    find("zabbix_agent2", AGENT)
    cloud.emulator.models = MODELS
    key = tmp_path / "key"
    key.write_text(f"{AK},{SK}\n")
    key.chmod(0o600)
    config = program.cloud_config(cloud, f"{ALL}credentials: {{source: file, path: {key}}}\nstate_dir: {tmp_path}/s")
    parameter = tmp_path / "maas-usage-check.conf"
    parameter.write_text(replaced(PARAMETER, {INSTALLED: command, "/etc/maas-usage-check/conf.yaml": config}))
    with zabbix(tmp_path) as server:
        # The server keeps the master item's text, to compare the other items with it.
        server.add_host(
            replaced(TEXT, {"delay: 5m": "delay: 10s", "history: '0'": "history: 1d"}), zabbix_template.TEMPLATE
        )

        def agent(port: int) -> List[str]:
            main = tmp_path / "zabbix_agent2.conf"
            main.write_text(
                f"Server=127.0.0.1\nListenIP=127.0.0.1\nListenPort={port}\n"
                f"ServerActive={server.address}\nHostname={HOST}\nLogType=console\nPidFile={tmp_path}/agent.pid\n"
                f"RefreshActiveChecks=60\nControlSocket={tmp_path}/agent.sock\nInclude={parameter}\n"
            )
            return [find("zabbix_agent2", AGENT), "-c", str(main)]

        with listening(agent, tmp_path, listens):
            items = wait(lambda: complete_items(server), "every value in an item of its own", 180)
            assert int(items[KEY]) in week_totals(cloud)
            assert {name.split(".")[1] for name in items if "[" in name} == KINDS
            near = "MaaS model large is above 80 % of its limit of requests: cn-southwest-2"
            wait(lambda: server.problems() == [near], "another minute above the limit, and nothing else", 120)
            key.write_text(f"{AK},wrong\n")
            refused = "MaaS credentials do not work: cn-southwest-2"
            # A failure does not end the other problem.
            wait(lambda: sorted(server.problems()) == [refused, near], "the problem", 60)
            items = server.items()
            assert items[UP] == "0"
            assert int(items[KEY]) in week_totals(cloud)  # no failure is a zero


def complete_items(server: Zabbix) -> Dict[str, str]:
    """Return the items if each has its value of the newest text, else none."""
    items = server.items()
    expected = expected_values(items.get(zabbix_template.MASTER, ""))
    return items if expected and item_values(items) == pytest.approx(expected) else {}


def week_totals(cloud: Cloud) -> Set[int]:
    """Return the totals that the cloud has returned for a week of preset services."""
    answers = [answer for answer in cloud.responses if "total_token" in answer]
    return {
        round(answer["total_token"] * 1000)
        for query, answer in zip(cloud.statistics(), answers)
        if query["end_time"] - query["start_time"] == WEEK and query["service_type"] == 2 and "api_keys" not in query
    }
