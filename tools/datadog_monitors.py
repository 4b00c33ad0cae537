"""Write the Datadog monitors, of usage and of the collection: `python -m tools.datadog_monitors`."""

from __future__ import annotations

from typing import Dict

from maas_usage_check.metrics import API

from .datadog import FOLDER, text
from .datadog_monitor import CRITICAL, Monitor, document, gauge, where
from .datadog_monitors_of_limits import OF_LIMITS
from .datadog_monitors_of_use import OF_USE
from .datadog_queries import earlier

SEVERAL = (
    "With several instances in one region, add a tag to each, such as `account:search`, and add its name after `by` in "
    "the query, so that {what}."
)
CODE = gauge(API, "result_code", "region")
OF_CREDENTIALS = f"cutoff_max(cutoff_min({CODE}, 1.5), 7.5)"
"""The result code, only if the credentials are the cause."""


def late() -> str:
    """Write the age of the newest use, only if it was fresh at this time yesterday and a week ago."""
    asked, used = (gauge(API, f"{name}_timestamp_seconds", "region") for name in ("last_success", "newest_usage"))
    usual = (f"cutoff_max({earlier(asked, days)} - {earlier(used, days)}, 14400)" for days in (1, 7))
    return f"min(last_30m):{asked} - {used}{''.join(map(where, usual))}"


MONITORS: Dict[str, Monitor] = {
    **OF_USE,
    **OF_LIMITS,
    "statistics_late": Monitor(
        "The cloud's MaaS statistics are late",
        "Budgets and errors are out of date. Alerts when the newest use in the cloud's statistics is older than 4 "
        "hours, and was fresh at this time yesterday and a week ago. Needs `hourly`.",
        "The statistics of {{region.name}} are more than 4 hours late",
        late(),
        "> 14400",
        "The newest use in the cloud's statistics of {{region.name}} is {{value}} seconds old.",
        "The statistics are up to date again.",
        "the normal delay is 1 to 2 hours. Open the console's call statistics. If the last hours are missing there "
        "too, wait: nothing is lost, the hours are counted when the cloud reports them. If there were no calls since, "
        "there is nothing to do.",
        "To change the limit, edit 14400 in the query, three times, and in the thresholds. A night without use does "
        "not alert if the nights before had none.",
    ),
    "collection_down": Monitor(
        "MaaS usage is not collected",
        "Without collection the dashboards are out of date. Alerts when no query succeeded for 3 hours, or when no "
        "data arrived for 3 hours. Credentials that do not work have their own monitor.",
        "No usage collected for 3 hours in {{region.name}}",
        f"max(last_3h):{gauge(API, 'up', 'region')} + default_zero({OF_CREDENTIALS})",
        "< 1",
        "No query to MaaS in {{region.name}} succeeded for 3 hours: its usage on the dashboards is out of date.",
        "Usage is collected again.",
        "run `agent status` on the Agent's host and read the section maas_usage_check: one line names what is wrong "
        "and what to do. `agent check maas_usage_check` runs the check at once. `huawei_maas.api.result_code` is the "
        "kind of failure (dashboard Huawei Cloud MaaS usage).",
        SEVERAL.format(what="an instance that works does not hide one that fails")
        + " For an earlier alert, shorten last_3h in the query.",
        priority=CRITICAL,
        missing="show_and_notify_no_data",
        no_data="The check sent no data for 3 hours: the Agent is down, the check was removed, or its configuration "
        "does not load.",
        renotify=True,
    ),
    "collection_partial": Monitor(
        "Some MaaS usage is not collected",
        "Missing series soon drop out of the totals. Alerts when every cycle of an hour was partial (result_code 1): "
        "some queries failed, or the state cannot be written and counts are paused.",
        "Some MaaS usage in {{region.name}} has been missing for an hour",
        f"min(last_1h):cutoff_max({CODE}, 1.5)",
        "> 0.5",
        "No cycle in {{region.name}} was complete for an hour: some queries to MaaS fail, or the state cannot be "
        "written, and hours and counts are paused. The dashboard and the budgets keep the last value of a missing "
        "series for an hour or two, then leave it out.",
        "All usage is collected again.",
        "run `agent status` on the Agent's host and read the section maas_usage_check: its warning names the ranges "
        "and service types without a value, or the state's file (a full disk, a damaged file), the cause and the "
        "remedy. Apply it, or remove from conf.yaml what the account does not have. `huawei_maas.api.failed_queries` "
        "is their number.",
        SEVERAL.format(what="the code of one instance does not hide another's"),
        new_group_delay=3600,
    ),
    "credentials_refused": Monitor(
        "MaaS credentials do not work",
        "The cloud locks a key after too many refusals. Alerts when credentials are missing, refused, locked or "
        "expired, or the host's clock is off (result_code 2 to 7).",
        "The credentials do not work in {{region.name}}",
        f"max(last_15m):{OF_CREDENTIALS}",
        "> 1.5",
        "The credentials for MaaS in {{region.name}} do not work: result_code {{value}}.\n\n2: none found. 3: the "
        "access key or its secret is wrong. 4: the key is locked for 5 minutes. 5: refused before; the reason is no "
        "longer known. 6: the host's clock is off. 7: the temporary credentials have expired.",
        "The credentials work again.",
        "run `agent status` on the Agent's host; the check's line names the cause. Put the right key into the "
        "credentials file or the Agent's environment. A file is read again in the next cycle, the environment only "
        "after a restart. Code 6: set the clock (NTP). Codes above 7 have other causes: see the monitor of the "
        "collection.",
        SEVERAL.format(what="the code of one instance does not hide another's"),
        priority=CRITICAL,
        missing="resolve",
    ),
}


if __name__ == "__main__":
    for name, monitor in MONITORS.items():
        (FOLDER / "monitors" / f"{name}.json").write_text(text(document(monitor)), encoding="utf-8")
