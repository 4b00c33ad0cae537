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
from ...config.prices import CACHED_AS_ORDINARY, EXACT, Price, of_million
from ...config.ranges import month_window
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
        self._project_id = project_id
        self._write = write
        self._currency = instance.prices.currency if instance.prices else ""
        self._billing_period = lru_cache(maxsize=64)(_billing_period)
        self._sku = lru_cache(maxsize=1_024)(self._describe_sku)
        self._tags = lru_cache(maxsize=1_024)(self._describe_key)

    def write_model(self, api_id: str, rows: Iterable[KeyRow]) -> None:
        """Write the rows of one model; those that are ready at a time, so that no more are in memory."""
        instance, project_id = self._instance, self._project_id
        account = [project_id, project_id, self._currency]
        name = instance.model_names.get(api_id, api_id)
        resource = [*map(csv_value, (api_id, name)), "Model service", project_id, project_id]
        resource += [instance.region, instance.region]
        for batch in _batches(rows):
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            for row in batch:
                sku, unit_price, description = self._sku(api_id, row.kind, row.price)
                quantity, cost = f"{row.tokens}.0", _cost(row)
                charge = (*self._billing_period(row.start), _instant(row.start), _instant(row.end), "Usage", "")
                amounts = (quantity, "Tokens", quantity, "Tokens", unit_price, cost, unit_price, cost, cost, cost)
                key = (self._tags(row.key), "estimate")
                writer.writerow([*account, *charge, description, *SERVICE, *sku, *amounts, *resource, *key])
            self._write(text.getvalue())

    def _describe_sku(self, api_id: str, kind: str, price: Optional[Price]) -> Tuple[Sequence[str], str, str]:
        """Return the columns of a model, kind of token and price; the unit price; the description."""
        prices = self._instance.prices_of(api_id)
        sku = f"{self._instance.model_names.get(api_id, api_id)}/{kind}"
        meter = METERS[kind]
        if price is None:
            return (csv_value(sku), "", meter, "", "Standard"), "", f"{meter.capitalize()} without a price in the file."
        since = f"{price.since or 'always'}{'/off-peak' if price.is_off_peak else ''}"
        hours = " of off-peak hours" if price.is_off_peak else ""
        description = f"Estimate: {meter.lower()} at the price in the file{hours}."
        if kind == PROMPT and not (prices and prices.has_cached_share):
            description += f" {CACHED_AS_ORDINARY}"
        columns = (csv_value(sku), csv_value(f"{sku}/{since}"), meter, "", "Standard")
        return columns, _number(_unit_price(price, kind)), description

    def _describe_key(self, key: Optional[Dimensions]) -> str:
        """Return the tags: those of the user, and of a row with a key its label and owner."""
        tags = model_tags(self._instance, key) if key else {}
        own = {name: tags[name] for name in OWNER_TAGS if name in tags}
        return json.dumps({**own, **self._instance.user_tags}, ensure_ascii=False)


def _cost(row: KeyRow) -> str:
    return "" if row.price is None else _number(EXACT.multiply(_unit_price(row.price, row.kind), row.tokens))


def _unit_price(price: Price, kind: str) -> Decimal:
    """Return the price of one token."""
    if kind == CACHED_PROMPT and price.cached_prompt is not None:
        return of_million(price.cached_prompt)
    return of_million(price.completion if kind == COMPLETION else price.prompt)


def _number(value: Decimal) -> str:
    """Write a number with a decimal point: importers take a column without any for integers."""
    text = f"{value.normalize(EXACT):f}"
    return text if "." in text else f"{text}.0"


def _billing_period(at_ms: int) -> Tuple[str, str]:
    month = month_window(at_ms, BILLING_ZONE)
    return _instant(month.start), _instant(month.end)


def _instant(at_ms: int) -> str:
    return f"{EPOCH + dt.timedelta(milliseconds=at_ms):%Y-%m-%dT%H:%M:%SZ}"


def _batches(rows: Iterable[KeyRow]) -> Iterator[List[KeyRow]]:
    left = iter(rows)
    while True:
        batch = list(itertools.islice(left, ROWS_AT_ONCE))
        if not batch:
            return
        yield batch
