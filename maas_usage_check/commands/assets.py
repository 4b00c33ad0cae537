"""Write out what users copy: the configuration, examples for each agent, dashboards, monitors, alert rules."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Iterator

from ..errors import ConfigError

ASSETS = Path(__file__).parent.parent / "assets"


def write_assets(folder: str) -> Iterator[Path]:
    """Copy all of it into a folder, and name each file as it is written; raise ConfigError where one cannot be."""
    # In a checkout the examples are a link to the top of the repository.
    places = [Path(place, name) for place, _, names in os.walk(ASSETS, followlinks=True) for name in names]
    for path in sorted(places):
        target = Path(folder) / path.relative_to(ASSETS)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        except OSError as error:
            raise ConfigError(f"{target}: cannot be written ({error.strerror}); name a folder of your own") from None
        yield target
