"""`report --models`: what each model used and cost, as Cloud Eye tells it by the hour."""

from __future__ import annotations

import contextlib
import datetime as dt
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence

from msgspec.structs import replace
from rich.console import Console

from ...cloud import Pool
from ...collection import Problem, Runtime, open_store
from ...config import Instance
from ...scheduling import Crew, Gates
from ...state import Store, Warn
from ..comparison import compare
from .ask_models import Found, find_models
from .files import encode
from .model_rows import Hours, estimate, last_week, rows_of, whole_hours
from .models_table import TELLS, ModelsPage, share_of, show_models
from .periods import check_one, local
from .tables import PLENTY

COLUMNS = (
    *("region", "project_id", "tags", "range", "start", "end", "hours", "known_hours", "maas_api_id", "model"),
    *("total_tokens", "prompt_tokens", "completion_tokens", "requests", "errors", "share"),
)
COSTS = ("currency", "cost")


def report_models(
    instances: Sequence[Instance],
    form: str,
    now: int,
    tell: Callable[[Sequence[Problem]], None],
    warn: Warn,
    put: Callable[[str], None],
    runtime: Runtime,
) -> bool:
    """Find what the models of instances used and show it; tell whether anything of them is known.

    Args:
        instances: those with `models`, or all where none has it.
        form: `table`, `csv` or `json`.
        now: seconds since 1970.
        tell: takes the problems.
        warn: takes one line.
        put: takes what goes to standard output, where that is no table.
        runtime: the clock and the transport.
    """
    asked = [replace(each, models=True) for each in instances if each.models] or [
        replace(each, models=True) for each in instances
    ]
    for each in asked:
        check_one(each, "model")
    zones = [each.zone() for each in asked]
    pages: List[ModelsPage] = []
    clock = runtime.clock
    with contextlib.closing(open_store(asked, warn, clock)) as store, contextlib.closing(Pool()) as pool:
        gates = Gates(store, clock)
        spans = [whole_hours(each, now * 1000) for each in asked]
        ways = [runtime.connect(each, pool) for each in asked]
        works = {
            i: partial(find_models, each, ways[i], _wanted(each, hours, now), gates, clock, now * 1000)
            for i, (each, hours) in enumerate(zip(asked, spans))
            if hours.told
        }
        ended = Crew(clock).do(works, workers=len(works))
        for i, (each, tz, hours) in enumerate(zip(asked, zones, spans)):
            found = ended.get(i)
            if isinstance(found, Exception):
                raise found
            page = None if found is None else _page(each, tz, hours, found, store, now * 1000)
            tell(_problems(each, found, page))
            pages += [page] if page else []
    if form == "table":
        console = Console()
        if not console.is_terminal:
            console.width = PLENTY
        for page in pages:
            show_models(console, page)
    else:
        columns = (*COLUMNS, *(COSTS if any(page.instance.prices for page in pages) else ()))
        put(encode(form, [record for page in pages for record in _records(page, columns)], columns))
    return bool(pages)


def _wanted(instance: Instance, hours: Hours, now: int) -> List[int]:
    """List the hours to know: with prices those of the last week too, for the estimate."""
    return sorted({*hours.told, *(last_week(now * 1000) if instance.prices else ())})


def _page(
    instance: Instance, tz: dt.tzinfo, hours: Hours, found: Found, store: Store, now: int
) -> Optional[ModelsPage]:
    """Lay out what was found; None where nothing is known, but that there are models, or that something failed."""
    if found.known is None:
        return None
    known = found.known
    rows, there = rows_of(instance, known, hours.told)
    if not there and (rows or found.failures):
        return None
    return ModelsPage(
        instance,
        found.account.project_id,
        tz,
        hours,
        len(there),
        rows,
        known.listed_since,
        estimate(instance, known, now, tz) if instance.prices else None,
        compare(instance, store, found.account, known.tokens(hours.told), now),
    )


def _problems(instance: Instance, found: Optional[Found], page: Optional[ModelsPage]) -> List[Problem]:
    where = instance.display_name
    if found is None:
        text = f"{instance.ranges[0].name} has no whole hour (UTC) that is over, and that the cloud keeps"
        return [Problem("E", f"{where}: {text}: choose another range, such as --last 24h", where)]
    causes = list(dict.fromkeys(map(str, found.failures)))
    if not page and not causes:
        causes.append(f"no hour of {instance.ranges[0].name} is known: it {TELLS}")
    return [Problem("W" if page else "E", f"{where}: Cloud Eye: {text}", text) for text in causes]


def _records(page: ModelsPage, columns: Sequence[str]) -> List[Dict[str, Any]]:
    """Make a record of each model; what is not known of it is None."""
    asked, prices = page.instance, page.instance.prices
    start, end = (local(at, page.tz).isoformat(timespec="seconds") for at in (page.hours.start, page.hours.until))
    shared = {
        "region": asked.region,
        "project_id": page.project_id,
        "tags": ",".join(asked.tags),
        "range": asked.ranges[0].name,
        "start": start,
        "end": end,
        "hours": page.hours.number,
        "known_hours": page.known,
        "currency": prices.currency if prices else None,
    }
    records: List[Dict[str, Any]] = []
    for row in page.rows:
        own = {
            "maas_api_id": row.api_id,
            "model": row.name,
            "share": share_of(row, page.rows),
            "cost": None if row.cost is None else row.cost.normalize(),
        }
        values = {**shared, **own}
        records.append({name: values[name] if name in values else getattr(row.usage, name, None) for name in columns})
    return records
