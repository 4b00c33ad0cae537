from __future__ import annotations

import datetime as dt
from typing import List, Optional, Sequence, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_usage_check.cloud.usage import Usage
from maas_usage_check.commands.report.heat_map import HeatMap, heat_map
from maas_usage_check.config.ranges import to_ms

from .conftest import ZONES, ZoneInfo

HOUR = 3_600_000


def usage_of(tokens: Optional[int]) -> Optional[Usage]:
    return None if tokens is None else Usage(tokens, 0, 0, 0, 0)


def draw(zone: str, since: str, until: str, tokens: Sequence[Optional[int]], plain: bool = False) -> HeatMap:
    """Draw the local hours between two dates, with these tokens in turn."""
    tz = ZoneInfo(zone)
    hours = range(*(to_ms(dt.date.fromisoformat(each), tz) for each in (since, until)), HOUR)
    return heat_map([(at, usage_of(tokens[i % len(tokens)])) for i, at in enumerate(hours)], tz, 1, plain)


@given(
    st.sampled_from(ZONES),
    st.integers(1_790_000_000, 1_830_000_000),
    st.lists(st.none() | st.integers(0, 10**7), min_size=49, max_size=100),
)
def test_each_hour_has_one_cell(zone: str, begins: int, tokens: List[Optional[int]]) -> None:
    tz, first = ZoneInfo(zone), begins // 1800 * 1800
    pieces: List[Tuple[int, Optional[Usage]]] = [
        ((first + i * 3600) * 1000, usage_of(count)) for i, count in enumerate(tokens)
    ]
    found = heat_map(pieces, tz, 1, plain=True)
    dates = [dt.datetime.fromtimestamp(first + i * 3600, tz).date().isoformat() for i in range(len(tokens))]
    assert [day for day, _, _ in found.days] == sorted(set(dates))
    shades = "".join(cell for _, cells, _ in found.days for cell in cells if cell != " ")
    assert len(shades) == len(tokens)
    most = max((count for count in tokens if count), default=0)
    for shade, count in zip(shades, tokens):
        if count is None:
            assert shade == "?"
        elif count == 0:
            assert shade == "."
        else:
            quarter = "-+*#".index(shade) + 1
            assert (quarter - 1) * most < 4 * count <= quarter * most
    for day, cells, total in found.days:
        of_day = [count for date, count in zip(dates, tokens) if date == day]
        assert len(cells.replace(" ", "")) == len(of_day)
        known = [count for count in of_day if count is not None]
        assert (total == "-") is (not known)
        assert total.startswith("> ") is (0 < len(known) < len(of_day))
        if total != "-":
            total = total[2:] if total.startswith("> ") else total
            scale = 1_000_000 if total.endswith("M") else 1_000
            assert float(total[:-2].replace(",", "")) * scale == pytest.approx(sum(known), abs=scale / 199)


def test_heading() -> None:
    """An hour is below its number."""
    found = draw("Asia/Shanghai", "2026-11-03", "2026-11-06", [0] * 9 + [5] + [0] * 14)
    assert found.heading == "00 03 06 09 12 15 18 21"
    assert [cells.index("█") for _, cells, _ in found.days] == [found.heading.index("09")] * 3
    assert found.days[0][1].count("·") == 23


def test_day_of_25_hours() -> None:
    """The hour that comes twice has two columns."""
    found = draw("America/New_York", "2026-10-31", "2026-11-03", [1])
    before, repeated, after = (cells for _, cells, _ in found.days)
    assert (len(before), before[2], len(before.replace(" ", ""))) == (25, " ", 24)
    assert repeated == "█" * 25
    assert after == before
    assert "an hour that came twice has two columns" in found.legend[1]
    assert found.heading.index("03") == 4


def test_day_of_23_hours() -> None:
    """The skipped hour is blank."""
    found = draw("America/New_York", "2027-03-13", "2027-03-16", [1])
    assert [cells for _, cells, _ in found.days] == ["█" * 24, "██ " + "█" * 21, "█" * 24]
    assert "twice" not in found.legend[1]


def test_legend() -> None:
    """The legend has the upper limit of each shade."""
    found = draw("UTC", "2026-11-03", "2026-11-06", [4_000_000, 10, 0, None], plain=True)
    assert found.legend[0] == "Tokens an hour: . none, - to 1.00 M, + to 2.00 M, * to 3.00 M, # to 4.00 M"
    assert found.legend[1] == "? not known, > a sum without such hours, blank: outside the range, or no such hour"
    assert found.days[0][1] == "#-.?" * 6
    assert found.total == "> 72.00 M"


def test_no_use() -> None:
    """A map without use is all zeros."""
    found = draw("UTC", "2026-11-03", "2026-11-06", [0])
    assert found.legend[0] == "Tokens an hour: · none"
    assert {cells for _, cells, _ in found.days} == {"·" * 24}
    assert found.total == "0.00 K"
