"""The triggers of the Zabbix template."""

from __future__ import annotations

from typing import Iterator, NamedTuple


class Trigger(NamedTuple):
    """A trigger. In its expression each field in < > becomes the item of the field."""

    rule: str
    name: str
    expression: str
    priority: str
    remedy: str
    recovery: str = ""


def _of_budgets(rule: str, name: str) -> Iterator[Trigger]:
    remedy = (
        "Find the model and the API key with the most use, and talk to their owner; or raise the budget in the file."
    )
    ratio = "last(<used_ratio>)"
    yield Trigger(rule, f"{name} is nearly used up", f"{ratio}>0.8 and {ratio}<=1", "WARNING", remedy)
    yield Trigger(rule, f"{name} is used up", f"{ratio}>1", "WARNING", remedy)
    yield Trigger(
        rule,
        f"{name} will be used up at the rate of the last 7 days",
        # All values of an hour, of which at most two are missing.
        "count(<forecast_ratio>,1h)>9 and min(<forecast_ratio>,1h)>1 "
        f"and count(<covered_ratio>,1h)>9 and min(<covered_ratio>,1h)>=0.99 and {ratio}<=1",
        "WARNING",
        f"At least 99 % of the month's hours are known. {remedy}",
        f"last(<forecast_ratio>)<=1 or {ratio}>1",
    )


def _of_limits(limited: str) -> Iterator[Trigger]:
    ratio = f"<{limited}_limit_ratio>"
    yield Trigger(
        "models now",
        f"MaaS model {{#MODEL}} is above 80 % of its limit of {limited}",
        # Two values of 5 minutes, and not of one minute: it is sent again until there is a newer one.
        f"count({ratio},8m)>1 and min({ratio},8m)>0.8 and last(<tokens_per_minute>)<>last(<tokens_per_minute>,#2)",
        "WARNING",
        "Above its limit the cloud refuses calls with 429. Spread the calls over time, or request a larger quota.",
        f"last({ratio})<=0.8 or nodata({ratio},1h)=1",
    )


DOCTOR = "Run `maas-usage-check doctor --config FILE` as the agent's user: it names what is wrong and the remedy."
TRIGGERS = (
    Trigger(
        "collections",
        "MaaS usage is not collected",
        "(last(<result_code>)<=1 or last(<result_code>)>=8) and max(<up>,15m)=0 and count(<up>,15m)>1",
        "HIGH",
        DOCTOR,
    ),
    Trigger(
        "collections",
        "No MaaS data for 30 minutes",
        "nodata(<up>,30m)=1",
        "HIGH",
        f"The agent is down, its Timeout cuts the collection short, or the configuration is wrong. {DOCTOR}",
    ),
    Trigger(
        "collections",
        "Some MaaS usage has been missing for an hour",
        "min(<result_code>,1h)>0 and max(<up>,1h)=1 and count(<up>,1h)>5",
        "WARNING",
        DOCTOR,
    ),
    Trigger(
        "collections",
        "MaaS credentials do not work",
        "last(<result_code>)>=2 and last(<result_code>)<=7",
        "HIGH",
        DOCTOR,
    ),
    Trigger(
        "ranges",
        "Too many MaaS calls fail in {#RANGE} ({#SERVICE_TYPE}, {#INFER_TYPE})",
        'last(<error_ratio>)>{$MAAS.ERROR_RATIO.MAX:"{#RANGE}"}',
        "WARNING",
        "Check the error codes in the console's call statistics.",
    ),
    *_of_budgets("budgets", "The MaaS budget in {#UNIT}"),
    *_of_budgets("budgets of teams", "The MaaS budget of team {#TEAM} in {#UNIT}"),
    *_of_limits("requests"),
    *_of_limits("tokens"),
    Trigger(
        "models now",
        "Calls of MaaS model {#MODEL} grow by more than 20 % a minute",
        # 1.2 to the power of 5, for the 5 minutes between two values.
        "count(<requests_limit_ratio>,8m)=2 and last(<requests_limit_ratio>)>0.5 "
        "and last(<requests_limit_ratio>)>2.48832*last(<requests_limit_ratio>,#2)",
        "WARNING",
        "Huawei Cloud advises to let requests grow by at most 20 % a minute. Let the clients begin more slowly.",
        "count(<requests_limit_ratio>,8m)=2 and last(<requests_limit_ratio>)<=2.48832*last(<requests_limit_ratio>,#2) "
        "or nodata(<requests_limit_ratio>,1h)=1",
    ),
)
