"""Look up the project id in IAM by the region's name."""

from __future__ import annotations

from ..config import is_project_id
from ..errors import QueryError, Result
from .json_body import read_object
from .source import Call, Send


class Iam:
    """Query IAM; see Api."""

    name = "iam"
    endpoint_key = "iam_endpoint"

    def ask(self, query: str, send: Send) -> str:
        """Return the id of the project with exactly this name; raise QueryError (NO_PROJECT)."""
        return _find_project(query, send)


def _find_project(region: str, send: Send) -> str:
    # Sub-projects have the region's name as a prefix.
    call = Call("iam:projects:get", "GET", "/v3/projects", query=[("name", region)])
    projects = read_object(send(call)).get("projects")
    project_ids = [
        project["id"]
        for project in (projects if isinstance(projects, list) else ())
        if isinstance(project, dict) and project.get("name") == region and project.get("enabled") is not False
        if is_project_id(project.get("id"))
    ]
    if len(project_ids) != 1:
        count = "no enabled project" if not project_ids else f"{len(project_ids)} projects"
        raise QueryError(Result.NO_PROJECT, f"IAM lists {count} named {region}: check region, or set project_id")
    return str(project_ids[0])
