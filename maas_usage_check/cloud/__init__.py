"""The cloud: credentials, signed requests over HTTP, and a module per API. It knows neither cycles nor state."""

from __future__ import annotations

from .access_key import Credentials
from .client import Client
from .credentials import Provider, chosen_variables, provider, readable_by_others
from .direct_transport import DirectTransport, Pool
from .source import Api, Outcome, Plan, Query, Source, as_query_error
from .statistics import Statistics
from .transport import Request, Response, Transport

__all__ = [
    "Api", "Client", "Credentials", "DirectTransport", "Outcome", "Plan", "Pool", "Provider", "Query", "Request",
    "Response", "Source", "Statistics", "Transport", "as_query_error", "chosen_variables", "provider",
    "readable_by_others",
]  # fmt: skip
