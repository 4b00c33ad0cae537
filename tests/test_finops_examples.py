"""The scripts that turn a FOCUS file into the files of FinOps tools."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from typing import Any, List

from .agents.programs import ROOT
from .commands.conftest import parse_csv
from .program import skip_unless_processes

EXAMPLES = ROOT / "examples" / "finops"
ROW = {
    "BillingCurrency": "CNY", "ChargePeriodStart": "2026-11-22T16:00:00Z", "ChargePeriodEnd": "2026-11-23T16:00:00Z",
    "ChargeCategory": "Usage", "ServiceCategory": "AI and Machine Learning", "ServiceName": "MaaS",
    "ProviderName": "Huawei Cloud", "SkuId": "org/large/cached_prompt", "ConsumedQuantity": "1250.0",
    "ConsumedUnit": "Tokens", "BilledCost": "0.0025", "ResourceId": "1f", "ResourceType": "Model service",
    "RegionId": "cn-southwest-2", "Tags": '{"team": "搜索", "note": ""}', "x_CostKind": "estimate",
}  # fmt: skip
NO_PRICE = {**ROW, "BilledCost": ""}


def convert(script: str, *arguments: str) -> str:
    """Run a script in Shanghai's zone on a row with a price and one without; return its output."""
    skip_unless_processes()
    text = io.StringIO()
    writer = csv.DictWriter(text, ROW)
    writer.writeheader()
    writer.writerows([ROW, NO_PRICE])
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    env = {"TZ": "Asia/Shanghai", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        command, input=text.getvalue(), stdout=subprocess.PIPE, encoding="utf-8", env=env, check=True
    ).stdout


def test_datadog() -> None:
    """A charge has Datadog's properties in its order, local dates with the last day included, and no empty value."""
    items: List[Any] = json.loads(convert("datadog.py", "0.125"))
    assert items == [
        {
            "ProviderName": "Huawei Cloud",
            "ChargeDescription": "org/large/cached_prompt",
            "ChargePeriodStart": "2026-11-23",
            "ChargePeriodEnd": "2026-11-23",
            "BilledCost": 0.0003125,
            "BillingCurrency": "USD",
            "Tags": {"model": "org/large", "tokens": "cached_prompt", "region": "cn-southwest-2", "team": "搜索"},
        }
    ]


def test_vantage() -> None:
    """A row has only columns that Vantage lists, the local date, and the model as a tag."""
    (row,) = parse_csv(convert("vantage.py"))
    tags = json.loads(row.pop("Tags"))
    assert tags == {"model": "org/large", "tokens": "cached_prompt", "team": "搜索", "note": ""}
    left_out = {"ChargePeriodEnd", "ProviderName", "SkuId", "Tags", "x_CostKind"}
    kept = {name: value for name, value in ROW.items() if name not in left_out}
    assert row == {**kept, "ChargePeriodStart": "2026-11-23"}
