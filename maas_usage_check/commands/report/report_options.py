"""The options of `report` as configuration keys, and errors of these keys that name the option."""

from __future__ import annotations

import argparse
import contextlib
import re
from typing import Any, Dict, Iterator, List, Mapping

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
NOT_WITH_MODELS = "cannot be combined with --models: Cloud Eye does not separate such calls; leave it out"


def read_overrides(args: argparse.Namespace) -> Dict[str, Any]:
    """Convert the options of `report` to configuration keys of an instance; raise ConfigError."""
    flags = {"this_month": args.this_month, "today": args.today, "yesterday": args.yesterday}
    ranges: List[Any] = [name for name, is_set in flags.items() if is_set]
    if args.last is not None:
        ranges = [f"last_{args.last}"]
    if args.since is not None:
        until = {} if args.until is None else {"to": args.until}
        last = "now" if args.until is None else args.until.isoformat()
        ranges = [{"name": f"{args.since.isoformat()}..{last}", "from": args.since, **until}]
    elif args.until is not None:
        raise ConfigError("--to: needs --from")
    if args.size == "model":
        for argument in ("service_type", "infer_type", "api_keys", "raw"):
            if getattr(args, argument) not in (None, False):
                raise ConfigError(f"--{argument.replace('_', '-')}: {NOT_WITH_MODELS}")
    if args.credentials_file == "":
        raise ConfigError("--credentials-file: is empty; name a file")
    if args.raw and args.format != "table":
        raise ConfigError("--raw: works only with --format table; leave out --raw or --format")
    numbers: Dict[str, Any] = {str(each.value): each.value for each in ServiceType}
    service_types = [numbers.get(name, name) for value in args.service_type or () for name in value.split(",")]
    values = {
        "ranges": ranges or None,
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
