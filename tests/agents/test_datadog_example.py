"""The example passes the validator that the Agent's own integrations pass."""

from __future__ import annotations

import re

from .conftest import need_library
from .programs import ROOT

validator = need_library("datadog_checks.dev.tooling.config_validator.validator")
EXAMPLE = (ROOT / "conf.yaml.example").read_text(encoding="utf-8")


def test_the_agents_own_validator_finds_nothing_to_say_of_the_example() -> None:
    assert [str(error) for error in validator.validate_config(EXAMPLE)] == []


def test_the_validator_reads_every_option_of_the_example() -> None:
    for name in re.findall("## @param ([a-z_]+) ", EXAMPLE):
        (error,) = validator.validate_config(EXAMPLE.replace(f"## @param {name} - ", f"## @param {name} - odd "))
        assert "is not accepted" in str(error)
