"""The project's id, looked up in IAM by the region's name."""

from __future__ import annotations

from ..config import is_project_id
from ..errors import QueryError, Result
from .json_body import read_object
from .source import Call, Send


def find_project(region: str, send: Send) -> str:
    """Look the project up by its exact name: sub-projects begin with it too. Raise QueryError (NO_PROJECT)."""
    call = Call("iam", "iam:projects:get", "GET", "iam_endpoint", "/v3/projects", query=[("name", region)])
    projects = read_object(send(call)).get("projects")
    found = [
        project["id"]
        for project in (projects if isinstance(projects, list) else ())
        if isinstance(project, dict) and project.get("name") == region and project.get("enabled") is not False
        if is_project_id(project.get("id"))
    ]
    if len(found) != 1:
        count = "no enabled project" if not found else f"{len(found)} projects"
        raise QueryError(Result.NO_PROJECT, f"IAM lists {count} named {region}: check region, or set project_id")
    return str(found[0])
