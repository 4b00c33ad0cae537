"""One entry of `instances` as frozen values: complete and validated."""

# Without `from __future__ import annotations`: msgspec would compile each annotation from its text, at 3 million
# instructions of a `collect`.

import datetime as dt
import hashlib
import re
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple

from msgspec import Struct

from .ranges import parse_range
from .zones import host_zone, named_zone

if TYPE_CHECKING:
    from .model_prices import ModelPrices
    from .prices import Prices
    from .teams import Budget, Limit, Team
else:
    ModelPrices = Prices = Budget = Limit = Team = (
        Any  # imported where configured: their classes cost 3 million instructions
    )

DEFAULT_REGION = "cn-southwest-2"
PROJECT_ID = "[a-z0-9]{32}"
INFER_TYPES = ("real_time", "batch")
ONLINE_EXPERIENCE = "online_experience"
"""Tag value of the label "": calls from the console's online-experience page."""


class ServiceType(IntEnum):
    """List the API's service types. Its page says 3 for the custom endpoint; the API accepts only 4."""

    my_service = 1
    preset = 2
    custom_endpoint = 4


class CredentialsSource(Struct, frozen=True):
    """Name the source of the credentials: `env`, `file` (with a path) or `sdk`."""

    source: str = "env"
    path: Optional[str] = None


def is_project_id(value: object) -> bool:
    """Return whether a configured, received or stored value has the form of a project id."""
    return isinstance(value, str) and re.fullmatch(PROJECT_ID, value) is not None


class Proxy(Struct, frozen=True):
    """The Agent's `proxy` option. Its URLs may contain a password and are never shown."""

    http: Optional[str] = None
    https: Optional[str] = None
    no_proxy: Tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Proxy(...)"


class Instance(Struct, frozen=True):
    """One entry of `instances`, validated and with defaults filled in. Times are seconds."""

    region: str = DEFAULT_REGION
    project_id: Optional[str] = None
    endpoint: str = ""
    iam_endpoint: str = ""
    cloud_eye_endpoint: str = ""
    credentials: CredentialsSource = CredentialsSource()
    ranges: Tuple[Any, ...] = tuple(map(parse_range, ("last_7d", "last_14d", "last_30d")))
    hourly: bool = False
    backfill_days: int = 29
    models: bool = False
    model_names: Dict[str, str] = {}
    key_names: Dict[str, str] = {}
    prices: Optional[Prices] = None
    teams: Dict[str, Team] = {}
    budget: Optional[Budget] = None
    limits: Dict[str, Limit] = {}
    service_types: Tuple[ServiceType, ...] = (ServiceType.preset,)
    infer_types: Tuple[str, ...] = ("real_time",)
    api_keys: Optional[Tuple[str, ...]] = None
    per_api_key: bool = False
    ips: Optional[Tuple[str, ...]] = None
    timezone: Optional[str] = None
    tags: Tuple[str, ...] = ()
    timeout: float = 10.0
    deadline: float = 25.0
    max_concurrency: int = 4
    max_requests_per_minute: int = 100
    proxy: Optional[Proxy] = None
    skip_proxy: bool = False
    tls_verify: bool = True
    tls_ca_cert: Optional[str] = None
    state_dir: Optional[str] = None
    min_collection_interval: float = 300.0

    def __repr__(self) -> str:
        return f"Instance({self.api_tags})"  # hides labels of API keys: they are private unless they are tags

    def zone(self) -> dt.tzinfo:
        """Return the zone of dates and calendar ranges: the configured one, else the host's."""
        return host_zone() if self.timezone is None else named_zone(self.timezone)

    @property
    def project_query_key(self) -> str:
        """Return the query_key of the project lookup, under which its result is stored."""
        return f"{self.iam_endpoint} {self.region}"

    @property
    def display_name(self) -> str:
        """Return the region and tags, for people."""
        tags = " ".join(f"{key}:{value}" for key, value in self.api_tags.items() if key != "region")
        return f"{self.region} ({tags})" if tags else self.region

    @property
    def state_name(self) -> str:
        """Return the name of the instance in the state: a digest of the tags of its health."""
        series = "\0".join(f"{key}={value}" for key, value in sorted(self.api_tags.items()))
        return hashlib.blake2b(series.encode(), digest_size=16).hexdigest()

    @property
    def has_budget(self) -> bool:
        """Return True if the instance or one of its teams may have a budget."""
        return self.budget is not None or bool(self.teams)

    def prices_of(self, api_id: str) -> Optional[ModelPrices]:
        """Return the prices of a model, by its id or else by its name in `model_names`; None if it has none."""
        periods = self.prices.of(api_id, self.model_names.get(api_id, api_id)) if self.prices else None
        if periods is None:
            return None
        from .model_prices import ModelPrices

        return ModelPrices(periods, self.zone)

    def owner_tags(self, label: str) -> Dict[str, str]:
        """Return the tags `team` and `cost_center` of the label of an API key; empty without `teams`."""
        if not self.teams:
            return {}
        from .teams import UNASSIGNED

        for name, team in self.teams.items():
            if label in team.api_keys:
                return {"team": name, "cost_center": team.cost_center}
        return {"team": UNASSIGNED, "cost_center": UNASSIGNED}

    @property
    def user_tags(self) -> Dict[str, str]:
        """Return `tags` as a mapping."""
        return dict(tag.split(":", 1) for tag in self.tags)

    @property
    def api_tags(self) -> Dict[str, str]:
        """Return the tags of the api point. They do not depend on a project lookup, so the series stays the same."""
        project = {"project_id": self.project_id} if self.project_id else {}
        return {"region": self.region, **project, **self.user_tags}
