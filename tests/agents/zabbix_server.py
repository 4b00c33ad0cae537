"""A real Zabbix on loopback: server, web frontend and PostgreSQL, for the time of a test."""

from __future__ import annotations

import contextlib
import getpass
import glob
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List
from urllib.request import Request

from .programs import OPENER, find, listening, listens, missing, wait

FRONTEND, SCHEMA = Path("/usr/share/zabbix"), Path("/usr/share/zabbix-server-pgsql")
WHY = "apt-get install zabbix-server-pgsql zabbix-frontend-php php-cli php-pgsql php-xml php-mbstring php-bcmath php-gd"
HOST = "maas"


class Zabbix:
    """A client of Zabbix's JSON-RPC."""

    def __init__(self, url: str, address: str) -> None:
        self._url = f"{url}/api_jsonrpc.php"
        self._token = ""
        self.address = address

    def call(self, method: str, **parameters: Any) -> Any:
        body: Dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": parameters, "id": 1}
        if self._token:
            body["auth"] = self._token
        request = Request(self._url, json.dumps(body).encode(), {"Content-Type": "application/json-rpc"})
        answer = json.load(OPENER.open(request, timeout=60))
        assert "error" not in answer, answer
        return answer["result"]

    def log_in(self) -> bool:
        self._token = self.call("user.login", username="Admin", password="zabbix")
        return True

    def add_host(self, export: str, template: str) -> None:
        """Import a template, and link a new host to it."""
        kinds = ("groups", "templates", "items", "discoveryRules", "triggers", "valueMaps")
        rules = {kind: {"createMissing": True, "updateExisting": True} for kind in kinds}
        assert self.call("configuration.import", format="yaml", source=export, rules=rules) is True
        (found,) = self.call("template.get", filter={"host": [template]})
        (group,) = self.call("hostgroup.get", filter={"name": ["Linux servers"]})
        linked = {"groups": [{"groupid": group["groupid"]}], "templates": [{"templateid": found["templateid"]}]}
        self.call("host.create", host=HOST, **linked)

    def items(self) -> Dict[str, str]:
        """Return the last values of the host's items by item key."""
        items = self.call("item.get", host=HOST, output="extend")
        return {item["key_"]: item["lastvalue"] for item in items if item["lastclock"] != "0"}

    def problems(self) -> List[str]:
        """Return the descriptions of the host's fired triggers."""
        found = self.call("trigger.get", host=HOST, output="extend", expandDescription=True, only_true=True)
        return [trigger["description"] for trigger in found]


@contextlib.contextmanager
def zabbix(folder: Path) -> Iterator[Zabbix]:
    """Run a new Zabbix."""
    find("zabbix_server", WHY), find("php", WHY)
    if not FRONTEND.exists():
        missing(f"no frontend of Zabbix: {WHY}")
    with _postgresql(folder) as database:
        web = _frontend(folder, database)

        def server(port: int) -> List[str]:
            config = folder / "zabbix_server.conf"
            config.write_text(
                f"ListenIP=127.0.0.1\nListenPort={port}\nLogType=console\nPidFile={folder}/server.pid\n"
                f"SocketDir={database}\nDBHost={database}\nDBName=zabbix\nDBUser=zabbix\nCacheUpdateFrequency=5\n"
                "AllowRoot=1\nStartPollers=1\nStartTrappers=2\nStartPingers=0\nStartDiscoverers=0\n"
                "StartHTTPPollers=0\n"
            )
            return ["zabbix_server", "-f", "-c", str(config)]

        def frontend(port: int) -> List[str]:
            return ["php", "-q", "-S", f"127.0.0.1:{port}", "-t", str(web)]

        with listening(frontend, folder, listens) as url, listening(server, folder, listens) as address:
            one = Zabbix(url, address.rpartition("/")[2])
            wait(one.log_in, "the frontend")
            yield one


def _frontend(folder: Path, database: str) -> Path:
    web = folder / "web"
    shutil.copytree(FRONTEND, web, ignore_dangling_symlinks=True)
    config = folder / "zabbix.conf.php"
    config.write_text(
        f"<?php $DB = ['TYPE' => 'POSTGRESQL', 'SERVER' => '{database}', 'DATABASE' => 'zabbix', 'USER' => 'zabbix', "
        "'PORT' => '', 'PASSWORD' => '', 'SCHEMA' => '', 'ENCRYPTION' => false, 'KEY_FILE' => '', "
        "'CERT_FILE' => '', 'CA_FILE' => '', 'VERIFY_HOST' => false, 'CIPHER_LIST' => '', 'VAULT_URL' => '', "
        "'VAULT_DB_PATH' => '', 'VAULT_TOKEN' => '', 'DOUBLE_IEEE754' => true]; $ZBX_SERVER_NAME = '';"
        "$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;"
    )
    place = web / "include" / "classes" / "core" / "CConfigFile.php"  # Debian's is below /etc
    text = place.read_text()
    assert "'/etc/zabbix/zabbix.conf.php'" in text
    place.write_text(text.replace("'/etc/zabbix/zabbix.conf.php'", f"'{config}'"))
    return web


@contextlib.contextmanager
def _postgresql(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL that listens only on a socket in its own folder; yield that folder."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not found:
        missing("no PostgreSQL: apt-get install postgresql")
    binaries = found[-1]
    with tempfile.TemporaryDirectory() as data:
        user: List[str] = []
        if getpass.getuser() == "root":  # PostgreSQL refuses to run as root
            shutil.chown(data, "postgres")
            user = ["runuser", "-u", "postgres", "--"]
        options = f"-F -c listen_addresses='' -k {data}"
        make = [*user, f"{binaries}/initdb", "-D", f"{data}/db", "-A", "trust", "-U", "zabbix", "-E", "UTF8"]
        control = [*user, f"{binaries}/pg_ctl", "-D", f"{data}/db", "-w"]
        subprocess.run([*make, "--locale", "C"], stdout=subprocess.DEVNULL, check=True, cwd=data)
        subprocess.run([*control, "-o", options, "-l", f"{data}/log", "start"], stdout=subprocess.DEVNULL, check=True)
        try:
            ask = ["psql", "-q", "-h", data, "-U", "zabbix", "-v", "ON_ERROR_STOP=1"]
            subprocess.run([*ask, "postgres", "-c", "create database zabbix"], check=True)
            for name in ("schema", "images", "data"):
                text = subprocess.run(["zcat", f"{SCHEMA}/{name}.sql.gz"], stdout=subprocess.PIPE, check=True).stdout
                load = [*ask, "zabbix"]
                subprocess.run(load, input=text, stdout=subprocess.DEVNULL, check=True, env={**os.environ, "PAGER": ""})
            yield data
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], stdout=subprocess.DEVNULL, check=False)
