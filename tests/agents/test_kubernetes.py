"""The manifests against the schemas that Kubernetes publishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..test_kubernetes_examples import FILES, read
from .conftest import need_library

VERSIONS = ("1.25", "1.31", "1.34")
OF_KUBERNETES = [path for path in FILES if path.stem != "servicemonitor"]
"""All manifests but the ServiceMonitor, a kind of the Prometheus Operator."""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", OF_KUBERNETES, ids=[path.stem for path in OF_KUBERNETES])
def test_schemas(path: Path, version: str) -> None:
    """Every manifest is valid by the published schemas."""
    need_library("kubernetes_validate").validate(read(path), version, strict=True)
