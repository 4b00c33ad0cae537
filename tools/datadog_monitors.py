"""Write the Datadog monitors, those of use and those of the collection here: `python -m tools.datadog_monitors`."""

from __future__ import annotations

from typing import Dict

from maas_usage_check.metrics import API

from .datadog import FOLDER, text
from .datadog_monitor import CRITICAL, Monitor, document, gauge, where
from .datadog_monitors_of_use import OF_USE
from .datadog_queries import earlier

SEVERAL = (
    "With several instances in one region, give each a tag (say `account:...`) and add it after `by` in the query, so "
    "that {what}."
)
CODE = gauge(API, "result_code", "region")
OF_CREDENTIALS = f"cutoff_max(cutoff_min({CODE}, 1.5), 7.5)"
"""The result code where it is about the credentials."""


def late() -> str:
    """Write how old the newest use is, where that was fresh at this time of yesterday and of a week ago."""
    asked, used = (gauge(API, f"{name}_timestamp_seconds", "region") for name in ("last_success", "newest_usage"))
    usual = (f"cutoff_max({earlier(asked, days)} - {earlier(used, days)}, 14400)" for days in (1, 7))
    return f"min(last_30m):{asked} - {used}{''.join(map(where, usual))}"


MONITORS: Dict[str, Monitor] = {
    **OF_USE,
    "statistics_late": Monitor(
        "The cloud's MaaS statistics are late",
        "Budgets and errors are as of then. Alerts when the newest use that the cloud told of is older than 4 hours, "
        "at a time at which it was fresh yesterday and a week ago. Needs `hourly`.",
        "The statistics of {{region.name}} are more than 4 hours late",
        late(),
        "> 14400",
        "The newest use that the cloud's statistics tell of in {{region.name}} is {{value}} seconds old.",
        "The statistics are in time again.",
        "they are 1 to 2 hours late as a rule. Open the console's call statistics: if they lack the last hours too, "
        "wait; nothing is lost, the hours are counted when they come. If nobody called since, there is nothing to do.",
        "To change the limit, edit 14400 in the query, three times, and in the thresholds. A night without use is "
        "silent, as the night before was.",
    ),
    "collection_down": Monitor(
        "MaaS usage is not collected",
        "Without collection the usage stands still unseen. Alerts when no query was answered for 3 hours, for another "
        "cause than the credentials, which have a monitor of their own, or when nothing at all arrived for 3 hours.",
        "No usage collected for 3 hours in {{region.name}}",
        f"max(last_3h):{gauge(API, 'up', 'region')} + default_zero({OF_CREDENTIALS})",
        "< 1",
        "For 3 hours no query to MaaS in {{region.name}} was answered: what the dashboards show of its usage is stale.",
        "Usage is collected again.",
        "on the Agent's host run `agent status` and read the section maas_usage_check: its one line says what is wrong "
        "and what to do; `agent check maas_usage_check` tries at once. `huawei_maas.api.result_code` tells the kind of "
        "failure (dashboard Huawei Cloud MaaS usage).",
        SEVERAL.format(what="one that works does not hide one that does not")
        + " To be told sooner, write another time than last_3h.",
        priority=CRITICAL,
        missing="show_and_notify_no_data",
        no_data="For 3 hours nothing came from the check at all: the Agent is down, or the check was removed or its "
        "configuration does not load.",
        renotify=True,
    ),
    "collection_partial": Monitor(
        "MaaS usage is collected in part",
        "Totals soon lack what is not collected. Alerts when for an hour no cycle was whole though some were answered "
        "in part (result_code 1), or none could write the state, without which there are no counts.",
        "Some MaaS usage in {{region.name}} has been missing for an hour",
        f"min(last_1h):cutoff_max({CODE}, 1.5)",
        "> 0.5",
        "For an hour no cycle in {{region.name}} was whole: some queries to MaaS are answered, others are not, or the "
        "state cannot be written, and hours and counts are paused. The "
        "dashboard and the budget keep the last value of what does not come for 2 hours, then leave it out.",
        "Usage is collected whole again.",
        "on the Agent's host run `agent status` and read the section maas_usage_check: its warning names the ranges "
        "and service types that got no value, or the state's file (a full disk, a damaged file), why, and what to do. "
        "Do that, or take what the account does not have out of conf.yaml. "
        "`huawei_maas.api.failed_queries` counts them.",
        SEVERAL.format(what="the code of one does not hide the other's"),
        new_group_delay=3600,
    ),
    "credentials_refused": Monitor(
        "MaaS credentials are refused",
        "A wrong key is locked by the cloud when it is tried too often. Alerts when credentials are missing, refused, "
        "locked or expired (result_code 2 to 7).",
        "The credentials do not work in {{region.name}}",
        f"max(last_15m):{OF_CREDENTIALS}",
        "> 1.5",
        "The credentials for MaaS in {{region.name}} do not work: result_code {{value}}.\n\n2: none were found. 3: the "
        "cloud refused the key or its signature. 4: the key is locked for 5 minutes. 5: refused before, and why is not "
        "known any more. 6: the host's clock is off. 7: the temporary credentials expired.",
        "The credentials work again.",
        "on the Agent's host run `agent status`; the check's line says which of these it is. Put the right key into "
        "the credentials file or the Agent's environment: a file is read again at the next cycle, an environment after "
        "a restart, and a replaced key is tried in the next cycle. Code 6: set the clock (NTP). Codes above 7 are not "
        "the key's: see the monitor for the collection.",
        SEVERAL.format(what="the code of one does not hide the other's"),
        priority=CRITICAL,
        missing="resolve",
    ),
}


if __name__ == "__main__":
    for name, monitor in MONITORS.items():
        (FOLDER / "monitors" / f"{name}.json").write_text(text(document(monitor)), encoding="utf-8")
