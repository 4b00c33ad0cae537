"""Write docs/metrics.md from the catalogue: `python -m tools.metrics_reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

from maas_usage_check.errors import Result
from maas_usage_check.metrics import API, CATALOGUE, KEY_USAGE, USAGE

FILE = Path(__file__).parent.parent / "docs" / "metrics.md"
HEAD = """\
# Metrics

Made from the catalogue in `maas_usage_check/metrics.py`; change it there. All are gauges.

| surface | how a field is called |
|---|---|
| Telegraf, InfluxDB | field `total_tokens` of measurement `huawei_maas_usage`; counts are integers, always |
| Prometheus | `huawei_maas_usage_total_tokens` |
| Datadog | `huawei_maas.usage.total_tokens` |
"""
TEXTS = {
    USAGE: """\
One series per range, service type and inference type: all calls or, with `api_keys` and without `per_api_key`, those of
these labels. Within one value of `range` the series do not overlap, so that adding them up is right.

| tag | value |
|---|---|
| `range` | the range's name: `last_7d`, `today`, ... **Ranges overlap: never add up over this tag.** |
| `service_type` | `my_service`, `preset`, `custom_endpoint` |
| `infer_type` | `real_time`, `batch` |
| `region`, `project_id` | whom was asked |
| others | the configuration's `tags` |

The cloud's total can be more than prompt and completion together; it is published as returned.
A query that failed gives no value, never a zero. A zero means that nothing was used, or that the wrong service type was
asked.
""",
    KEY_USAGE: """\
With `per_api_key`: the part of `huawei_maas_usage` that each label of `api_keys` used, in a measurement of its own so
that no sum holds a part beside its whole. What no label covers is the difference of the two.

| tag | value |
|---|---|
| `api_key_label` | the label; `online_experience` for calls from that page |
| others | as in `huawei_maas_usage` |
""",
    API: """\
How the last cycle went: one series per instance, also when every query failed.

| tag | value |
|---|---|
| `region` | whom was asked |
| `project_id` | only when it is configured, so that the series has one name whether or not the lookup worked |
| others | the configuration's `tags` |
""",
}
CODES = {
    Result.OK: "all went well",
    Result.PARTIAL: "part of the queries failed",
    Result.NO_CREDENTIALS: "no key was found where `credentials` points",
    Result.KEY_REFUSED: "the cloud refused the key",
    Result.KEY_LOCKED: "the cloud locked the key for 5 minutes after refusals in a row",
    Result.BACKING_OFF: "nothing was asked, so that a refused key is not locked",
    Result.CLOCK_OFF: "this host's clock is off by more than 15 minutes",
    Result.CREDENTIALS_EXPIRED: "the temporary key ran out",
    Result.PERMISSION_DENIED: "the key's user lacks a permission",
    Result.NO_PROJECT: "no project has the region's name; configure `project_id`",
    Result.NOT_FOUND: "no such API there: wrong region, endpoint or project",
    Result.THROTTLED: "the cloud asked to slow down",
    Result.OVER_RATE: "more calls were planned than `max_requests_per_minute` lets through",
    Result.TIMED_OUT: "no answer in time",
    Result.NETWORK: "no connection, or a certificate that was not believed",
    Result.SERVER_ERROR: "the cloud had a fault of its own",
    Result.REQUEST_REJECTED: "the cloud took the request for wrong",
    Result.BAD_ANSWER: "the answer was not believed",
    Result.NOTHING_KEPT: "every range lies before the 30 days that the cloud keeps",
    Result.INTERNAL: "a fault in this plugin: please report it",
}


def text() -> str:
    """Write the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    for measurement, fields in CATALOGUE.items():
        yield f"## {measurement}\n\n{TEXTS[measurement]}"
        yield "| field | type | unit | meaning |\n|---|---|---|---|"
        for field in fields:
            yield f"| `{field.name}` | {field.kind.__name__} | {field.unit or '-'} | {field.description} |"
        yield ""
    yield "## Result codes\n\n| `result_code` | name | meaning |\n|---|---|---|"
    yield from (f"| {code.value} | {code.name} | {CODES[code]} |" for code in Result)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
