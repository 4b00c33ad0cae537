"""The rows of `report` for programs: CSV and JSON with the same columns, plain numbers, and times with UTC offset."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any, Dict, List, Sequence

from ...cloud.usage import Usage
from ...collection import Batch
from .periods import Layout, local_time
from .usage_rows import UsageRow

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


def make_records(layout: Layout, batch: Batch, rows: Sequence[UsageRow]) -> List[Dict[str, Any]]:
    """Make a record of each row; its numbers are None if its usage is unknown."""
    instance = layout.configured
    project_id = next((point.tags["project_id"] for point in batch.points if "project_id" in point.tags), None)
    return [
        {
            "region": instance.region,
            "project_id": project_id,
            "tags": ",".join(instance.tags),
            "range": row.period.name,
            "start": local_time(row.period.start, layout.tz).isoformat(timespec="seconds"),
            "end": local_time(row.period.end, layout.tz).isoformat(timespec="seconds"),
            "partial": row.period.partial,
            "service_type": row.service_type,
            "infer_type": row.infer_type,
            "api_key_label": row.label,
            **{name: getattr(row.usage, name, None) for name in (*Usage.__struct_fields__, "error_ratio")},
        }
        for row in rows
    ]


def encode_records(form: str, records: Sequence[Dict[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """Encode records as `csv` with a header, or as one `json` array with a record per line."""
    if form == "json":
        lines = ",\n".join(json.dumps(record, ensure_ascii=False, default=float) for record in records)
        return f"[\n{lines}\n]\n"
    output = io.StringIO()
    writer = csv.DictWriter(output, columns, lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _csv_value(value) for name, value in record.items()})
    return output.getvalue()


def _csv_value(value: Any) -> Any:
    """Write booleans as true and false, decimals without an exponent."""
    return json.dumps(value) if isinstance(value, bool) else f"{value:f}" if isinstance(value, Decimal) else value
