"""The alert rules that look back over days, in the real promtool: each fires when it should, and only then.

Those that need no day are in examples/prometheus/alerts_test.yml.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, Optional, Tuple

import pytest

from .alerts import DAY, HOUR, Expected, Value, check, collection, counter, series

pytestmark = pytest.mark.timeout(180)
TOKENS = "huawei_maas_consumed_tokens_total"
RANGE = "huawei_maas_usage_total_tokens"
COST = "huawei_maas_model_cost_consumed_cost_total"
BUDGET = 1_000_000_000
JANUARY_24 = "23 * 86400"
"""A clock by which these weeks begin on the 24th: the month has 8 days left."""
CHANGE = 8 * DAY
COARSE = HOUR // 2


def steady(value: float) -> Value:
    return lambda at: value


def unless(start: int, end: int) -> Callable[[int], bool]:
    return lambda at: not start <= at < end


def of_month(total: float, there: Callable[[int], bool] = lambda at: True) -> Value:
    """Make the range this_month of an account that used so much in January and begins anew in February."""
    return lambda at: (total if at < CHANGE else (at - CHANGE) / (40 * DAY) * BUDGET) if there(at) else None


def test_the_budget_is_the_calendar_months_and_each_token_of_it_counts_once(tmp_path: Path) -> None:
    hole = unless(CHANGE - HOUR // 2, CHANGE + HOUR // 2)

    def fast(at: int) -> float:
        return BUDGET / (6 * DAY)

    def forgot(at: int) -> float:  # the state was lost after the fourth day: what was before it is not known any more
        lost = at >= 4 * DAY
        return BUDGET * (0.4 * min(at / DAY - 4, 3) if lost else 0.5 + 0.7 * min(at / DAY, 3) / 3)

    this_month = {"range": "this_month", "service_type": "preset"}
    given = [
        series(TOKENS, counter(fast), "counted", service_type="preset"),
        series(TOKENS, counter(fast, hole), "counted, with a gap at the change", service_type="preset"),
        series(TOKENS, counter(fast, unless(5 * DAY, 5 * DAY + HOUR)), "restarted", service_type="preset"),
        series(TOKENS, forgot, "the state was lost", service_type="preset"),
        series(TOKENS, counter(lambda at: BUDGET / (9 * DAY)), "little", service_type="preset"),
        series(RANGE, of_month(1.1 * BUDGET), "told", **this_month),
        series(RANGE, of_month(0.6 * BUDGET), "told of two services", **this_month),
        series(RANGE, of_month(0.6 * BUDGET), "told of two services", **{**this_month, "service_type": "my_service"}),
        series(RANGE, of_month(0.9 * BUDGET), "told less than counted", **this_month),
        series(TOKENS, counter(fast), "told less than counted", service_type="preset"),
        series(RANGE, of_month(0.6 * BUDGET), "two hosts", instance="one", **this_month),
        series(RANGE, of_month(0.6 * BUDGET), "two hosts", instance="two", **this_month),
        series(RANGE, steady(5 * BUDGET), "other ranges", range="last_30d", service_type="preset"),
        series("huawei_maas_key_usage_total_tokens", steady(2 * BUDGET), "keys", api_key_label="x", **this_month),
    ]
    counted = {"counted", "counted, with a gap at the change", "restarted"}
    told = {"told", "told of two services"}
    check(
        tmp_path,
        "MaasTokenBudgetUsed",
        given,
        Expected(HOUR, 4 * DAY, told),
        Expected(4 * DAY, CHANGE - HOUR, {*told, *counted, "the state was lost"}),
        Expected(CHANGE + 2 * HOUR, CHANGE + 5 * DAY, ()),
        Expected(CHANGE + 5 * DAY, CHANGE + 7 * DAY, counted),
        step=COARSE,
        clock=JANUARY_24,
    )


def test_the_budget_holds_through_a_partial_failure_until_that_has_an_alarm_of_its_own(tmp_path: Path) -> None:
    there = unless(DAY, 2 * DAY)
    given = [
        series(RANGE, of_month(0.6 * BUDGET, there), "r", range="this_month", service_type="preset"),
        series(RANGE, of_month(0.6 * BUDGET), "r", range="this_month", service_type="my_service"),
    ]
    minutes = [DAY + minute * 60 for minute in range(0, 115, 10)]
    check(tmp_path, "MaasTokenBudgetUsed", given, *(Expected(at - 300, at, ["r"]) for at in minutes))


def test_the_forecast_is_the_month_so_far_and_its_rest_at_the_rate_of_the_last_week(tmp_path: Path) -> None:
    week = {"range": "last_7d", "service_type": "preset"}
    month = {"range": "this_month", "service_type": "preset"}
    given = [
        series(RANGE, of_month(0.8 * BUDGET), "grows", **month),
        series(RANGE, steady(0.21 * BUDGET), "grows", **week),
        series(RANGE, of_month(0.8 * BUDGET), "grows little", **month),
        series(RANGE, steady(0.16 * BUDGET), "grows little", **week),
        series(RANGE, of_month(1.1 * BUDGET), "is over already", **month),
        series(RANGE, steady(0.2 * BUDGET), "is over already", **week),
        series(TOKENS, counter(lambda at: BUDGET / (10 * DAY)), "counted", service_type="preset"),
        series(TOKENS, counter(lambda at: BUDGET / (60 * DAY)), "counted little", service_type="preset"),
    ]
    check(
        tmp_path,
        "MaasTokenBudgetForecast",
        given,
        Expected(HOUR, DAY // 2, ["grows"]),  # 0.8 + 0.21 / 7 * 8 = 1.04
        Expected(2 * DAY, CHANGE, ()),  # 0.8 + 0.21 / 7 * 6 = 0.98; counted: 8 days of 0.1
        Expected(CHANGE + 2 * HOUR, 12 * DAY, ["counted"]),  # 28 days of 0.1
        step=COARSE,
        clock=JANUARY_24,
    )


def test_cost_over_budget_is_the_calendar_months_by_currency_and_the_forecast_comes_before_it(tmp_path: Path) -> None:
    def spends(total: float, days: float, case: str, **labels: str) -> Tuple[str, Value]:
        model = {"maas_api_id": "m", "model": "m", "currency": "CNY", **labels}
        return series(COST, counter(lambda at: total / (days * DAY)), case, **model)

    given = [
        spends(10_000, 5, "fast"),
        spends(6_000, 6, "two models"),
        spends(6_000, 6, "two models", maas_api_id="n", model="n"),
        spends(10_000, 40, "slow"),
        spends(6_000, 6, "two currencies"),
        spends(6_000, 6, "two currencies", currency="USD"),
        spends(6_000, 6, "two jobs", job="node"),
        spends(6_000, 6, "two jobs", job="maas"),
        ('huawei_maas_model_key_cost_consumed_cost_total{region="keys",currency="CNY"}', counter(lambda at: 1.0)),
    ]
    check(
        tmp_path,
        "MaasCostBudgetUsed",
        given,
        Expected(HOUR, 4 * DAY, ()),
        Expected(4 * DAY, CHANGE, ["fast", "two models"]),
        Expected(CHANGE + HOUR, 12 * DAY, ()),
        step=COARSE,
        clock=JANUARY_24,
    )
    check(
        tmp_path,
        "MaasCostBudgetForecast",
        given,
        Expected(3 * DAY, 4 * DAY, ["fast", "two models"]),
        Expected(7 * DAY, CHANGE, ()),
        Expected(CHANGE + 2 * HOUR, 9 * DAY, ["fast", "two models", "two currencies", "two jobs"]),
        step=COARSE,
        clock=JANUARY_24,
    )


def test_a_day_is_unusual_against_its_own_weekday_and_not_for_what_an_outage_held_back(tmp_path: Path) -> None:
    usual, spike, step = 10_000_000 / DAY, 8 * DAY, HOUR // 6
    outage, gap = unless(8 * DAY, 9 * DAY), unless(8 * DAY, 8 * DAY + HOUR)
    long_outage = unless(5 * DAY, 9 * DAY)

    def usual_day(case: str, value: Value, **when: Callable[[int], bool]) -> List[Tuple[str, Value]]:
        return [series(TOKENS, value, case, service_type="preset"), *collection(case, **when)]

    def weekdays(at: int) -> float:
        return usual if at // DAY % 7 < 5 else usual / 10

    def held(rate: float, answered: Callable[[int], bool]) -> Value:
        total = counter(lambda at: rate)
        seen = 0.0

        def value(at: int) -> float:
            nonlocal seen
            now = total(at)
            seen = now if answered(at) and now else seen
            return seen

        return value

    given = [
        *usual_day("spike", counter(lambda at: usual * (4 if at >= spike else 1))),
        *usual_day("two services", counter(lambda at: usual)),
        series(TOKENS, counter(lambda at: usual * (6 if at >= spike else 1)), "two services", service_type="x"),
        *usual_day("twice", counter(lambda at: usual * (2 if at >= spike else 1))),
        *usual_day("week ends", counter(weekdays)),
        *usual_day("tiny", counter(lambda at: (100 if at >= spike else 1) / 100)),
        *usual_day("the cloud was down", held(usual, outage), is_up=outage),
        *usual_day("the cloud was down for days", held(usual, long_outage), is_up=long_outage),
        *usual_day("the host was down", counter(lambda at: usual, outage), runs=outage),
        *usual_day("a gap of an hour", counter(lambda at: usual, gap), runs=gap),
        *usual_day("spike and a gap", counter(lambda at: usual * (4 if at >= spike else 1), gap), runs=gap),
    ]
    check(
        tmp_path,
        "MaasDayUnusual",
        given,
        Expected(HOUR, 8 * DAY, ()),
        Expected(8 * DAY, 10 * DAY + HOUR, ["spike", "two services", "spike and a gap"]),
        step=step,
    )


def of_model(case: str, rate: Value, **fields: Value) -> List[Tuple[str, Value]]:
    """Make the gauges of a model; what it has besides requests is there when they are."""
    calls = series("huawei_maas_model_requests_per_minute", rate, case, maas_api_id="m", model="m")
    return [
        calls,
        *(
            series(
                f"huawei_maas_model_{field}",
                lambda at, value=value: None if rate(at) is None else value(at),
                case,
                maas_api_id="m",
                model="m",
            )
            for field, value in fields.items()
        ),
    ]


def test_a_model_is_slow_by_its_own_last_week(tmp_path: Path) -> None:
    late = DAY + 12 * HOUR

    def slower(at: int) -> float:
        return 9.0 if at >= late else 2.0

    busy = steady(20.0)
    given = [
        *of_model("slower", busy, latency_seconds=slower),
        *of_model("slow as ever", busy, latency_seconds=steady(9.0)),
        *of_model("a little slower", busy, latency_seconds=lambda at: 3.5 if at >= late else 2.0),
        *of_model("new", lambda at: 20.0 if at >= late else None, latency_seconds=steady(9.0)),
        *of_model("new and slower", lambda at: 20.0 if at >= late - 4 * HOUR else None, latency_seconds=slower),
        *of_model("a lone slow call", lambda at: 1.0 if at % HOUR == 0 else None, latency_seconds=slower),
        *of_model("silent since", lambda at: 20.0 if at < late else None, latency_seconds=slower),
        *of_model("a slow minute", busy, latency_seconds=lambda at: 9.0 if at == late else 2.0),
    ]
    check(tmp_path, "MaasModelSlow", given, Expected(HOUR, late, ()), Expected(late, late + 6 * HOUR, ["slower"]))


def test_a_model_that_stops_answering_is_told_from_a_night_a_failure_and_a_gap(tmp_path: Path) -> None:
    stop, gap = 7 * DAY + 12 * HOUR, unless(7 * DAY + 12 * HOUR, 7 * DAY + 13 * HOUR)

    def until(end: int) -> Value:
        return lambda at: 20.0 if at < end else None

    def since_stop(at: int) -> Optional[float]:
        return 20.0 if at >= stop else None

    def by_day(at: int) -> Optional[float]:
        return 20.0 if 9 * HOUR <= at % DAY < 18 * HOUR else None

    def whenever(there: Callable[[int], bool]) -> Value:
        return lambda at: 20.0 if there(at) else None

    def model(
        case: str, rate: Value, error_ratio: Optional[Value] = None, **when: Callable[[int], bool]
    ) -> List[Tuple[str, Value]]:
        return [*of_model(case, rate, error_ratio=error_ratio or steady(0.0)), *collection(case, **when)]

    given = [
        *model("no call", until(stop)),
        *model("all fail", steady(20.0), lambda at: 1.0 if at >= stop else 0.0),
        *model("half fail", steady(20.0), lambda at: 0.5 if at >= stop else 0.0),
        *of_model("no ratio", steady(20.0)),
        *collection("no ratio"),
        *model("night", by_day),
        *model("renamed", until(stop)),
        series("huawei_maas_model_requests_per_minute", since_stop, "renamed", maas_api_id="m", model="new name"),
        *model("a weekday of rest", whenever(lambda at: at // (12 * HOUR) % 14 != 1)),
        *model("rarely called", lambda at: 1.0 if at < stop else None),
        *model("not asked", until(stop), is_up=lambda at: at < stop),
        *model("gone with its collection", until(stop), runs=lambda at: at < stop),
        *model("a gap of an hour", whenever(gap), runs=gap),
        *model("a failure of an hour", whenever(gap), is_up=gap),
    ]
    check(
        tmp_path,
        "MaasModelNotAnswering",
        given,
        Expected(HOUR, stop, ()),
        Expected(stop, 8 * DAY, ["no call", "all fail"]),
    )


def test_a_key_begins_to_spend_after_a_week_without_and_only_where_a_week_is_known(tmp_path: Path) -> None:
    begins = 9 * DAY
    counted, whole = "huawei_maas_model_key_consumed_tokens_total", "huawei_maas_model_consumed_tokens_total"

    def label(value: Value, case: str) -> Tuple[str, Value]:
        return series("huawei_maas_key_usage_total_tokens", value, case, range="last_7d", api_key_label="x")

    def key(value: Value, case: str, **labels: str) -> Tuple[str, Value]:
        return series(counted, value, case, **{"maas_key_id": "k", "maas_api_id": "m", **labels})

    def spends(since: int, there: Callable[[int], bool] = lambda at: True) -> Value:
        return counter(lambda at: 1.0 if at >= since else 0.0, there)

    given = [
        label(lambda at: 50_000 if at >= begins else 0, "label"),
        label(lambda at: 50_000 if at >= begins else 20, "label with a little before"),
        label(lambda at: 5_000 if at >= begins else 0, "label that only tries"),
        label(lambda at: 50_000 if at >= begins else None, "label configured anew"),
        key(spends(begins, lambda at: at >= begins), "key"),
        series(whole, steady(1.0), "key"),
        key(spends(0), "key that is used"),
        series(whole, steady(1.0), "key that is used"),
        key(spends(0, unless(begins, begins + HOUR)), "key over a restart"),
        series(whole, steady(1.0), "key over a restart"),
        key(spends(0), "key on another model"),
        key(spends(begins), "key on another model", maas_api_id="n"),
        series(whole, steady(1.0), "key on another model"),
        key(spends(begins, lambda at: at >= begins), "models anew"),
        series(whole, lambda at: 1.0 if at >= begins else None, "models anew"),
    ]
    check(
        tmp_path,
        "MaasKeyBegins",
        given,
        Expected(HOUR, begins, ()),
        Expected(begins, begins + DAY, ["label", "key"]),
        Expected(begins + DAY + 6 * HOUR, begins + 2 * DAY, ()),
        step=COARSE,
    )


def test_the_statistics_are_late_only_where_something_was_used(tmp_path: Path) -> None:
    late, step = 8 * DAY, HOUR // 6
    calls = "huawei_maas_model_consumed_requests_total"

    def newest(used: Callable[[int], bool]) -> Value:
        """Make the end of the newest hour with use, told 2 hours later."""
        return lambda at: next(
            (hour for hour in range((at - 2 * HOUR) // HOUR * HOUR, -DAY, -HOUR) if used(hour - 1)), -DAY
        )

    def until_late(at: int) -> bool:
        return at < late

    def told(used: Callable[[int], bool], case: str) -> List[Tuple[str, Value]]:
        return [series("huawei_maas_api_newest_usage_timestamp_seconds", newest(used), case), *collection(case)]

    def by_day(at: int) -> bool:
        return 9 <= at // HOUR % 24 < 18

    given = [
        *told(until_late, "late"),
        *told(until_late, "late, as Cloud Eye shows"),
        series(calls, counter(lambda at: 1.0), "late, as Cloud Eye shows", model="m"),
        *told(until_late, "unused, as Cloud Eye shows"),
        series(calls, counter(lambda at: float(at < late)), "unused, as Cloud Eye shows", model="m"),
        *told(lambda at: True, "in time"),
        *told(by_day, "night"),
        *told(lambda at: at < 2 * DAY, "unused since days"),
        series("huawei_maas_api_newest_usage_timestamp_seconds", newest(until_late), "not asked"),
        *collection("not asked", until_late),
    ]
    check(
        tmp_path,
        "MaasStatisticsLate",
        given,
        Expected(HOUR, late + 4 * HOUR, ()),
        Expected(late + 4 * HOUR, late + 20 * HOUR, ["late", "late, as Cloud Eye shows"]),
        step=step,
    )
