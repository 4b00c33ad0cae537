"""The options of `report`: its view, configuration keys, and errors of these keys that name the option."""

from __future__ import annotations

import argparse
import contextlib
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional

from msgspec import Struct

from ...config import Instance, ServiceType
from ...config.ranges import RETENTION, Calendar
from ...errors import ConfigError
from .asked_period import Month

OPTIONS = {
    "region": "--region",
    "service_types": "--service-type",
    "infer_types": "--infer-type",
    "api_keys": "--api-keys",
    "credentials": "--credentials-file",
}
"""The option of each configuration key; `ranges` has several."""
NOT_WITH_MODELS = "Cloud Eye does not separate such calls; leave it out"


class View(Struct, frozen=True):
    """Hold the options of the view.

    Attributes:
        by: `service`, `key`, `model` or `team`.
        size: `day`, `hour`, or None for the period as a whole.
        form: `table`, `csv`, `json`, `focus` or `html`.
        raw: whether the cloud's answers are shown too.
        compare: whether the period before is shown too.
        month: to report instead of a range.
        is_filtered: only a part of what the file has is counted, so no budgets are shown.
    """

    by: str
    size: Optional[str]
    form: str = "table"
    raw: bool = False
    compare: bool = False
    month: Optional[Month] = None
    is_filtered: bool = False

    @property
    def is_focus(self) -> bool:
        """Return True if the charges of models and keys are written as FOCUS."""
        return self.form == "focus"

    @property
    def is_total(self) -> bool:
        """Return True if it is the total by service type of one period."""
        return self.by == "service" and self.size is None and not self.compare

    def is_exact(self, instance: Instance, now_ms: int) -> bool:
        """Return True if the cloud is asked for exactly this window: it has all of it, or the ledger has no more."""
        (range_,) = instance.ranges
        is_within = range_.window(now_ms, instance.zone).start >= now_ms - RETENTION
        return self.is_total and (self.raw or is_within or not instance.hourly or isinstance(range_, Calendar))


def read_view(args: argparse.Namespace) -> View:
    """Read the view; raise ConfigError for options that cannot be combined."""
    month = Month("last_month") if args.last_month else args.month and Month(f"{args.month:%Y-%m}", args.month)
    is_filtered = any((args.region, args.service_type, args.infer_type, args.api_keys is not None))
    by, size, option = args.by or "service", args.size, "--by model"
    if args.format == "focus":
        by, size, option = "model", size or "day", "--format focus"
        if args.by not in (None, "model"):
            raise ConfigError(f"--by: cannot be combined with {option}: its rows are by model and key; leave it out")
        if args.compare:
            raise ConfigError(f"--compare: cannot be combined with {option}: it has one period; leave it out")
    view = View(by, size, args.format, args.raw, args.compare, month, is_filtered)
    if view.by == "model":
        for argument in ("service_type", "infer_type", "api_keys", "raw"):
            if getattr(args, argument) not in (None, False):
                text = f"cannot be combined with {option}: {NOT_WITH_MODELS}"
                raise ConfigError(f"--{argument.replace('_', '-')}: {text}")
    if view.by == "team" and args.api_keys is not None:
        raise ConfigError(
            "--api-keys: cannot be combined with --by team: the labels are those of `teams`; leave it out"
        )
    if view.raw and not view.is_total:
        text = "shows the answer about one window; leave out --raw, or --daily, --hourly, --by and --compare"
        raise ConfigError(f"--raw: {text}")
    if view.compare and view.size == "hour":
        raise ConfigError("--compare: cannot be combined with --hourly; use --daily")
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
