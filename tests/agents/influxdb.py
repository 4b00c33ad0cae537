"""A real InfluxDB 1.6 on loopback."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Dict, Iterator, List

from .programs import OPENER, find, free_port, get, running, wait

SERVER = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""


@contextlib.contextmanager
def influxdb(folder: Path) -> Iterator[str]:
    """Keep an InfluxDB up until the block ends; yield its URL."""
    program = find("influxd", "Debian package influxdb")
    port = free_port()
    (folder / "influxdb.conf").write_text(SERVER.format(folder=folder, port=port, rpc=free_port()))
    with running([program, "-config", str(folder / "influxdb.conf")], folder):
        url = f"http://127.0.0.1:{port}"
        wait(lambda: get(f"{url}/query", q="SHOW DATABASES"), "InfluxDB")
        yield url


def make_database(url: str, name: str) -> None:
    OPENER.open(f"{url}/query", f"q=CREATE DATABASE {name}".encode(), timeout=10).close()


def query(url: str, database: str, text: str) -> List[Dict[str, Any]]:
    """Return the series that a query finds; times are milliseconds."""
    (result,) = get(f"{url}/query", db=database, q=text, epoch="ms")["results"]
    assert "error" not in result, f"{result['error']}: {text}"
    found: List[Dict[str, Any]] = result.get("series", [])
    return found
