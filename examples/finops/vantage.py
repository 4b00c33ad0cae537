"""Turn a FOCUS file into a file for a custom provider of Vantage.

    TZ=Asia/Shanghai python3 vantage.py < focus.csv > maas-2026-10.csv

TZ is the `timezone` of the configuration: Vantage adds up whole days. It takes a part of the columns of FOCUS, without
the SKU, so the model and the kind of token become tags. Rows without a cost are left out: it takes no empty ones.
"""

import csv
import json
import sys
from datetime import datetime, timezone

COLUMNS = (
    "ChargePeriodStart", "ChargeCategory", "BilledCost", "BillingCurrency", "ServiceCategory", "ServiceName",
    "ConsumedQuantity", "ConsumedUnit", "ResourceId", "ResourceType", "RegionId", "Tags",
)  # fmt: skip


def local_date(instant: str) -> str:
    """Return the local date of an instant."""
    moment = datetime.strptime(instant, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return moment.astimezone().date().isoformat()


writer = csv.DictWriter(sys.stdout, COLUMNS, extrasaction="ignore", lineterminator="\n")
writer.writeheader()
for row in csv.DictReader(sys.stdin):
    if row["BilledCost"]:
        model, _, tokens = row["SkuId"].rpartition("/")
        tags = {"model": model, "tokens": tokens, **json.loads(row["Tags"])}
        start = local_date(row["ChargePeriodStart"])
        writer.writerow({**row, "ChargePeriodStart": start, "Tags": json.dumps(tags, ensure_ascii=False)})
