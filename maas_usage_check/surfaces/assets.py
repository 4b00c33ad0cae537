"""Write out what users copy: dashboards, monitors, alert rules."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Iterator

from ..errors import ConfigError

ASSETS = Path(__file__).parent.parent / "assets"


def write_assets(folder: str) -> Iterator[Path]:
    """Copy all of it into a folder, and name each file as it is written; raise ConfigError where one cannot be."""
    for path in sorted(path for path in ASSETS.rglob("*") if path.is_file()):
        target = Path(folder) / path.relative_to(ASSETS)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        except OSError as error:
            raise ConfigError(f"{target}: cannot be written ({error.strerror}); name a folder of your own") from None
        yield target
