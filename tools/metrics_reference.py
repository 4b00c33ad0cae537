"""Write docs/metrics.md from the catalogue: `python -m tools.metrics_reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

from maas_usage_check.errors import Result
from maas_usage_check.metrics import (
    API,
    CATALOGUE,
    CONSUMED,
    HOURLY,
    KEY_CONSUMED,
    KEY_HOURLY,
    KEY_USAGE,
    MODEL,
    MODEL_CONSUMED,
    MODEL_COST_CONSUMED,
    MODEL_COST_HOURLY,
    MODEL_HOURLY,
    MODEL_KEY,
    MODEL_KEY_CONSUMED,
    MODEL_KEY_COST_CONSUMED,
    MODEL_KEY_COST_HOURLY,
    MODEL_KEY_HOURLY,
    USAGE,
)

FILE = Path(__file__).parent.parent / "docs" / "metrics.md"
HEAD = """\
# Metrics

Made from the catalogue in `maas_usage_check/metrics/catalogue.py`; change it there. A field is by nature a
*gauge*, which may be reported again and again, or a *count*, of which each unit is reported once.

| surface | how a field is called |
|---|---|
| Telegraf, InfluxDB | field `total_tokens` of measurement `huawei_maas_usage`; counts are integers, always |
| Prometheus | `huawei_maas_usage_total_tokens`; a count ends in `_total`: `huawei_maas_consumed_tokens_total` |
| Datadog | `huawei_maas.usage.total_tokens`; a count is of Datadog's type count: `huawei_maas.consumed.tokens` |

The use of each hour, with `hourly: true`, comes in the form that is natural to each: Telegraf and JSON give the hours
(`huawei_maas_hourly`, `huawei_maas_key_hourly`), Prometheus and Datadog count what was consumed
(`huawei_maas_consumed`, `huawei_maas_key_consumed`).

What begins with `huawei_maas_model` is from Cloud Eye, with `models: true`: an operational signal of preset services
and My Services, without custom endpoints and batch inference, which may differ from what the console counts. A model
and its API keys overlap, so they have measurements of their own: **never add up `huawei_maas_model` and
`huawei_maas_model_key`**, nor their hours, counts and costs. What no key covers is their difference.
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

The cloud's total can be more than prompt and completion together; it is published as returned. What a zero means is
[below](#what-a-zero-can-mean).
""",
    KEY_USAGE: """\
With `per_api_key`: the part of `huawei_maas_usage` that each label of `api_keys` used, in a measurement of its own so
that no sum holds a part beside its whole. What no label covers is the difference of the two.

| tag | value |
|---|---|
| `api_key_label` | the label; `online_experience` for calls from that page |
| others | as in `huawei_maas_usage` |
""",
    HOURLY: """\
With `hourly: true`; **Telegraf and JSON only**. The use of each hour of the last 29 days (`backfill_days`), one series
per service type and inference type. **The point's time is the hour's beginning, UTC.** An hour that changes, by late
data or a restatement, comes again at the same time, so that a store that keeps the newest point holds the right one.
Hours and series do not overlap: adding them up is right.

| tag | value |
|---|---|
| others | as in `huawei_maas_usage`, but for `range`: an hour has none |

A settled hour without use is a point of zeros. No point means that the hour is not known yet.
""",
    KEY_HOURLY: """\
With `hourly: true` and `per_api_key`; **Telegraf and JSON only**: the part of `huawei_maas_hourly` that each label
used.

| tag | value |
|---|---|
| `api_key_label` | the label; `online_experience` for calls from that page |
| others | as in `huawei_maas_hourly` |
""",
    CONSUMED: """\
With `hourly: true`; **Prometheus and Datadog only**. Each token counted once, since the hour in which this plugin first
kept the series: in Prometheus counters that never fall and survive restarts, in Datadog counts of what was added. The
hours of the past, which the backfill brings, are not counted. What the cloud takes back is held until it is made up.

| tag | value |
|---|---|
| others | as in `huawei_maas_usage`, but for `range`: a count has none |
""",
    KEY_CONSUMED: """\
With `hourly: true` and `per_api_key`; **Prometheus and Datadog only**: the part of `huawei_maas_consumed` that each
label used.

| tag | value |
|---|---|
| `api_key_label` | the label; `online_experience` for calls from that page |
| others | as in `huawei_maas_consumed` |
""",
    MODEL: """\
With `models: true`. What each model did in a minute, as Cloud Eye says it. For Telegraf and JSON **the point's time is
the minute's beginning, UTC**; the last 15 minutes come again in every cycle, the same points, so that a value that was
late fills in. For Prometheus and Datadog it is the newest complete minute, and nothing when that ended more than 15
minutes ago: an old value never passes for a new one. A minute is complete five minutes after its end.

| tag | value |
|---|---|
| `maas_api_id` | the id of the model service |
| `model` | its name in `model_names`, else the id |
| `region`, `project_id` | whom was asked |
| others | the configuration's `tags` |

Units are base units: seconds, tokens, ratios. A field that is missing means that Cloud Eye gave none, or none that can
be believed; no point means that it gave nothing of the minute.
""",
    MODEL_KEY: """\
With `models: true`: the part of `huawei_maas_model` that each API key used.

| tag | value |
|---|---|
| `maas_key_id` | the id of the API key, never the key |
| `api_key` | the id too: no API that is known tells the names of keys |
| others | as in `huawei_maas_model` |
""",
    MODEL_HOURLY: """\
With `models: true` and `hourly: true`; **Telegraf and JSON only**. The use of each hour by each model, once the hour is
over, and at first of the last 10 days (`backfill_days`), which is as far as Cloud Eye tells hours. **The point's time
is the hour's beginning, UTC.** An hour that changes comes again at the same time.

| tag | value |
|---|---|
| others | as in `huawei_maas_model` |

A settled hour without use is a point of zeros. No point means that the hour is not known.
""",
    MODEL_KEY_HOURLY: """\
With `models: true` and `hourly: true`; **Telegraf and JSON only**: the part of `huawei_maas_model_hourly` that each API
key used.

| tag | value |
|---|---|
| others | as in `huawei_maas_model_key` |
""",
    MODEL_CONSUMED: """\
With `models: true` and `hourly: true`; **Prometheus and Datadog only**. Each token counted once, since the hour in
which this plugin first asked for models: in Prometheus counters that never fall and survive restarts, in Datadog counts
of what was added. The hours of the past are not counted; a model that appears later is counted from its first token on.
What the cloud takes back is held until it is made up.

| tag | value |
|---|---|
| others | as in `huawei_maas_model` |
""",
    MODEL_KEY_CONSUMED: """\
With `models: true` and `hourly: true`; **Prometheus and Datadog only**: the part of `huawei_maas_model_consumed` that
each API key used.

| tag | value |
|---|---|
| others | as in `huawei_maas_model_key` |
""",
    MODEL_COST_HOURLY: """\
With `prices`; **Telegraf and JSON only**. What each hour of `huawei_maas_model_hourly` cost: its tokens times the
prices in the file, **an estimate, not an invoice**. An hour that comes again is priced anew. The first time a model
gets a price all of its hours that are held come with a cost. A model without a price has no point, never a zero.

| tag | value |
|---|---|
| `currency` | that of `prices` |
| others | as in `huawei_maas_model` |
""",
    MODEL_KEY_COST_HOURLY: """\
With `prices`; **Telegraf and JSON only**: the part of `huawei_maas_model_cost_hourly` that each API key used.

| tag | value |
|---|---|
| `currency` | that of `prices` |
| others | as in `huawei_maas_model_key` |
""",
    MODEL_COST_CONSUMED: """\
With `prices`; **Prometheus and Datadog only**. What `huawei_maas_model_consumed` cost, since the model first had a
price, **an estimate, not an invoice**. Each token is priced when it is counted, at the file's price then: another price
changes nothing of what was counted.

| tag | value |
|---|---|
| `currency` | that of `prices` |
| others | as in `huawei_maas_model` |
""",
    MODEL_KEY_COST_CONSUMED: """\
With `prices`; **Prometheus and Datadog only**: the part of `huawei_maas_model_cost_consumed` that each API key used.

| tag | value |
|---|---|
| `currency` | that of `prices` |
| others | as in `huawei_maas_model_key` |
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
ZEROS = """\
## What a zero can mean

The cloud answers zeros to a question that fits no call. So a zero proves nothing by itself:

| it can mean | how to tell |
|---|---|
| nothing was used | the console's *Call Statistics* shows nothing for the same time |
| another service type was used | compare the console's tab with `service_types` |
| `api_keys` or `ips` fit no call, such as a label that nobody has | ask without them; see the console's API Key page |
| another region or project was used | compare the console's region and project with `region` and `project_id` |
| the range lies within the cloud's lag: `last_1h`, `last_2h`, `today` just after midnight | ask `last_24h` |

A zero never means that a query failed, or that the range lies before the 30 days that the cloud keeps: both give no
point at all. `huawei_maas_api` says that the query failed, a warning that nothing of the range is kept.
"""
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
        yield "| field | type | nature | unit | meaning |\n|---|---|---|---|---|"
        for field in fields:
            kind, unit = field.kind.__name__, field.unit or "-"
            yield f"| `{field.name}` | {kind} | {field.nature} | {unit} | {field.description} |"
        yield ""
    yield ZEROS
    yield "## Result codes\n\n| `result_code` | name | meaning |\n|---|---|---|"
    yield from (f"| {code.value} | {code.name} | {CODES[code]} |" for code in Result)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
