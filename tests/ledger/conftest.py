from __future__ import annotations

import pytest

from .books import History


@pytest.fixture
def history() -> History:
    return History()
