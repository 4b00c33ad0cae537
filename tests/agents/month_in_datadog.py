"""A simulated month of the Agent's check, and the samples that it submitted."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from werkzeug import Response

from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.emulator.simulated_models import SimulatedModels

from ..conftest import Cloud, FixedClock
from .datadog_query_eval import Sample
from .demo_account import REGION
from .expected_hours import DAY, HOUR, HourlyUsage, Usage, expected_hour, sum_usage
from .expected_models import (
    MINUTE,
    TRAFFIC,
)
from .simulated_account import (
    END,
    LABELS,
    SERVICES,
    Series,
    entry_of_models,
    expected_counts,
)

Make = Callable[..., Any]
Values = Dict[Any, float]
BEGAN, WEEK = END - 33 * DAY, 7 * DAY
TIMES = (
    *range(BEGAN, END - 17 * DAY, DAY),
    *range(END - 17 * DAY, END - DAY, 8 * HOUR),
    *range(END - DAY, END - HOUR, HOUR),
    *range(END - HOUR, END + 1, 5 * MINUTE),
)
"""When the check ran."""
DOWN = range(BEGAN + DAY, BEGAN + 2 * DAY)
PARTIAL = END + 15 * MINUTE
"""When the cloud failed; when it refused queries of preset services."""
HERE = (REGION, PROJECT_ID)


class Month:
    """Runs the check on the test's clock; records the submitted samples and the expected counts."""

    def __init__(self, cloud: Cloud, clock: FixedClock, make: Make, aggregator: Any) -> None:
        clock.at = BEGAN / 1000
        cloud.emulator.usage = self.usage = HourlyUsage(late=True)
        cloud.emulator.models = self.models = SimulatedModels(3, 2, TRAFFIC, late=True)
        cloud.emulator.requests_per_minute = 5000
        check = make(cloud.entry(**entry_of_models(self.models), backfill_days=0, min_collection_interval=300))
        truth = expected_counts(self.usage, self.models, BEGAN)
        self.samples: List[Sample] = []
        self.grown: Dict[int, Dict[Series, Usage]] = {}
        """Rise of each series' counts in each cycle."""
        for at in (*TIMES, PARTIAL):
            cloud.responder = (lambda request: Response(b"{}", 503)) if at in DOWN else None
            self.usage.refused_service_type = SERVICES["preset"] if at == PARTIAL else 0
            clock.at = at / 1000
            aggregator.reset()
            check.run()
            self.samples += [
                Sample(at // 1000, name, dict(tag.split(":", 1) for tag in one.tags), one.value)
                for name in aggregator.metric_names
                for one in aggregator.metrics(name)
            ]
            before = {each: counts.maximum for each, counts in truth.items()}
            for each, counts in truth.items():
                if at not in DOWN and SERVICES.get(each[0], -1) != self.usage.refused_service_type:
                    counts.update(at)
            self.grown[at] = {
                each: tuple(new - old for old, new in zip(before[each], counts.maximum))
                for each, counts in truth.items()
            }

    def hour(self, at: int, now: int, service: str, label: str = "") -> Usage:
        """Return what the cloud reports at `now` for an hour of a service type and a label."""
        return expected_hour(self.usage, at, now, SERVICES[service], LABELS[label])

    def used(self, start: int, end: int, *wanted: Series) -> Usage:
        return sum_usage(*(self.grown[at][each] for at in self.grown if start <= at <= end for each in wanted))
