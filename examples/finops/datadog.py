"""Turn a FOCUS file into a file for Datadog's Custom Costs.

    TZ=Asia/Shanghai python3 datadog.py 0.14 < focus.csv > costs.json

TZ is the `timezone` of the configuration: Datadog takes dates. The number is the US dollars for a unit of the file's
currency: Datadog takes no other. Rows without a cost are left out: it takes no empty values.
"""

import csv
import json
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Dict


def local_date(instant: str, seconds_before: int = 0) -> str:
    """Return the local date of an instant, or of a time before it."""
    moment = datetime.strptime(instant, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return (moment - timedelta(seconds=seconds_before)).astimezone().date().isoformat()


def line_item(row: Dict[str, str], usd: Decimal) -> Dict[str, object]:
    """Return a charge in Datadog's words; its last day is a part of the period."""
    model, _, tokens = row["SkuId"].rpartition("/")
    tags = {"model": model, "tokens": tokens, "region": row["RegionId"], **json.loads(row["Tags"])}
    return {
        "ProviderName": row["ProviderName"],
        "ChargeDescription": row["SkuId"],
        "ChargePeriodStart": local_date(row["ChargePeriodStart"]),
        "ChargePeriodEnd": local_date(row["ChargePeriodEnd"], seconds_before=1),
        "BilledCost": float(Decimal(row["BilledCost"]) * usd),
        "BillingCurrency": "USD",
        "Tags": {name: value for name, value in tags.items() if value},
    }


rows = csv.DictReader(sys.stdin)
json.dump([line_item(row, Decimal(sys.argv[1])) for row in rows if row["BilledCost"]], sys.stdout, indent=1)
