"""The template and the user parameter in a real Zabbix: server, frontend and agent."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Set

import pytest

from tools import zabbix as made

from ..conftest import AK, SK, Cloud, Program
from .programs import INSTALLED, find, listening, listens, replaced, wait
from .test_zabbix import AGENT, PARAMETER, TEXT
from .zabbix_server import HOST, zabbix

UP = "maas.api.up[cn-southwest-2]"
WEEK = 7 * 86_400_000
KEY = "maas.usage.total_tokens[last_7d,preset,real_time,cn-southwest-2," + "d3m0" * 8 + "]"


@pytest.mark.timeout(600)  # it waits for the agent's interval, so it begins early
def test_a_real_zabbix_shows_the_clouds_numbers_and_a_refused_key_as_a_problem(
    cloud: Cloud, program: Program, command: str, tmp_path: Path
) -> None:
    find("zabbix_agent2", AGENT)
    key = tmp_path / "key"
    key.write_text(f"{AK},{SK}\n")
    key.chmod(0o600)
    more = "max_concurrency: 1\nranges: [last_7d]\nhourly: true\nbackfill_days: 0\n"
    config = program.for_cloud(cloud, f"{more}credentials: {{source: file, path: {key}}}\nstate_dir: {tmp_path}/s")
    parameter = tmp_path / "maas-usage-check.conf"
    parameter.write_text(replaced(PARAMETER, {INSTALLED: command, "/etc/maas-usage-check/conf.yaml": config}))
    with zabbix(tmp_path) as server:
        server.add_host(TEXT.replace("delay: 5m", "delay: 10s"), made.TEMPLATE)

        def agent(port: int) -> List[str]:
            main = tmp_path / "zabbix_agent2.conf"
            main.write_text(
                f"Server=127.0.0.1\nListenIP=127.0.0.1\nListenPort={port}\n"
                f"ServerActive={server.address}\nHostname={HOST}\nLogType=console\nPidFile={tmp_path}/agent.pid\n"
                f"ControlSocket={tmp_path}/agent.sock\nInclude={parameter}\n"
            )
            return [find("zabbix_agent2", AGENT), "-c", str(main)]

        with listening(agent, tmp_path, listens):
            # An item without a value has the last value 0.
            wait(lambda: server.items().get(UP) == "1" and server.items().get(KEY) != "0", "the tokens of a week", 180)
            items = server.items()
            assert int(items[KEY]) in weeks(cloud)
            assert any(name.startswith("maas.consumed.tokens[preset,") for name in items)
            assert server.problems() == []
            key.write_text(f"{AK},wrong\n")
            wait(lambda: "The MaaS access key is refused: cn-southwest-2" in server.problems(), "the problem", 60)
            items = server.items()
            assert items[UP] == "0"
            assert int(items[KEY]) in weeks(cloud)  # no failure is a zero


def weeks(cloud: Cloud) -> Set[int]:
    """Give the totals of each week that the cloud told so far."""
    answers = [answer for answer in cloud.answers if "total_token" in answer]
    asked = [body["end_time"] - body["start_time"] for body in cloud.statistics()]
    told: Dict[int, int] = {i: round(answer["total_token"] * 1000) for i, answer in enumerate(answers)}
    return {told[i] for i, span in enumerate(asked) if span == WEEK and i in told}
