"""The Datadog monitors of usage: those of the alert rules for Prometheus that Datadog's queries can express."""

from __future__ import annotations

from typing import Dict

from maas_usage_check.metrics import CONSUMED, KEY_USAGE, MODEL

from .datadog_monitor import CRITICAL, Monitor, count, gauge, where
from .datadog_queries import PROJECT, SERIES, Each, earlier

OF_MODEL = (*PROJECT, "maas_api_id", "model")
DAY = Each("total_tokens", "last_1d").queries()[0]
KEY = Each("total_tokens", "last_7d", (*SERIES, "api_key_label"), KEY_USAGE).queries()[0]
CALLS = gauge(MODEL, "requests_per_minute", *OF_MODEL)
FAILED = gauge(MODEL, "error_ratio", *OF_MODEL)
LATENCY = gauge(MODEL, "latency_seconds", *OF_MODEL)

OF_USE: Dict[str, Monitor] = {
    "error_ratio": Monitor(
        "Too many MaaS calls fail",
        "Callers of MaaS models get errors. Alerts when more than 1 in 10 of the calls that the cloud reported in 3 "
        "hours failed, by region, project, service type and inference type. Needs `hourly`.",
        "More than 10% of the {{infer_type.name}} calls of {{service_type.name}} failed in {{region.name}}",
        f"sum(last_3h):{count(CONSUMED, 'errors', *SERIES)} / {count(CONSUMED, 'requests', *SERIES)}",
        "> 0.1",
        "{{value}} of the {{infer_type.name}} calls of service type {{service_type.name}} (project "
        "{{project_id.name}}, {{region.name}}) failed; the limit is 0.1. They were made 1 to 6 hours ago: the cloud "
        "reports 1 to 3 hours late.",
        "Fewer than 1 call in 10 fails again.",
        "find the service type and the API key on the dashboard Huawei Cloud MaaS usage. Throttled callers (429) "
        "should slow down or request a larger quota; the MaaS console's call statistics page lists failing models.",
        "To change the limit, edit 0.1 in the query and in the thresholds. If the cloud reports no call for 3 hours, "
        "at night or in an outage, the monitor shows NO DATA and notifies nobody: that is not a recovery.",
        warning=0.05,
        missing="show_no_data",
    ),
    "model_error_ratio": Monitor(
        "Calls of a MaaS model fail now",
        "Callers of a model get errors. Alerts when more than 1 in 10 of its calls fail over 10 minutes with at least "
        "2 calls a minute. Needs `models`.",
        "More than 10% of the calls of {{model.name}} fail in {{region.name}}",
        f"avg(last_10m):{FAILED}{where(f'cutoff_min({CALLS}, 2)')}",
        "> 0.1",
        "{{value}} of the calls of model {{model.name}} (project {{project_id.name}}, {{region.name}}) failed in the "
        "last 10 minutes; the limit is 0.1.",
        "Fewer than 1 call of {{model.name}} in 10 fails again.",
        "check the model's errors by class, `huawei_maas.model.errors_4xx` and `errors_5xx`. 4xx come from the callers "
        "(429: slow down, or request a larger quota). 5xx come from the model service: use another model meanwhile, "
        "and open a ticket with the id {{maas_api_id.name}}.",
        "To change the limit, edit 0.1 in the query and in the thresholds; 2 is the minimum of calls per minute.",
        priority=CRITICAL,
        warning=0.05,
    ),
    "model_latency": Monitor(
        "A MaaS model is slow",
        "Users wait. Alerts when calls of a model take more than twice as long over 30 minutes as at the same time a "
        "week ago, with at least 5 calls a minute. Needs `models`.",
        "Calls of {{model.name}} take more than twice as long as a week ago in {{region.name}}",
        f"avg(last_30m):{LATENCY} / {earlier(LATENCY, days=7)}{where(f'cutoff_min({CALLS}, 5)')}",
        "> 2",
        "Calls of model {{model.name}} (project {{project_id.name}}, {{region.name}}) take {{value}} times as long as "
        "at this time a week ago.",
        "{{model.name}} is as fast as a week ago again.",
        "check what grew. `huawei_maas.model.time_to_first_token_seconds`: the service is loaded or calls queue; send "
        "fewer at a time, or request a larger quota. Tokens per call: a client requests longer answers.",
        "To change the factor, edit 2 in the query and in the thresholds; 5 is the minimum of calls per minute. A "
        "model has no value until it has been collected for a week.",
    ),
    "model_not_answering": Monitor(
        "A MaaS model answers no call",
        "A model is down. Alerts when more than 95 % of its calls failed in every minute for 15 minutes, with at least "
        "5 calls a minute. Needs `models`.",
        "{{model.name}} answers no call in {{region.name}}",
        f"min(last_15m):{FAILED}{where(f'cutoff_min({CALLS}, 5)')}",
        "> 0.95",
        "At least {{value}} of the calls of model {{model.name}} (project {{project_id.name}}, {{region.name}}) failed "
        "in each of the last 15 minutes.",
        "{{model.name}} answers again.",
        "call the model once by hand, check its errors by class and the service {{maas_api_id.name}} on the console, "
        "and use another model meanwhile.",
        "To change the limit, edit 0.95 in the query and in the thresholds. A model that is no longer called does not "
        "alert: in Datadog it looks the same as a collection that fails.",
        priority=CRITICAL,
    ),
    "day_unusual": Monitor(
        "MaaS use of a day is unusual",
        "A loop or a stolen key spends fast. Alerts when 24 hours used more than three times the mean of the same 24 "
        "hours of the last two weeks, and more than 1,000,000 tokens. Needs `last_1d` among the `ranges`.",
        "{{service_type.name}} in {{region.name}} uses more than three times its mean of this weekday",
        f"min(last_30m):cutoff_min({DAY}, 1000000) / (({earlier(DAY, days=7)} + {earlier(DAY, days=14)}) / 2)",
        "> 3",
        "The {{infer_type.name}} calls of service type {{service_type.name}} (project {{project_id.name}}, "
        "{{region.name}}) used {{value}} times as many tokens in 24 hours as the mean of this weekday.",
        "The use of 24 hours is normal again.",
        "find the hour, model and API key. A planned batch ends by itself. A loop in a client or a stolen key does "
        "not: stop the client, or delete the key on the console's API Key page.",
        "To change the factor, edit 3 in the query and in the thresholds; 1000000 is the minimum of tokens. The range "
        "is the cloud's total of the 24 hours, so use during an outage is in the right day. The monitor has no value "
        "until the range has been collected for two weeks.",
    ),
    "key_begins": Monitor(
        "An unused API key is in use",
        "A forgotten or stolen key may be in use. Alerts when a label of `api_keys` without use in the 7 days until "
        "yesterday uses more than 10,000 tokens. Needs `per_api_key` and the range `last_7d`.",
        "API key {{api_key_label.name}} is used after a week without use in {{region.name}}",
        f"min(last_15m):{KEY}{where(f'cutoff_max({earlier(KEY, days=1)}, 0)')}",
        "> 10000",
        "API key {{api_key_label.name}} used {{value}} tokens ({{service_type.name}}, {{infer_type.name}}, project "
        "{{project_id.name}}, {{region.name}}), and none in the 7 days until yesterday.",
        "The first use of the key is more than a day ago.",
        "ask its owner whether this is intended. If it has no owner, delete it at once on the console's API Key page, "
        "and check there who created it.",
        "To change the minimum of tokens, edit 10000 in the query and in the thresholds. The alert resolves after a "
        "day. A label has no value on its first day in the configuration.",
        missing="resolve",
    ),
}
