"""The arguments of the command line."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from functools import partial
from os.path import expanduser
from typing import NoReturn, Optional, Sequence, Tuple

from ..config import INLINE_SECRET, is_secret
from ..config.ranges import Moment, parse_moment, parse_range
from ..errors import ConfigError
from ..metrics import FORMATS
from ..version import __version__

LISTEN = "127.0.0.1:16227"
"""The port is MAAS on a telephone keypad. No known exporter uses it; 9100 to 9999 are all allocated."""
LONGEST_WORD = 10
BEFORE_COMMAND = ("-h", "--help", "--version")
REPORT_FORMATS = ("table", "csv", "json", "focus", "html")
REPORT_GROUPS = ("service", "key", "model", "team")
EXAMPLES = """\
examples:
  maas-usage-check demo
  maas-usage-check report --last 7d
  maas-usage-check collect --config conf.yaml
"""


class Parser(argparse.ArgumentParser):
    """Raise ConfigError instead of printing the usage and exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError."""
        raise ConfigError(f"{re.sub('^argument ', '', message)}; see {self.prog} --help")


def read_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command and its options; raise ConfigError, whose text never contains a value that may be a secret."""
    argv = argv or ["--help"]
    for argument in argv:
        if argument.startswith("-") and is_secret(argument.split("=")[0]):
            raise ConfigError(f"{argument.split('=')[0]}: {INLINE_SECRET}")
    words = [argument for argument in argv if not argument.startswith("-")]
    command = words[0] if words else None
    if command is not None and (command not in COMMANDS or argv[0] not in (command, *BEFORE_COMMAND)):
        raise ConfigError(_wrong_command(argv[0], words))
    is_help = not {"-h", "--help"}.isdisjoint(argv)
    args, unknown = _make_parser(command, is_help).parse_known_args(argv)
    if unknown:
        option = unknown[0].split("=")[0]
        error = f"{option}: unknown option" if option.startswith("-") else "unexpected argument"
        raise ConfigError(f"{error}; see maas-usage-check {args.command} --help")
    return args


def _wrong_command(first: str, words: Sequence[str]) -> str:
    """Describe a command line that begins with `first`, in which these words are no options."""
    from difflib import get_close_matches  # saves 2 million instructions of a `collect`

    if first.startswith("-"):
        for word in words:
            if word in COMMANDS:
                return f"{first.split('=')[0]}: write the command before it: maas-usage-check {word} ..."
    for word in words if first.startswith("-") else words[:1]:
        starts = [command for command in COMMANDS if len(word) > 1 and command.startswith(word.lower())]
        for similar in starts or get_close_matches(word.lower(), COMMANDS, n=1):
            quoted = f" `{word}`" if word.isalpha() and len(word) <= LONGEST_WORD else ""  # another may be a secret
            return f"unknown command{quoted}: did you mean `{similar}`?"
    return f"unknown command; commands: {', '.join(COMMANDS)}; see maas-usage-check --help"


def _make_parser(command: Optional[str], is_help: bool) -> argparse.ArgumentParser:
    # Only help needs the terminal's width; reading it takes a thirtieth of a `collect`.
    width = None if is_help else 80
    parser = Parser(
        prog="maas-usage-check",
        description="Report a team's usage of Huawei Cloud MaaS.",
        epilog=EXAMPLES,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=width),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"maas-usage-check {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog="maas-usage-check")
    for name, (summary, add_options) in COMMANDS.items():
        if command in (None, name):  # the others would take a thirtieth of a `collect`
            own = commands.add_parser(
                name,
                help=summary,
                description=f"{summary[:1].upper()}{summary[1:]}.",
                formatter_class=partial(argparse.HelpFormatter, width=width),
                allow_abbrev=False,
            )
            add_options(own)
    return parser


def _add_file(parser: argparse.ArgumentParser, option: str, text: str, required: bool = False) -> None:
    parser.add_argument(option, required=required, type=expanduser, metavar="FILE", help=text)


def _add_config(parser: argparse.ArgumentParser) -> None:
    _add_file(parser, "--config", "the YAML file, see conf.yaml.example", required=True)


def _add_collect_options(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    parser.add_argument("--format", choices=FORMATS, default="influx", help="default: influx")
    parser.add_argument(
        "--output",
        type=lambda path: None if path == "-" else expanduser(path),
        metavar="FILE",
        help="replace a file atomically; default: -, standard output",
    )
    parser.add_argument("--deadline", type=_parse_seconds, metavar="SECONDS", help="overrides `deadline` in the file")
    parser.add_argument("--quiet", action="store_true", help="no messages on standard error, for Categraf and Zabbix")
    parser.add_argument("--exit-zero", action="store_true", help="exit code 0 instead of 1, for Categraf")


def _add_serve_options(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    parser.add_argument(
        "--listen",
        type=_parse_address,
        default=LISTEN,
        metavar="HOST:PORT",
        help="default: %(default)s; port 0 for any free port",
    )
    _add_file(parser, "--tls-cert", "serve over TLS, with this certificate")
    _add_file(parser, "--tls-key", "the private key of --tls-cert")
    _add_file(parser, "--tls-client-ca", "accept only clients with a certificate of this CA")
    parser.add_argument("--no-page", action="store_true", help="without the page for people at /")


def _add_report_options(parser: argparse.ArgumentParser) -> None:
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--last", type=_parse_period, metavar="7d", help="a period up to now: days (7d) or hours (24h)")
    when.add_argument(
        "--from", dest="since", type=_parse_moment, metavar="DATE", help="from this date's local midnight"
    )
    when.add_argument("--this-month", action="store_true", help="from the 1st, 00:00, to now")
    when.add_argument("--last-month", action="store_true", help="the calendar month before")
    when.add_argument("--month", type=_parse_month, metavar="YYYY-MM", help="a calendar month of the last 13")
    when.add_argument("--today", action="store_true", help="from 00:00 to now")
    when.add_argument("--yesterday", action="store_true", help="the day before")
    parser.add_argument(
        "--to",
        dest="until",
        type=_parse_moment,
        metavar="DATE",
        help="up to this date's local midnight, so without the day itself",
    )
    parser.add_argument(
        "--by",
        choices=REPORT_GROUPS,
        help="a row or column for each service type (default), API key label, model or team",
    )
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--daily", dest="size", action="store_const", const="day", help="one row and one bar per day, and a total"
    )
    rows.add_argument(
        "--hourly",
        dest="size",
        action="store_const",
        const="hour",
        help="one row and one bar per hour; for more than 2 days a heat map",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also the period before and the change; of a running month, the same days and hours of the last",
    )
    parser.add_argument(
        "--format",
        choices=REPORT_FORMATS,
        default="table",
        help="default: table; focus: cost by day, model, API key and kind of token as FOCUS 1.2; html: a page",
    )
    parser.add_argument("--region", help="default: cn-southwest-2")
    parser.add_argument(
        "--service-type",
        nargs="+",
        metavar="TYPE",
        help="1, 2, 4 or my_service, preset, custom_endpoint; several: a row each and a total; default: 2",
    )
    parser.add_argument("--infer-type", metavar="TYPE", help="real_time or batch; default: real_time")
    parser.add_argument("--api-keys", nargs="+", metavar="LABEL", help="only calls with these keys, by label")
    _add_file(parser, "--credentials-file", "overrides the environment (in Huawei's script it is the reverse)")
    _add_file(parser, "--config", "a YAML file; the options above override it")
    parser.add_argument("--raw", action="store_true", help="also show the API's responses")


def _add_doctor_options(parser: argparse.ArgumentParser) -> None:
    _add_file(parser, "--config", "the YAML file; without it, the default configuration is checked")


def _add_demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--serve",
        action="store_true",
        help="serve a page with three months of history, and keep the simulator running to try an agent with it",
    )
    parser.add_argument("--port", type=_parse_port, default=0, help="default: any free port")


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=expanduser, metavar="DIR", help="target folder; files of the same names are replaced"
    )


def _parse_period(text: str) -> str:
    try:
        parse_range(f"last_{text}")
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number of days or hours up to now, such as 7d or 24h") from None
    return text


def _parse_month(text: str) -> dt.date:
    try:
        if not re.fullmatch("[0-9]{4}-[0-9]{2}", text, re.ASCII):
            raise ValueError
        return dt.date(int(text[:4]), int(text[5:]), 1)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a month, such as 2026-10") from None


def _parse_moment(text: str) -> Moment:
    try:
        return parse_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parse_address(text: str) -> Tuple[str, int]:
    host, colon, port = text.rpartition(":")
    bracketed = re.fullmatch(r"\[(.+)\]", host)
    if not colon or (":" in host and not bracketed):
        raise argparse.ArgumentTypeError(f"must be HOST:PORT, such as {LISTEN} or [::1]:{LISTEN.rpartition(':')[2]}")
    return bracketed[1] if bracketed else host, _parse_port(port)


def _parse_port(text: str) -> int:
    port = int(text) if re.fullmatch("[0-9]{1,5}", text) else -1
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError("must be a port, 0 to 65535")
    return port


def _parse_seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError("must be seconds greater than 0, and at most 86400")
    return seconds


COMMANDS = {
    "collect": ("run one cycle and write its metrics, for Telegraf's exec and for Prometheus", _add_collect_options),
    "execd": ("run a cycle for every newline on standard input, for Telegraf's execd", _add_config),
    "serve": ("collect in the background and serve the metrics over HTTP, for Prometheus", _add_serve_options),
    "report": ("print the usage as a table; by default the last 7 days", _add_report_options),
    "doctor": ("check credentials, clock, network, project and permission, each with its remedy", _add_doctor_options),
    "demo": ("show report and collect on the bundled simulator, without an account", _add_demo_options),
    "assets": ("write the configuration, examples, dashboards, monitors and alert rules to a folder", _add_folder),
}
"""The summary of each command, and the function that adds its options."""
