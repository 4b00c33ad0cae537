"""Write the files that users copy: configuration, examples for each agent, dashboards, monitors, alert rules."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Iterator

from ..errors import ConfigError

ASSETS = Path(__file__).parent.parent / "assets"


def write_assets(folder: str) -> Iterator[Path]:
    """Copy all assets into a folder and yield the path of each file written; raise ConfigError on a write error."""
    # In a checkout `examples` is a link to the top of the repository.
    paths = [Path(parent, name) for parent, _, names in os.walk(ASSETS, followlinks=True) for name in names]
    for path in sorted(paths):
        target = Path(folder) / path.relative_to(ASSETS)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        except OSError as error:
            raise ConfigError(
                f"{target}: cannot be written ({error.strerror}); choose a folder that you can write to"
            ) from None
        yield target
