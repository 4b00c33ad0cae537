"""Pages pause while a scrape is encoded."""

from __future__ import annotations

import threading

import pytest

from maas_usage_check.commands.serve.scrape_gate import ScrapeGate


def test_pause() -> None:
    """A page goes on when the last of several scrapes has ended, also one that failed."""
    gate = ScrapeGate()
    gate.pause()  # at once
    with pytest.raises(ValueError, match="scrape"), gate.scrape():
        with gate.scrape():
            pass
        assert not gate._idle.is_set()
        page = threading.Thread(target=gate.pause, daemon=True)
        page.start()
        raise ValueError("scrape")
    page.join(10)
    assert not page.is_alive()
