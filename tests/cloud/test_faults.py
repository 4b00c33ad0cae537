"""Every row of the table of faults, where it is classified: one cycle on the fixed clock, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.cloud import provider
from maas_usage_check.collection import Collector, run_cycle
from maas_usage_check.config import load_instance
from maas_usage_check.metrics import find_encoder

from ..conftest import FixedClock
from ..faults.checks import check_line, check_points, check_requests, entry, set_up
from ..faults.fake_socket import FakeSocketTransport, faulty_cloud  # noqa: F401
from ..faults.faulty_cloud import FaultyCloud
from ..faults.table import TABLE, Row, row_ids


@pytest.mark.parametrize("row", TABLE, ids=row_ids(TABLE))
def test_every_row(
    row: Row,
    faulty_cloud: FaultyCloud,  # noqa: F811
    clock: FixedClock,
    make_collector: Callable[..., Collector],
    tmp_path: Path,
) -> None:
    set_up(row, faulty_cloud, tmp_path)
    keys = entry(row, faulty_cloud, tmp_path)
    instance = load_instance(keys, {}, "instances[0]", clock.now())
    transport = FakeSocketTransport(faulty_cloud, clock, instance)
    batch = run_cycle([make_collector(keys, provider=provider(instance.credentials), transport=transport)])[0]
    assert batch.collected == row.up
    check_points(row, [parse_line(line) for line in find_encoder("influx")(batch.points).splitlines()])
    check_line(row, str(batch.problems[0]))
    check_requests(row, len(faulty_cloud.requests))
