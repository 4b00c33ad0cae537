"""Tests with the real agents. Without one of them they skip, saying so; in CI that is forbidden."""

from __future__ import annotations

from typing import Callable

import pytest

from .programs import find


@pytest.fixture
def need() -> Callable[..., str]:
    """Find a program, or skip; fail where MAAS_AGENTS_REQUIRED is set."""
    return find
