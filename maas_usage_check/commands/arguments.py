"""The arguments of the command line."""

from __future__ import annotations

import argparse
import re
from functools import partial
from os.path import expanduser
from typing import NoReturn, Optional, Sequence, Tuple

from .. import __version__
from ..config import INLINE_SECRET, is_secret
from ..config.ranges import Moment, parse_moment, parse_range
from ..errors import ConfigError
from ..metrics import FORMATS

LISTEN = "127.0.0.1:16227"
"""MAAS on a telephone's keys; no exporter that is known of has this port, and 9100 to 9999 are all given away."""
SEE_HELP = "see maas-usage-check --help"
REPORT_FORMATS = ("table", "csv", "json")
EXAMPLES = """\
examples:
  maas-usage-check demo
  maas-usage-check report --last 7d
  maas-usage-check collect --config conf.yaml
"""


class Parser(argparse.ArgumentParser):
    """Raise what is wrong with the arguments instead of printing a screen of usage."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError."""
        raise ConfigError(f"{re.sub('^argument ', '', message)}; see {self.prog} --help")


def read_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command and its options; raise ConfigError, which never shows a value that may be a secret."""
    command = next((argument for argument in argv if not argument.startswith("-")), None)
    if command is not None and command not in COMMANDS:  # argparse would quote it, and it may be a secret
        raise ConfigError(f"the first argument is no command; there are {', '.join(COMMANDS)}; {SEE_HELP}")
    for argument in argv:
        if argument.startswith("-") and is_secret(argument.split("=")[0]):
            raise ConfigError(f"{argument.split('=')[0]}: {INLINE_SECRET}")
    helps = not {"-h", "--help"}.isdisjoint(argv)
    args, unknown = _parser(command, helps).parse_known_args(argv)
    if unknown:
        option = unknown[0].split("=")[0] if unknown[0].startswith("-") else "an argument without an option"
        raise ConfigError(f"{option}: not known to `{args.command}`; see maas-usage-check {args.command} --help")
    return args


def _parser(command: Optional[str], helps: bool) -> argparse.ArgumentParser:
    # Only help needs the terminal's width, and to ask for it takes a thirtieth of a `collect`.
    width = None if helps else 80
    parser = Parser(
        prog="maas-usage-check",
        description="Report what a team uses on Huawei Cloud MaaS.",
        epilog=EXAMPLES,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=width),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"maas-usage-check {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser, prog="maas-usage-check"
    )

    for name, (does, add_options) in COMMANDS.items():
        if command in (None, name):  # the others would take a thirtieth of a `collect`
            about = f"{does[:1].upper()}{does[1:]}."
            formatter = partial(argparse.HelpFormatter, width=width)
            add_options(
                commands.add_parser(name, help=does, description=about, formatter_class=formatter, allow_abbrev=False)
            )
    return parser


def _collect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", required=True, type=expanduser, metavar="FILE", help="the YAML file, see conf.yaml.example"
    )
    parser.add_argument("--format", choices=FORMATS, default="influx", help="default: influx")
    parser.add_argument(
        "--output", type=expanduser, metavar="FILE", help="write to a file, in one step, instead of standard output"
    )
    parser.add_argument("--deadline", type=_seconds, metavar="SECONDS", help="instead of the file's deadline")
    parser.add_argument("--quiet", action="store_true", help="say nothing on standard error, for Categraf and Zabbix")
    parser.add_argument("--exit-zero", action="store_true", help="exit code 0 instead of 1, for Categraf")


def _execd(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", required=True, type=expanduser, metavar="FILE", help="the YAML file, see conf.yaml.example"
    )


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", required=True, type=expanduser, metavar="FILE", help="the YAML file, see conf.yaml.example"
    )
    parser.add_argument(
        "--listen",
        type=_address,
        default=LISTEN,
        metavar="HOST:PORT",
        help="default: %(default)s; port 0 for any that is free",
    )
    parser.add_argument("--tls-cert", type=expanduser, metavar="FILE", help="serve over TLS, with this certificate")
    parser.add_argument("--tls-key", type=expanduser, metavar="FILE", help="the private key of --tls-cert")
    parser.add_argument(
        "--tls-client-ca", type=expanduser, metavar="FILE", help="answer only clients with a certificate of this CA"
    )


def _report(parser: argparse.ArgumentParser) -> None:
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--last", type=_length, metavar="7d", help="a length of time up to now: days (7d) or hours (24h)")
    when.add_argument("--from", dest="since", type=_moment, metavar="DATE", help="from this date's local midnight")
    when.add_argument("--this-month", action="store_true", help="from the 1st, 00:00, to now")
    when.add_argument("--today", action="store_true", help="from 00:00 to now")
    when.add_argument("--yesterday", action="store_true", help="the day before")
    parser.add_argument(
        "--to",
        dest="until",
        type=_moment,
        metavar="DATE",
        help="to this date's local midnight: the day itself is not counted",
    )
    pieces = parser.add_mutually_exclusive_group()
    pieces.add_argument(
        "--daily", dest="size", action="store_const", const="day", help="one row and one bar per day, and a total"
    )
    pieces.add_argument(
        "--hourly",
        dest="size",
        action="store_const",
        const="hour",
        help="one row and one bar per hour; of more than 2 days, as far as the ledger of hours holds them, a map",
    )
    pieces.add_argument(
        "--models",
        dest="size",
        action="store_const",
        const="model",
        help="one row per model, with `prices` in --config its cost, and a total; as Cloud Eye counts, in whole hours",
    )
    parser.add_argument("--format", choices=REPORT_FORMATS, default="table", help="default: table")
    parser.add_argument("--region", help="default: cn-southwest-2")
    parser.add_argument(
        "--service-type",
        nargs="+",
        metavar="TYPE",
        help="1, 2, 4 or my_service, preset, custom_endpoint; several give a row each and a total; default: 2",
    )
    parser.add_argument("--infer-type", metavar="TYPE", help="real_time or batch; default: real_time")
    parser.add_argument("--api-keys", nargs="+", metavar="LABEL", help="only calls with these keys, by label")
    parser.add_argument(
        "--credentials-file",
        type=expanduser,
        metavar="FILE",
        help="wins over the environment (in the script it is the reverse)",
    )
    parser.add_argument("--config", type=expanduser, metavar="FILE", help="a YAML file; the options above override it")
    parser.add_argument("--raw", action="store_true", help="show the API's own answers too")


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=expanduser, metavar="FILE", help="the YAML file; without it, the defaults are examined"
    )


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--serve", action="store_true", help="keep the stand-in up, for trying an agent")
    parser.add_argument("--port", type=_port, default=0, help="default: any that is free")


def _assets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=expanduser, metavar="DIR", help="where to; files of the same names there are replaced"
    )


def _length(text: str) -> str:
    try:
        parse_range(f"last_{text}")
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number of days or hours up to now, such as 7d or 24h") from None
    return text


def _moment(text: str) -> Moment:
    try:
        return parse_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _address(text: str) -> Tuple[str, int]:
    host, colon, port = text.rpartition(":")
    bracketed = re.fullmatch(r"\[(.+)\]", host)
    if not colon or (":" in host and not bracketed):
        raise argparse.ArgumentTypeError(f"must be HOST:PORT, such as {LISTEN} or [::1]:{LISTEN.rpartition(':')[2]}")
    return bracketed[1] if bracketed else host, _port(port)


def _port(text: str) -> int:
    port = int(text) if re.fullmatch("[0-9]{1,5}", text) else -1
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError("must be a port, 0 to 65535")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError("must be seconds greater than 0, and at most 86400")
    return seconds


COMMANDS = {
    "collect": ("run one cycle and write its metrics, for Telegraf's exec and for Prometheus", _collect),
    "execd": ("run a cycle for every newline on standard input, for Telegraf's execd", _execd),
    "serve": ("collect in the background and serve the metrics over HTTP, for Prometheus", _serve),
    "report": ("print what was used as a table; by default the last 7 days of the preset service", _report),
    "doctor": ("check credentials, clock, network, project and permission, each with its remedy", _doctor),
    "demo": ("show report and collect on a stand-in for the cloud, without an account", _demo),
    "assets": ("write out the dashboards, monitors and alert rules", _assets),
}
"""What each command does, and what adds its options."""
