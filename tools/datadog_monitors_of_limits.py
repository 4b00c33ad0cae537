"""The Datadog monitors of budgets and of the models' limits."""

from __future__ import annotations

from typing import Dict

from maas_usage_check.metrics import BUDGET, MODEL, NO_CACHED_SHARE
from maas_usage_check.metrics.datadog import metric_name

from .datadog_monitor import Monitor, gauge, where
from .datadog_queries import PROJECT

OF_MODEL = (*PROJECT, "maas_api_id", "model")
OWNERS = {
    "all": ("Project {{project_id.name}} ({{region.name}})", "`budget`"),
    "team": ("Team {{team.name}} ({{region.name}})", "a `budget` in `teams`"),
}
"""The owner of a budget, by its tag `scope`, and the key in conf.yaml.

Datadog skips series without a tag that a monitor groups by, so teams have monitors of their own.
"""
UNIT, NAME, VALUE = "{{unit.name}}", "{{model.name}}", "{{value}}"
PLACE = "(project {{project_id.name}}, {{region.name}})"
RAISE = "talk to their owner, or raise the budget in conf.yaml."
NOTES = (
    "A missing budget keeps its last value for 2 hours; the monitor of the partial collection alerts after 1. "
    "Instances of one project with different filters (`api_keys` without `per_api_key`, `ips`), and two Agents that "
    "report one account, count as the largest of them. Cost is an estimate: tokens times the `prices` of conf.yaml. "
    f"{NO_CACHED_SHARE} "
    "The invoice is in the console's billing centre."
)
STAYS = "The alert stays for an hour: a minute that was not collected does not end it."


def budget(field: str, scope: str) -> str:
    """Write a query for a field of the budgets of a scope."""
    by = (*PROJECT, "team", "unit") if scope == "team" else (*PROJECT, "unit")
    return f"max:{metric_name(BUDGET, field)}{{scope:{scope}}} by {{{','.join(by)}}}"


def minute(field: str) -> str:
    """Write a query for a field of each model, a value per 5 minutes."""
    return f"{gauge(MODEL, field, *OF_MODEL)}.rollup(max, 300)"


def before(query: str, seconds: int = 300) -> str:
    """Write the value of a query some time earlier."""
    return f"timeshift({query}, -{seconds})"


def used(scope: str) -> Monitor:
    """Make the monitor of budgets that are used up."""
    owner, key = OWNERS[scope]
    return Monitor(
        f"A MaaS budget is used up ({scope})",
        "Alerts when more than all of a budget of the calendar month is used, and warns above 80 %. Needs `hourly` and "
        f"{key}.",
        f"{owner} is over its budget in {UNIT}",
        f"max(last_2h):{budget('used_ratio', scope)}",
        "> 1",
        f"{owner} used {VALUE} of its budget in {UNIT} this month; 1 is all of it.",
        "A new month has begun, or the budget was raised.",
        "find the model and the API key with the most use in the group Who owes what of the dashboard Huawei Cloud "
        f"MaaS usage, and {RAISE}",
        f"Budget and month are those of conf.yaml. Hours that are not known are missing in its use. {NOTES}",
        warning=0.8,
    )


def forecast(scope: str) -> Monitor:
    """Make the monitor of budgets that will be used up."""
    owner, key = OWNERS[scope]
    ratio = budget("forecast_ratio", scope)
    was_above = where(f"cutoff_min({before(ratio, 3600)}, 1)")
    is_covered = where(f"cutoff_min({budget('covered_ratio', scope)}, 0.99)")
    is_left = where(f"cutoff_max({budget('used_ratio', scope)}, 1)")
    return Monitor(
        f"A MaaS budget will be used up ({scope})",
        "A warning before the budget is exceeded. Alerts when the month so far, and its rest at the rate of the last 7 "
        "days, are more than the budget, and were an hour before, where at least 99 % of the month's hours are known. "
        f"Needs `hourly` and {key}.",
        f"{owner} will exceed its budget in {UNIT} at the current rate",
        f"max(last_2h):{ratio}{was_above}{is_covered}{is_left}",
        "> 1",
        f"{owner} will use {VALUE} of its budget in {UNIT} this month; 1 is all of it.",
        "The forecast has been within the budget, or the budget used up, for 2 hours.",
        f"check whether the last 7 days are typical, and which model and API key grew; {RAISE}",
        f"`huawei_maas.budget.exhausted_timestamp_seconds` is when the budget is used up. {NOTES}",
    )


def near(limited: str, key: str) -> Monitor:
    """Make the monitor of models that are near a limit."""
    ratio, tokens = minute(f"{limited}_limit_ratio"), minute("tokens_per_minute")
    was_near = where(f"cutoff_min({before(ratio)}, 0.8)")
    is_another_minute = where(f"cutoff_min(abs({tokens} - {before(tokens)}), 1)")
    return Monitor(
        f"A MaaS model is near its limit of {limited}",
        "Above its limit the cloud refuses calls with 429. Alerts when a minute of a model is above 80 % of the limit, "
        f"and the one 5 minutes before was too. Needs `models` and `limits` with `{key}`.",
        f"{NAME} is above 80% of its limit of {limited} in {{{{region.name}}}}",
        f"max(last_1h):{ratio}{was_near}{is_another_minute}",
        "> 0.8",
        f"Model {NAME} {PLACE} reached {VALUE} of its limit of {limited} per minute; 1 is the limit.",
        f"{NAME} has been below 80 % of its limit for an hour.",
        "find the API key with the most calls, spread its calls over time, or request a larger quota; then change "
        "`limits` in conf.yaml.",
        f"To change the threshold, edit 0.8 in the query, twice, and in the thresholds. {STAYS} Two minutes with equal "
        "tokens count as one: the Agent sends a minute again until there is a newer one.",
    )


CALLS = minute("requests_limit_ratio")
OF_LIMITS: Dict[str, Monitor] = {
    "budget_used": used("all"),
    "team_budget_used": used("team"),
    "budget_forecast": forecast("all"),
    "team_budget_forecast": forecast("team"),
    "model_requests_limit": near("requests", "rpm"),
    "model_tokens_limit": near("tokens", "tpm"),
    "model_requests_grow": Monitor(
        "Calls of a MaaS model grow too fast",
        "Huawei Cloud advises to let requests grow by at most 20 % a minute: faster, calls can fail with 429 below the "
        "limit too. Alerts when the calls of a model are more than 2.488 times those of 5 minutes before, which is 20 "
        "% a minute, and above half of the limit. Needs `models` and `limits` with `rpm`.",
        f"Calls of {NAME} grow by more than 20% a minute in {{{{region.name}}}}",
        f"max(last_1h):{CALLS} / {before(CALLS)}{where(f'cutoff_min({CALLS}, 0.5)')}",
        "> 2.48832",
        f"Calls of model {NAME} {PLACE} grew to {VALUE} times as many in 5 minutes, above half of the limit.",
        f"Calls of {NAME} have grown more slowly for an hour.",
        "find the API key whose calls grow, and let its clients begin more slowly.",
        "To change the factor, edit 2.48832 in the query and in the thresholds; 0.5 is the share of the limit. The "
        f"check must run every 5 minutes, or more often. {STAYS}",
    ),
}
