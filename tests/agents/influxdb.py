"""A real InfluxDB 1.6 on loopback."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Dict, Iterator, List

from .programs import OPENER, find, get, listening

DATABASE = "maas"
SERVER = """\
reporting-disabled = true
bind-address = "127.0.0.1:0"
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
    """Run an InfluxDB with an empty database; yield its URL."""
    program = find("influxd", "Debian package influxdb")

    def command(port: int) -> List[str]:
        (folder / "influxdb.conf").write_text(SERVER.format(folder=folder, port=port))
        return [program, "-config", str(folder / "influxdb.conf")]

    with listening(command, folder, lambda url: get(f"{url}/query", q="SHOW DATABASES")) as url:
        OPENER.open(f"{url}/query", f"q=CREATE DATABASE {DATABASE}".encode(), timeout=60).close()
        yield url


def write(url: str, lines: str) -> None:
    OPENER.open(f"{url}/write?db={DATABASE}", lines.encode(), timeout=60).close()


def query(url: str, text: str) -> List[Dict[str, Any]]:
    """Return the series that a query finds; times are milliseconds."""
    (result,) = get(f"{url}/query", db=DATABASE, q=text, epoch="ms")["results"]
    assert "error" not in result, f"{result['error']}: {text}"
    found: List[Dict[str, Any]] = result.get("series", [])
    return found
