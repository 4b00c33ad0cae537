"""Pages pause while a scrape is encoded."""

from __future__ import annotations

import threading

from maas_usage_check.commands.serve.scrape_gate import ScrapeGate


def test_pause() -> None:
    """A page goes on when the last of several scrapes has ended."""
    gate = ScrapeGate()
    gate.pause()  # at once
    with gate.scrape():
        with gate.scrape():
            pass
        assert not gate._idle.is_set()
        page = threading.Thread(target=gate.pause, daemon=True)
        page.start()
    page.join(10)
    assert not page.is_alive()
    assert gate._idle.is_set()
