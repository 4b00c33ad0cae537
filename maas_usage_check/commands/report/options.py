"""What the options of `report` mean as a configuration, and how their errors are told."""

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
"""The option that becomes each key; `ranges` has several."""
NOT_OF_MODELS = "does not go with --models: Cloud Eye does not tell such calls apart; leave it out"


def overrides(args: argparse.Namespace) -> Dict[str, Any]:
    """Turn the options of `report` into keys of an instance."""
    named = {"this_month": args.this_month, "today": args.today, "yesterday": args.yesterday}
    spans: List[Any] = [name for name, wanted in named.items() if wanted]
    if args.last is not None:
        spans = [f"last_{args.last}"]
    if args.since is not None:
        until = {} if args.until is None else {"to": args.until}
        last = "now" if args.until is None else args.until.isoformat()
        spans = [{"name": f"{args.since.isoformat()}..{last}", "from": args.since, **until}]
    elif args.until is not None:
        raise ConfigError("--to: needs --from")
    if args.size == "model":
        for key in ("service_type", "infer_type", "api_keys", "raw"):
            if getattr(args, key) not in (None, False):
                raise ConfigError(f"--{key.replace('_', '-')}: {NOT_OF_MODELS}")
    if args.credentials_file == "":
        raise ConfigError("--credentials-file: is empty; name a file")
    if args.raw and args.format != "table":
        raise ConfigError("--raw: goes with the table alone; leave out --raw or --format")
    numbers: Dict[str, Any] = {str(kind.value): kind.value for kind in ServiceType}
    services = [numbers.get(name, name) for given in args.service_type or () for name in given.split(",")]
    values = {
        "ranges": spans or None,
        "region": args.region,
        "service_types": services or None,
        "infer_types": None if args.infer_type is None else [args.infer_type],
        "api_keys": args.api_keys,
        "credentials": args.credentials_file and {"source": "file", "path": args.credentials_file},
    }
    return {key: value for key, value in values.items() if value is not None}


@contextlib.contextmanager
def as_typed(wins: Mapping[str, Any]) -> Iterator[None]:
    """Name an option as it was typed where the key that it became is wrong.

    Args:
        wins: the keys that came from options.
    """
    try:
        yield
    except ConfigError as error:
        found = re.search(r"(?:arguments|instances\[\d+\])\.(\w+)[^:\s]*: (.*)", str(error))
        if not found or found[1] not in wins:
            raise
        text = re.sub("`(from|to)`", r"`--\1`", found[2])
        option = OPTIONS.get(found[1]) or ("--to" if text.startswith("`--to`") else "--from")
        raise ConfigError(f"{option}: {text}") from None
