"""The signed API: the project's id and the statistics. Every request of ours goes through here, and its key's gate."""

from __future__ import annotations

import itertools
from typing import Any, Callable, Dict, Optional

from msgspec import Struct

from ..access.credentials import Credentials
from ..access.gate import Gate
from ..clock import Clock
from ..config.instance import Instance
from ..errors import QueryError, Result
from .signing import signed
from .statistics import Query
from .transport import Request, Transport
from .usage import Usage, read_object, read_usage

PROJECTS_PERMISSION = "iam:projects:get"
STATISTICS_PERMISSION = "modelarts:monitoring:get"


class Answer(Struct, frozen=True):
    """Hold what was used in a window, and the text that said so."""

    usage: Usage
    text: str


class Client:
    """Ask one region with one key. Its methods raise QueryError and nothing else; `turn` is the gate's."""

    def __init__(
        self,
        instance: Instance,
        credentials: Credentials,
        transport: Transport,
        gate: Gate,
        clock: Clock,
        give_up: Callable[[], float],
    ) -> None:
        self._instance = instance
        self._credentials = credentials
        self._transport = transport
        self._gate = gate
        self._clock = clock
        self._give_up = give_up
        self._numbers = itertools.count(1)
        self.http_requests = 0

    def project_id(self, turn: str) -> str:
        """Look the project up by the region's exact name: sub-projects begin with it too."""
        region = self._instance.region
        url = f"{self._instance.iam_endpoint}/v3/projects"
        body = self._send("GET", url, PROJECTS_PERMISSION, turn, query=[("name", region)])
        projects = read_object(body).get("projects")
        found = [
            project["id"]
            for project in (projects if isinstance(projects, list) else ())
            if isinstance(project, dict) and project.get("name") == region and project.get("enabled") is not False
            if isinstance(project.get("id"), str) and project["id"].isalnum()
        ]
        if len(found) != 1:
            count = "no enabled project" if not found else f"{len(found)} projects"
            raise QueryError(Result.NO_PROJECT, f"IAM lists {count} named {region}: check region, or set project_id")
        return str(found[0])

    def statistics(self, query: Query, project_id: str, turn: str) -> Answer:
        """Ask ShowStatistics for the totals of one window."""
        body: Dict[str, Any] = {
            "service_type": int(query.service_type),
            "start_time": query.window.start,
            "end_time": query.window.end,
            "infer_type": query.infer_type,
        }
        if query.api_keys is not None:
            body["api_keys"] = list(query.api_keys)
        if query.ips is not None:
            body["ips"] = list(query.ips)
        url = f"{self._instance.endpoint}/v1/{project_id}/maas/monitoring/show-statistics"
        answer = self._send("POST", url, STATISTICS_PERMISSION, turn, body=body)
        return Answer(read_usage(answer), answer.decode("utf-8"))

    def _send(
        self,
        method: str,
        url: str,
        permission: str,
        turn: str,
        query: Any = None,
        body: Optional[Dict[str, Any]] = None,
    ) -> bytes:
        instance = self._instance
        ticket = self._gate.admit(instance.max_requests_per_minute, self._give_up(), turn, instance.max_concurrency)
        failure: Optional[QueryError] = QueryError(Result.INTERNAL, "the request was broken off")
        try:
            now = self._clock.now()
            request = signed(method, url, self._credentials, now, query, body)
            answer = self._exchange(request, permission)
            failure = None
            return answer
        except QueryError as error:
            failure = error
            raise
        finally:
            self._gate.settle(ticket, failure)

    def _exchange(self, request: Request, permission: str) -> bytes:
        self.http_requests = next(self._numbers)
        left = self._give_up() - self._clock.monotonic()
        response = self._transport(request, max(0.1, min(self._instance.timeout, left)))
        if response.status == 200:
            return response.body
        from .error_answers import redactor, refusal

        # Labels are secret too where they are no tag.
        labels = () if self._instance.per_api_key else self._instance.api_keys or ()
        redact = redactor([*self._credentials.secrets(), *labels])
        raise refusal(response, permission, self._clock.now(), redact)
