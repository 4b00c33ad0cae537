"""FOCUS 1.2, the format in which FinOps tools take cost: a row of CSV per charge.

The columns and their values are those of the specification (focus.finops.org); columns that begin with `x_` are ours.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import json
from decimal import Decimal
from functools import lru_cache
from typing import Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

from ...cloud.cloud_eye import Dimensions
from ...cloud.cloud_eye.cloud_eye_api import model_tags
from ...config import Instance
from ...config.prices import EXACT, Price, of_million
from ...config.ranges import month_window
from ...metrics import CACHED_AS_ORDINARY
from .csv_json import csv_value
from .key_rows import CACHED_PROMPT, COMPLETION, PROMPT, KeyRow
from .periods import EPOCH

COLUMNS = (
    "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd",
    "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency",
    "ServiceCategory", "ServiceSubcategory", "ServiceName", "ProviderName", "PublisherName", "InvoiceIssuerName",
    "InvoiceId", "SkuId", "SkuPriceId", "SkuMeter", "SkuPriceDetails", "PricingCategory", "ConsumedQuantity",
    "ConsumedUnit", "PricingQuantity", "PricingUnit", "ListUnitPrice", "ListCost", "ContractedUnitPrice",
    "ContractedCost", "EffectiveCost", "BilledCost", "ResourceId", "ResourceName", "ResourceType", "SubAccountId",
    "SubAccountName", "RegionId", "RegionName", "Tags", "x_CostKind",
)  # fmt: skip
HEADER = ",".join(COLUMNS) + "\n"
BILLING_ZONE = dt.timezone(dt.timedelta(hours=8))
"""Huawei Cloud bills months of UTC+8."""
METERS = {PROMPT: "Prompt Tokens", CACHED_PROMPT: "Cached Prompt Tokens", COMPLETION: "Completion Tokens"}
NO_PRICE = "Tokens without a price in the file."
OWNER_TAGS = ("api_key", "team", "cost_center")
SERVICE = (
    "Usage-Based", "AI and Machine Learning", "Generative AI", "MaaS", *["Huawei Cloud"] * 3, "",
)  # fmt: skip
"""From ChargeFrequency to InvoiceId."""
ROWS_AT_ONCE = 2_000


class FocusWriter:
    """Write the charges of one instance.

    Args:
        instance: with prices.
        project_id: of the charges.
        write: writes text.
    """

    def __init__(self, instance: Instance, project_id: str, write: Callable[[str], None]) -> None:
        self._instance = instance
        self._project = (project_id, project_id)
        self._write = write
        self._account = _encode([*self._project, instance.prices.currency if instance.prices else ""])
        # Their parts of a row are the same in many rows.
        self._periods = lru_cache(maxsize=4_096)(_periods)
        self._charges = lru_cache(maxsize=1_024)(self._describe_charge)
        self._keys = lru_cache(maxsize=1_024)(self._describe_key)

    def write_model(self, api_id: str, rows: Iterable[KeyRow]) -> None:
        """Write the rows of one model, in batches."""
        name, region = self._instance.model_names.get(api_id, api_id), self._instance.region
        resource = _encode([api_id, name, "Model service", *self._project, region, region])
        for batch in _batches(rows):
            self._write("".join(self._row(api_id, resource, row) for row in batch))

    def _row(self, api_id: str, resource: str, row: KeyRow) -> str:
        charge, unit_price = self._charges(api_id, row.kind, row.price)
        cost = "" if unit_price is None else format_number(EXACT.multiply(unit_price, row.tokens))
        unit = "" if unit_price is None else format_number(unit_price)
        amounts = f"{row.tokens}.0,Tokens,{row.tokens}.0,Tokens,{unit},{cost},{unit},{cost},{cost},{cost}"
        periods = self._periods(row.start, row.end)
        return f"{self._account},{periods},{charge},{amounts},{resource},{self._keys(row.key)},estimate\n"

    def _describe_charge(self, api_id: str, kind: str, price: Optional[Price]) -> Tuple[str, Optional[Decimal]]:
        """Return the columns of a model, kind of token and price, and the price of one token."""
        prices, meter = self._instance.prices_of(api_id), METERS[kind]
        sku, price_id, description = f"{self._instance.model_names.get(api_id, api_id)}/{kind}", "", NO_PRICE
        if price is not None:
            price_id = f"{sku}/{price.since or 'always'}{'/off-peak' if price.is_off_peak else ''}"
            hours = " of off-peak hours" if price.is_off_peak else ""
            description = f"Estimate: tokens times the price{hours} in the file."
            if kind == PROMPT and not (prices and prices.has_cached_share):
                description += f" {CACHED_AS_ORDINARY}"
        columns = ["Usage", "", description, *SERVICE, sku, price_id, meter, "", "Standard"]
        return _encode(columns), None if price is None else _unit_price(price, kind)

    def _describe_key(self, key: Optional[Dimensions]) -> str:
        """Return the tags: those of the user, and of a row with a key its label and owner."""
        tags = model_tags(self._instance, key) if key else {}
        own = {name: tags[name] for name in OWNER_TAGS if name in tags}
        return _encode([json.dumps({**own, **self._instance.user_tags}, ensure_ascii=False)])


def format_number(value: Decimal) -> str:
    """Write a number with a decimal point: importers take a column without any for integers."""
    text = f"{value.normalize(EXACT):f}"
    return text if "." in text else f"{text}.0"


def _unit_price(price: Price, kind: str) -> Decimal:
    """Return the price of one token."""
    if kind == CACHED_PROMPT and price.cached_prompt is not None:
        return of_million(price.cached_prompt)
    return of_million(price.completion if kind == COMPLETION else price.prompt)


def _periods(start: int, end: int) -> str:
    """Return the billing period and the charge period."""
    month = month_window(start, BILLING_ZONE)
    return ",".join(_instant(at) for at in (month.start, month.end, start, end))


def _instant(at_ms: int) -> str:
    return f"{EPOCH + dt.timedelta(milliseconds=at_ms):%Y-%m-%dT%H:%M:%SZ}"


def _encode(values: Sequence[str]) -> str:
    """Write a part of a row as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(map(csv_value, values))
    return text.getvalue()


def _batches(rows: Iterable[KeyRow]) -> Iterator[List[KeyRow]]:
    left = iter(rows)
    while True:
        batch = list(itertools.islice(left, ROWS_AT_ONCE))
        if not batch:
            return
        yield batch
