"""Tests with the real agents. Without one of them they skip, saying so; in CI that is forbidden."""

from __future__ import annotations

import os
import shutil
from typing import Callable

import pytest


@pytest.fixture
def need() -> Callable[[str], str]:
    """Find a program, or skip; fail where MAAS_AGENTS_REQUIRED is set."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            message = f"no {name} on PATH"
            if os.environ.get("MAAS_AGENTS_REQUIRED"):
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find
