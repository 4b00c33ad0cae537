"""A stand-in for the exec input of Categraf, which cannot be installed by name: its contract, as its source has it."""

from __future__ import annotations

import glob
import shlex
import subprocess
from typing import Any, Dict, List, Tuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

Sample = Tuple[str, Tuple[Tuple[str, str], ...], float]
"""A name, labels, a value: of the time that a command gives nothing is kept."""


def gather(exec_toml: str, environ: Dict[str, str]) -> Tuple[List[Sample], List[str]]:
    """Run each command of each instance once; return the samples and what went to the log."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    samples: List[Sample] = []
    log: List[str] = []
    for instance in tomllib.loads(exec_toml)["instances"]:
        for command in instance["commands"]:
            program, _, arguments = command.partition(" ")
            for match in glob.glob(program) or [program]:
                try:
                    samples += _run(f"{match} {arguments}", instance, environ)
                except (ValueError, subprocess.TimeoutExpired) as error:
                    log.append(f"E! exec_command: {command} error: {error}")
    return samples, log


def _run(command: str, instance: Dict[str, Any], environ: Dict[str, str]) -> List[Sample]:
    done = subprocess.run(
        shlex.split(command),
        capture_output=True, encoding="utf-8", env=environ, timeout=instance.get("timeout", 5), check=False,
    )  # fmt: skip
    if done.returncode != 0 or done.stderr:
        raise ValueError(f"exit status {done.returncode} stderr: {done.stderr}")
    assert instance["data_format"] == "prometheus"
    families = text_string_to_metric_families(done.stdout)
    return [(one.name, tuple(sorted(one.labels.items())), one.value) for family in families for one in family.samples]
