"""The example for Categraf, run by the rules of its exec input: Categraf itself cannot be installed here."""

from __future__ import annotations

import shlex
import subprocess
from typing import Any, Callable, Dict, List, Tuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ..conftest import Cloud, Program
from .programs import INSTALLED, ROOT, replaced

EXAMPLE = (ROOT / "examples" / "categraf" / "exec.toml").read_text(encoding="utf-8")
NEVER_ZERO = "huawei_maas_usage_total_tokens"
Sample = Tuple[str, float]


def gather(exec_toml: str, environ: Dict[str, str]) -> Tuple[List[Sample], List[str]]:
    """Run each command of each instance once; return the samples and the log."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    samples: List[Sample] = []
    log: List[str] = []
    for instance in tomllib.loads(exec_toml)["instances"]:
        assert instance["data_format"] == "prometheus"
        for command in instance["commands"]:
            words, seconds = shlex.split(command), instance["timeout"]
            done = subprocess.run(words, capture_output=True, encoding="utf-8", env=environ, timeout=seconds)
            if done.returncode or done.stderr:  # Categraf drops all samples
                log.append(done.stderr)
                continue
            families = text_string_to_metric_families(done.stdout)
            samples += [(one.name, one.value) for family in families for one in family.samples]
    return samples, log


@pytest.fixture
def example(command: str) -> Callable[[str], str]:
    """Return a function that puts this test's program and a configuration into the example."""
    return lambda config: replaced(EXAMPLE, {INSTALLED: command, "/etc/maas-usage-check/conf.yaml": config})


def names(samples: List[Sample]) -> List[str]:
    return [name for name, _ in samples]


def test_example(cloud: Cloud, program: Program, example: Any) -> None:
    """The example collects the cloud's values."""
    samples, log = gather(example(program.cloud_config(cloud, "ranges: [last_7d, last_14d]")), program.environ)
    assert log == []
    tokens = sorted(value for name, value in samples if name == NEVER_ZERO)
    answers = [answer for answer in cloud.responses if "total_token" in answer]
    assert tokens == sorted(round(answer["total_token"] * 1000) for answer in answers)
    assert len(tokens) == 2
    assert "huawei_maas_api_up" in names(samples)


def test_warnings_and_failures(cloud: Cloud, program: Program, example: Any) -> None:
    """Warnings and failures drop no sample."""
    text = example(program.cloud_config(cloud, "ranges: [last_1d, last_2h]\nhourly: true"))
    plain = text.replace(" --quiet --exit-zero", "")
    assert plain != text
    samples, log = gather(text, program.environ)
    assert log == []
    assert names(samples).count(NEVER_ZERO) == 2
    assert names(samples).count("huawei_maas_consumed_tokens_total") == 1
    samples, log = gather(plain, program.environ)  # without the two options all samples are dropped
    assert (samples, len(log)) == ([], 1)
    wrong = {**program.environ, "HW_SECRET_KEY": "wrong"}
    samples, log = gather(text, wrong)
    assert log == []
    assert [value for name, value in samples if name == "huawei_maas_api_up"] == [0]
    assert NEVER_ZERO not in names(samples)
