"""Pictures of the page: `python -m tests.agents.page_pictures` writes those that the README and the docs show."""

from __future__ import annotations

import struct
import tempfile
import zlib
from pathlib import Path
from typing import Dict, Iterator, Tuple

from .chromium import LARGE, Browser, Screen, chromium
from .programs import ROOT
from .tour import running_tour

CHINESE = "zh-CN,zh;q=0.9,en;q=0.8"
SHOWN = ROOT / "docs" / "images"
DOCUMENTED: Dict[str, Screen] = {
    "page.png": Screen(1280, 900),
    "page-dark.png": Screen(1280, 900, "dark"),
    "page-zh.png": Screen(1280, 900, languages=CHINESE),
}
"""The pictures in the docs."""
SIZES, SCHEMES, LANGUAGES = (LARGE[:2], (380, 800)), ("light", "dark"), (LARGE.languages, CHINESE)
SCREENS = [Screen(*size, scheme, each) for size in SIZES for scheme in SCHEMES for each in LANGUAGES]
"""Each size in each scheme and language."""


def take(browser: Browser, url: str, screen: Screen, path: Path) -> None:
    """Write a picture of the first screen of a page."""
    browser.open(url, screen)
    path.write_bytes(browser.picture())


def picture_size(png: bytes) -> Tuple[int, int]:
    """Return the width and the height of a picture."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def distinct_lines(png: bytes) -> int:
    """Count the lines of pixels that differ from each other and from the line above: about 1 in an empty picture."""
    pixels = zlib.decompress(b"".join(_chunks(png, b"IDAT")))
    height = picture_size(png)[1]
    length = len(pixels) // height
    return len({pixels[at + 1 : at + length] for at in range(0, len(pixels), length)})


def _chunks(png: bytes, kind: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == kind:
            yield png[at + 8 : at + 8 + length]
        at += length + 12


def main() -> None:
    SHOWN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, running_tour(Path(name)) as tour, chromium(Path(name)) as browser:
        for picture, screen in DOCUMENTED.items():
            take(browser, tour.url, screen, SHOWN / picture)


if __name__ == "__main__":
    main()
