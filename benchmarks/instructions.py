"""Count the instructions of a `collect` by valgrind, if installed: the machine's load does not change them."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, List

from runs import COMMAND

IMPORTS = "import ssl, http.client, json, yaml, huaweicloudsdkcore.signer.signer"
"""The imports that any plugin of this cloud with a YAML file needs."""
FULL = "    hourly: true\n    models: true\n"


def count(command: List[str], environ: Dict[str, str]) -> float:
    """Run Python; return its instructions in millions."""
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, *command]
    output = subprocess.run(valgrind, env=environ, check=True, capture_output=True, text=True).stderr
    found = re.search(r"Collected : (\d+)", output)
    assert found, output
    return int(found[1]) / 1e6


def steady(config: str, environ: Dict[str, str]) -> float:
    """Count a `collect` some hours after the first ones, which filled the state."""
    command = [COMMAND, "collect", "--config", config]
    for _ in range(3):
        subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    (state,) = (Path(config).parent / "state").glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(state)) as connection, connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'hours'").fetchone():
            connection.execute("UPDATE hours SET changed = changed - 7200000")
    return count(command, environ)


def rows(
    config: Callable[[str], str], environ: Dict[str, str], row: Callable[[str, str, float, float], str]
) -> List[str]:
    """Compare `collect` with Python's imports, and all sources with ranges alone; no rows without valgrind.

    Args:
        config: writes a configuration with more lines, in a folder of its own; returns its path.
        environ: has the access key and its secret.
        row: formats a row.
    """
    if shutil.which("valgrind") is None:
        return []
    ranges, full = (steady(config(more), environ) for more in ("", FULL))
    theirs = count(["-I", "-c", IMPORTS], environ)
    what, of = f"instructions: https `collect` / `{IMPORTS}`", "of ranges, hours and models / of ranges"
    return [
        row(what, f"{ranges:.0f} / {theirs:.0f} million", ranges / theirs, 1.4),
        row(f"instructions: steady `collect` {of}", f"{full:.0f} / {ranges:.0f} million", full / ranges, 1.5),
    ]
