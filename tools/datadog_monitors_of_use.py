"""The Datadog monitors of use: the set of the alert rules for Prometheus, as far as Datadog can be asked."""

from __future__ import annotations

from typing import Dict

from maas_usage_check.metrics import CONSUMED, KEY_USAGE, MODEL, MODEL_COST_CONSUMED

from .datadog_monitor import CRITICAL, Monitor, count, gauge, where
from .datadog_queries import PROJECT, SERIES, Each, Sum, added, earlier

OF_MODEL = (*PROJECT, "maas_api_id", "model")
BUDGET, COST = 1_000_000_000, 10_000
LARGEST = (
    "Instances of one project that differ by a filter (`api_keys` without `per_api_key`, `ips`) show as the largest of "
    "them; `per_api_key` tells keys apart. Two Agents that report one account do not double it."
)
TWICE = "Two Agents that report one account, or instances that ask about the same calls, count double here."
ESTIMATE = "An estimate: tokens times the `prices` of conf.yaml. The invoice is in the console's billing centre."


def budget(span: str) -> str:
    """Write the sum of a range's tokens over all kinds of calls, which holds for 2 hours."""
    return f"max(last_2h):{added(Sum('total_tokens', span=span).queries())}"


DAY = Each("total_tokens", "last_1d").queries()[0]
KEY = Each("total_tokens", "last_7d", (*SERIES, "api_key_label"), KEY_USAGE).queries()[0]
CALLS = gauge(MODEL, "requests_per_minute", *OF_MODEL)
FAILED = gauge(MODEL, "error_ratio", *OF_MODEL)
LATENCY = gauge(MODEL, "latency_seconds", *OF_MODEL)
SPENT = count(MODEL_COST_CONSUMED, "cost", *PROJECT, "currency")

OF_USE: Dict[str, Monitor] = {
    "error_ratio": Monitor(
        "Too many MaaS calls fail",
        "Callers of MaaS models meet errors. Alerts when more than 1 in 10 of the calls that the cloud told of in 3 "
        "hours failed, by region, project, service type and inference type. Needs `hourly`.",
        "More than 10% of the {{infer_type.name}} calls of {{service_type.name}} failed in {{region.name}}",
        f"sum(last_3h):{count(CONSUMED, 'errors', *SERIES)} / {count(CONSUMED, 'requests', *SERIES)}",
        "> 0.1",
        "{{value}} of the {{infer_type.name}} calls of service type {{service_type.name}} (project "
        "{{project_id.name}}, {{region.name}}) failed; 0.1 is the limit. They were made 1 to 6 hours ago, for the "
        "cloud tells 1 to 3 hours late.",
        "Fewer than 1 call in 10 fails again.",
        "open the dashboard Huawei Cloud MaaS usage and find the service type and the API key behind it. Throttled "
        "callers (429) should slow down or ask for a higher quota; failing models are listed on the MaaS console's "
        "call statistics page.",
        "To change the limit, edit 0.1 in the query and in the thresholds. Where nothing was told of 3 hours, by night "
        "or in an outage, the monitor shows NO DATA and tells nobody: it is no recovery.",
        warning=0.05,
        missing="show_no_data",
    ),
    "model_error_ratio": Monitor(
        "Calls of a MaaS model fail now",
        "Callers of a model meet errors. Alerts when more than 1 in 10 of its calls fail over 10 minutes with at least "
        "2 calls a minute. Needs `models`.",
        "More than 10% of the calls of {{model.name}} fail in {{region.name}}",
        f"avg(last_10m):{FAILED}{where(f'cutoff_min({CALLS}, 2)')}",
        "> 0.1",
        "{{value}} of the calls of model {{model.name}} (project {{project_id.name}}, {{region.name}}) failed in the "
        "last 10 minutes; 0.1 is the limit.",
        "Fewer than 1 call of {{model.name}} in 10 fails again.",
        "see the model's errors by class, `huawei_maas.model.errors_4xx` and `errors_5xx`. 4xx are the callers' (429: "
        "ask for a larger quota or slow down), 5xx the model service's: another model may serve meanwhile; open a "
        "ticket with the id {{maas_api_id.name}}.",
        "To change the limit, edit 0.1 in the query and in the thresholds; the 2 is the calls a minute.",
        priority=CRITICAL,
        warning=0.05,
    ),
    "model_latency": Monitor(
        "A MaaS model is slow",
        "Users wait. Alerts when a call of a model takes twice as long over 30 minutes as at the same time a week "
        "ago, with at least 5 calls a minute. Needs `models`.",
        "{{model.name}} takes twice as long as a week ago in {{region.name}}",
        f"avg(last_30m):{LATENCY} / {earlier(LATENCY, days=7)}{where(f'cutoff_min({CALLS}, 5)')}",
        "> 2",
        "A call of model {{model.name}} (project {{project_id.name}}, {{region.name}}) takes {{value}} times as long "
        "as at this time a week ago.",
        "{{model.name}} is as fast as a week ago again.",
        "see whether `huawei_maas.model.time_to_first_token_seconds` grew (the service is loaded or calls queue: fewer "
        "at a time, or a larger quota) or the tokens per call did (a client asks for longer answers).",
        "To change the factor, edit 2 in the query and in the thresholds; the 5 is the calls a minute. A model "
        "without a week behind it has no value.",
    ),
    "model_not_answering": Monitor(
        "A MaaS model answers no call",
        "A model is out. Alerts when for 15 minutes all but 1 in 20 of its calls failed in each minute, with at least "
        "5 calls a minute. Needs `models`.",
        "{{model.name}} answers no call in {{region.name}}",
        f"min(last_15m):{FAILED}{where(f'cutoff_min({CALLS}, 5)')}",
        "> 0.95",
        "For 15 minutes the calls of model {{model.name}} (project {{project_id.name}}, {{region.name}}) failed: "
        "{{value}} of them at least.",
        "{{model.name}} answers again.",
        "call the model once by hand, see its errors by class and the service {{maas_api_id.name}} on the console, "
        "and let another model serve meanwhile.",
        "To change the limit, edit 0.95 in the query and in the thresholds. That nobody calls the model any more is "
        "not told here: in Datadog that looks the same as a collection that fails.",
        priority=CRITICAL,
    ),
    "token_budget": Monitor(
        "MaaS tokens go over the budget",
        "Spending shows up as tokens first. Alerts when a project used more than 1,000,000,000 tokens in this "
        "calendar month. Needs `this_month` among the `ranges`.",
        "Project {{project_id.name}} is over its token budget in {{region.name}}",
        budget("this_month"),
        f"> {BUDGET}",
        "Project {{project_id.name}} ({{region.name}}) used {{value}} tokens this month; the budget is 1,000,000,000.",
        "A new month has begun, or the budget was raised.",
        "see by service type and by API key on the dashboard Huawei Cloud MaaS usage who uses most, and talk to them, "
        "or raise the budget.",
        "The budget is a placeholder: to set yours, edit 1000000000 at the end of the query and in the thresholds "
        "(critical; warning is 80% of it). The month is that of conf.yaml's `timezone`; the range this_month must be "
        "among its `ranges`. What is not answered keeps its value for 2 hours; the monitor for the partial collection "
        f"alerts after 1. {LARGEST}",
        warning=BUDGET * 0.8,
    ),
    "token_forecast": Monitor(
        "MaaS tokens are about to go over the budget",
        "A budget is better kept than explained. Alerts when the last 7 days used more than 7/30 of a month's "
        "1,000,000,000 tokens. Needs the range `last_7d`, which is a default.",
        "At its rate project {{project_id.name}} goes over a month's token budget in {{region.name}}",
        budget("last_7d"),
        f"> {BUDGET * 7 // 30}",
        "Project {{project_id.name}} ({{region.name}}) used {{value}} tokens in the last 7 days: a month at this rate "
        "is more than its budget of 1,000,000,000.",
        "The last 7 days are within 7/30 of the budget again.",
        "see whether the last 7 days are usual, and which service type and API key grew; agree with that team, or "
        "raise the budget.",
        "To set your budget, write 7/30 of it at the end of the query and in the thresholds. What is not answered "
        f"keeps its value for 2 hours. {LARGEST}",
    ),
    "cost_budget": Monitor(
        "MaaS models go over the cost budget",
        "Alerts when the models of a project cost more than 10,000 in this calendar month. Needs `models`, `hourly` "
        "and `prices`.",
        "Project {{project_id.name}} is over its cost budget in {{region.name}}",
        f"sum(current_1mo):{SPENT}",
        f"> {COST}",
        "The models of project {{project_id.name}} ({{region.name}}) cost about {{value}} {{currency.name}} this "
        "month; the budget is 10,000.",
        "A new month has begun, or the budget was raised.",
        "see `huawei_maas.model_cost_consumed.cost` by `model`, and `huawei_maas.model_key_cost_consumed.cost` by "
        "`maas_key_id`, for who spends most, and talk to them, or raise the budget.",
        "To set your budget, edit 10000 at the end of the query and in the thresholds (critical; warning is 80% of "
        "it). The month begins at midnight of Asia/Shanghai: the evaluation window of this monitor. What was used "
        f"before this ran is not in it. {ESTIMATE} {TWICE}",
        warning=COST * 0.8,
        by_month=True,
    ),
    "cost_forecast": Monitor(
        "MaaS models are about to go over the cost budget",
        "Alerts when the last 7 days cost more than 7/30 of a month's 10,000. Needs `models`, `hourly` and `prices`.",
        "At its rate project {{project_id.name}} goes over a month's cost budget in {{region.name}}",
        f"sum(last_1w):{SPENT}",
        f"> {COST * 7 // 30}",
        "The models of project {{project_id.name}} ({{region.name}}) cost about {{value}} {{currency.name}} in the "
        "last 7 days: a month at this rate is more than its budget of 10,000.",
        "The last 7 days are within 7/30 of the budget again.",
        "see which model and which API key grew; agree with that team, or raise the budget.",
        "To set your budget, write 7/30 of it at the end of the query and in the thresholds. After an outage what was "
        f"used meanwhile counts when it comes. {ESTIMATE} {TWICE}",
    ),
    "day_unusual": Monitor(
        "A day of MaaS use is unusual",
        "A loop or a stolen key spends fast. Alerts when 24 hours used more than three times the mean of the same 24 "
        "hours of the last two weeks, and more than 1,000,000 tokens. Needs `last_1d` among the `ranges`.",
        "{{service_type.name}} in {{region.name}} uses three times as much as on this weekday",
        f"min(last_30m):cutoff_min({DAY}, 1000000) / (({earlier(DAY, days=7)} + {earlier(DAY, days=14)}) / 2)",
        "> 3",
        "The {{infer_type.name}} calls of service type {{service_type.name}} (project {{project_id.name}}, "
        "{{region.name}}) used {{value}} times as many tokens in 24 hours as the mean of this weekday.",
        "The day is usual again.",
        "see which hour, model and API key it is. A batch that was planned ends by itself; a loop in a client or a key "
        "in wrong hands does not: stop the client, or delete the key on the console's API Key page.",
        "To change the factor, edit 3 in the query and in the thresholds; the 1000000 is the least number of tokens. "
        "The range is what the cloud says of the 24 hours, so what an outage held back is in its own day. Without two "
        "weeks behind it there is no value.",
    ),
    "key_begins": Monitor(
        "An API key begins to spend",
        "A forgotten or stolen key comes alive. Alerts when a label of `api_keys` that used nothing in the 7 days "
        "until yesterday uses more than 10,000 tokens. Needs `per_api_key` and the range `last_7d`.",
        "The API key {{api_key_label.name}} begins to spend in {{region.name}}",
        f"min(last_15m):{KEY}{where(f'cutoff_max({earlier(KEY, days=1)}, 0)')}",
        "> 10000",
        "The API key {{api_key_label.name}} used {{value}} tokens ({{service_type.name}}, {{infer_type.name}}, project "
        "{{project_id.name}}, {{region.name}}), and none in the 7 days until yesterday.",
        "The key is not new any more.",
        "ask its owner whether that is meant. If nobody owns it, delete it on the console's API Key page at once, and "
        "see there who made it.",
        "To change the least number of tokens, edit 10000 in the query and in the thresholds. It ends by itself after "
        "a day. A label that was configured within a day has no value.",
        missing="resolve",
    ),
}
