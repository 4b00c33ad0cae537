"""The options of `report`: its view, configuration keys, and errors of these keys that name the option."""

from __future__ import annotations

import argparse
import contextlib
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional

from msgspec import Struct

from ...config import ServiceType
from ...errors import ConfigError

OPTIONS = {
    "region": "--region",
    "service_types": "--service-type",
    "infer_types": "--infer-type",
    "api_keys": "--api-keys",
    "credentials": "--credentials-file",
}
"""The option of each configuration key; `ranges` has several."""
NOT_WITH_MODELS = "cannot be combined with --by model: Cloud Eye does not separate such calls; leave it out"


class View(Struct, frozen=True):
    """Hold the options of the view.

    Attributes:
        by: `service`, `key` or `model`.
        size: `day`, `hour`, or None for the window as a whole.
        form: `table`, `csv` or `json`.
        raw: whether the cloud's answers are shown too.
    """

    by: str
    size: Optional[str]
    form: str
    raw: bool

    @property
    def is_exact(self) -> bool:
        """Return True if the cloud is asked for the total of exactly this window; else whole hours are added up."""
        return self.by == "service" and self.size is None


def read_view(args: argparse.Namespace) -> View:
    """Read the view; raise ConfigError for options that cannot be combined."""
    view = View(args.by, args.size, args.format, args.raw)
    if view.by == "model":
        for argument in ("service_type", "infer_type", "api_keys", "raw"):
            if getattr(args, argument) not in (None, False):
                raise ConfigError(f"--{argument.replace('_', '-')}: {NOT_WITH_MODELS}")
    if view.raw and not view.is_exact:
        raise ConfigError("--raw: shows the answer about one window; leave out --raw, or --daily, --hourly and --by")
    if view.raw and view.form != "table":
        raise ConfigError("--raw: works only with --format table; leave out --raw or --format")
    return view


def read_overrides(args: argparse.Namespace) -> Dict[str, Any]:
    """Convert options to configuration keys of an instance; raise ConfigError. The default is the last 7 days."""
    flags = {"this_month": args.this_month, "today": args.today, "yesterday": args.yesterday}
    ranges: List[Any] = [name for name, is_set in flags.items() if is_set] or [f"last_{args.last or '7d'}"]
    if args.since is not None:
        until = {} if args.until is None else {"to": args.until}
        last = "now" if args.until is None else args.until.isoformat()
        ranges = [{"name": f"{args.since.isoformat()}..{last}", "from": args.since, **until}]
    elif args.until is not None:
        raise ConfigError("--to: needs --from")
    if args.credentials_file == "":
        raise ConfigError("--credentials-file: is empty; name a file")
    numbers: Dict[str, Any] = {str(each.value): each.value for each in ServiceType}
    service_types = [numbers.get(name, name) for value in args.service_type or () for name in value.split(",")]
    values = {
        "ranges": ranges,
        "region": args.region,
        "service_types": service_types or None,
        "infer_types": None if args.infer_type is None else [args.infer_type],
        "api_keys": args.api_keys,
        "credentials": args.credentials_file and {"source": "file", "path": args.credentials_file},
    }
    return {config_key: value for config_key, value in values.items() if value is not None}


@contextlib.contextmanager
def name_option_in_errors(overrides: Mapping[str, Any]) -> Iterator[None]:
    """Replace the configuration key in a ConfigError by the option that it came from.

    Args:
        overrides: the configuration keys that came from options.
    """
    try:
        yield
    except ConfigError as error:
        match = re.search(r"(?:arguments|instances\[\d+\])\.(\w+)[^:\s]*: (.*)", str(error))
        if not match or match[1] not in overrides:
            raise
        text = re.sub("`(from|to)`", r"`--\1`", match[2])
        option = OPTIONS.get(match[1]) or ("--to" if text.startswith("`--to`") else "--from")
        raise ConfigError(f"{option}: {text}") from None
