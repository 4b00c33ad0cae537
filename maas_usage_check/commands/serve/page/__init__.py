"""The page for people: reads the ledger and the newest batch, never the cloud, and renders HTML on the server.

One value flows one way: `PageView` (the URL) -> `read_content` -> `PageContent` -> `render` -> HTML. The numbers are
those of `report`, whose engine it uses. It offers Pages, which responds to the requests of `serve`.
"""

from __future__ import annotations

from .page_responses import Pages

__all__ = ["Pages"]
