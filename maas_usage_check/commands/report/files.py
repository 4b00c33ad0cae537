"""The rows of `report` for programs: CSV and JSON with the same columns, plain numbers and times with their offset."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any, Dict, List, Sequence

from ...cloud.usage import Usage
from ...collection import Batch
from .periods import Page, local
from .rows import Row

COLUMNS = (
    *(
        "region",
        "project_id",
        "tags",
        "range",
        "start",
        "end",
        "partial",
        "service_type",
        "infer_type",
        "api_key_label",
    ),
    *Usage.__struct_fields__,
    "error_ratio",
)


def records(page: Page, batch: Batch, rows: Sequence[Row]) -> List[Dict[str, Any]]:
    """Make a record of each row; the numbers of one that the cloud did not answer are None."""
    asked = page.asked
    project_id = next((point.tags["project_id"] for point in batch.points if "project_id" in point.tags), None)
    return [
        {
            "region": asked.region,
            "project_id": project_id,
            "tags": ",".join(asked.tags),
            "range": row.span.name,
            "start": local(row.span.start, page.tz).isoformat(timespec="seconds"),
            "end": local(row.span.end, page.tz).isoformat(timespec="seconds"),
            "partial": row.span.partial,
            "service_type": row.service_type,
            "infer_type": row.infer_type,
            "api_key_label": row.label,
            **{name: getattr(row.usage, name, None) for name in (*Usage.__struct_fields__, "error_ratio")},
        }
        for row in rows
    ]


def encode(form: str, records: Sequence[Dict[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """Write records as `csv` with a line of names, or as one `json` array with a record per line."""
    if form == "json":
        lines = ",\n".join(json.dumps(record, ensure_ascii=False, default=float) for record in records)
        return f"[\n{lines}\n]\n"
    output = io.StringIO()
    writer = csv.DictWriter(output, columns, lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _written(value) for name, value in record.items()})
    return output.getvalue()


def _written(value: Any) -> Any:
    """Write what Python writes in its own way: true and false, and decimals without an exponent."""
    return json.dumps(value) if isinstance(value, bool) else f"{value:f}" if isinstance(value, Decimal) else value
