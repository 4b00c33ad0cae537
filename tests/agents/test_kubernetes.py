"""The manifests against the schemas that Kubernetes publishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..test_kubernetes_examples import FILES, read
from .conftest import need_library

VERSIONS = ("1.25", "1.31", "1.34")
OF_KUBERNETES = [path for path in FILES if path.stem != "servicemonitor"]
"""All but the one whose kind the Prometheus Operator adds."""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", OF_KUBERNETES, ids=[path.stem for path in OF_KUBERNETES])
def test_the_published_schemas_take_every_manifest(path: Path, version: str) -> None:
    need_library("kubernetes_validate").validate(read(path), version, strict=True)
