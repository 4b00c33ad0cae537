"""Write the queries of the Datadog monitors of usage: `python -m tools.datadog_monitors`."""

from __future__ import annotations

import json
from typing import Iterator, Tuple

from .datadog import FOLDER, text
from .datadog_queries import Each, Sum, added


def monitors() -> Iterator[Tuple[str, str]]:
    """Write the queries of the monitors of usage, by the names of their files."""
    tokens = added(Sum("total_tokens", span="last_30d").queries())
    yield "token_budget", f"max(last_2h):{tokens} > 1000000000"
    errors, requests = (Each(field, "last_7d").queries()[0] for field in ("errors", "requests"))
    yield "error_ratio", f"min(last_30m):{errors} / {requests} > 0.1"


if __name__ == "__main__":
    for name, query in monitors():
        file = FOLDER / "monitors" / f"{name}.json"
        monitor = json.loads(file.read_text(encoding="utf-8"))
        monitor["definition"]["query"] = query
        file.write_text(text(monitor), encoding="utf-8")
