"""The one table of faults: what happens, and what every surface then does; docs/troubleshooting.md shows it."""

from __future__ import annotations

import itertools
import json
import re
import time
from calendar import timegm
from email.utils import formatdate
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from maas_usage_check.errors import Result

from ..cloud.test_error_responses import SHAPES
from .server import Act, Exchange, Fault, always, drip, http


class Row(NamedTuple):
    """Hold one fault. `line` is the first line of standard error without its level; … stands for anything.

    With `points` for both questions there is but a warning, result OK. What `hangs` ends by a time-out.
    """

    title: str
    variant: str
    fault: Optional[Fault]
    result: Result
    line: str
    points: int = 0
    hangs: bool = False
    looked_up: bool = False
    key: str = "right"

    @property
    def up(self) -> int:
        return int(self.points > 0)

    @property
    def exit_code(self) -> int:
        return 0 if self.up else 1

    @property
    def level(self) -> str:
        return "W" if self.up else "E"

    @property
    def code(self) -> Result:
        return Result.PARTIAL if self.up and self.result else self.result

    @property
    def most_requests(self) -> Optional[int]:
        """Tell how often the cloud may be asked: once with a refused key, once a question without a permission."""
        return 1 if self.result in REFUSED else 2 if self.result == Result.PERMISSION_DENIED else None

    def cured(self) -> Row:
        return self._replace(fault=None, key="right")

    def matches(self, text: str) -> bool:
        """Tell whether a text is the line, region first."""
        of = "no values for " if self.result else ""
        parts = f"cn-southwest-2 (…): {self.line} ({of}…)".split("…")
        return re.search(".*".join(map(re.escape, parts)), text) is not None


FOLDED = ("The answer is not what the API's page says", "One question of several meets one of these")
"""Titles whose lines differ by a field's name, or are those of other titles: one of them is shown."""

REFUSED = (Result.KEY_REFUSED, Result.KEY_LOCKED, Result.CLOCK_OFF, Result.CREDENTIALS_EXPIRED)
NO_JSON = (
    "the answer is not JSON but {}; something between here and the cloud answered in its place: "
    "check endpoint and proxy"
)
DENIED = "the key's user lacks a permission: allow `{}` in an IAM policy (README, Permissions) […]"
NOT_BELIEVED = "the cloud's answer was not believed: {}; report it if it lasts, the API may have changed"
STAMP = "%Y%m%dT%H%M%SZ"
HEAD = b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n"


def where(condition: Callable[[Exchange], bool], fault: Fault) -> Fault:
    return lambda exchange: fault(exchange) if condition(exchange) else None


def lookup(exchange: Exchange) -> bool:
    return exchange.method == "GET"


def one_day(exchange: Exchange) -> bool:
    asked = json.loads(exchange.body)
    return bool(asked["end_time"] - asked["start_time"] == 86_400_000)


def replaced(name: str, text: str) -> Fault:
    """Replace one field of the true answer by a JSON text, which json.dumps might not write."""

    def fault(exchange: Exchange) -> Sequence[bytes]:
        fields = json.loads(exchange.truth().partition(b"\r\n\r\n")[2])
        return [http(200, json.dumps({**fields, name: "@"}).replace('"@"', text).encode())]

    return fault


def clock_off(minutes: int, text: str) -> Fault:
    """Refuse at a time of the cloud that is so far from the signature's: told in the text, or else by Date alone."""

    def fault(exchange: Exchange) -> Sequence[bytes]:
        signed = exchange.headers["X-Sdk-Date"]
        at = timegm(time.strptime(signed, STAMP)) + minutes * 59.5  # it is named rounded
        dated = {} if "{}" in text else {"Date": formatdate(at, usegmt=True)}
        return [http(401, text.format(signed, time.strftime(STAMP, time.gmtime(at))).encode(), **dated)]

    return fault


ERRORS: List[Tuple[str, int, str, str, Result, str]] = [
    ("The secret key is wrong", 401, "APIGW.0301", "verify ak sk signature fail", Result.KEY_REFUSED,
     "the signature was refused: check that the secret key belongs to the access key [401…]"),
    ("The access key does not exist", 401, "APIGW.0301", "ak not exist", Result.KEY_REFUSED,
     "the cloud knows no such access key: check HW_ACCESS_KEY [401…]"),
    ("Somebody has locked the key", 401, "APIGW.0301", "AK access failed to reach the limit, forbidden",
     Result.KEY_LOCKED,
     "the access key is locked for 5 minutes after too many refusals: find who uses a wrong key [401…]"),
    ("Temporary credentials ran out", 401, "APIGW.0301", "signature expired", Result.CREDENTIALS_EXPIRED,
     "the temporary credentials ran out: get new ones, or use `source: sdk` [401…]"),
    ("Temporary credentials ran out", 401, "APIGW.0301", "decrypt token fail", Result.CREDENTIALS_EXPIRED,
     "the temporary credentials ran out: get new ones, or use `source: sdk` [401…]"),
    ("A permission is missing", 403, "ModelArts.0403", "Policy doesn't allow modelarts:monitoring:get",
     Result.PERMISSION_DENIED, DENIED.format("modelarts:monitoring:get")),
    ("A permission is missing", 401, "ModelArts.0403", "policy doesn't allow modelarts:monitoring:get",
     Result.PERMISSION_DENIED, DENIED.format("modelarts:monitoring:get")),
    ("The region, the endpoint or the project is wrong", 404, "APIGW.0101",
     "The API does not exist or has not been published in the environment", Result.NOT_FOUND,
     "the cloud knows no such API there: check region, endpoint and project_id [404…]"),
    ("The cloud does not take the question", 400, "ModelArts.0104", "service_type must be one of [1 2 4]",
     Result.REQUEST_REJECTED,
     "the cloud rejected the request (`…service_type must be one of [1 2 4]…`): check the configuration [400…]"),
    ("The cloud's limit is reached", 429, "APIGW.0308", "The throttling threshold has been reached", Result.THROTTLED,
     "the cloud's request limit was reached: lower max_requests_per_minute, or ask less often [429…]"),
    *[("The cloud has a fault of its own", status, "APIGW.0201", "Backend timeout", Result.SERVER_ERROR,
       f"the cloud had a fault of its own; it is tried again, and next cycle [{status}…]")
      for status in (500, 502, 503, 504)],
    *[("The request does not arrive in time", status, "", "Request Time-out", Result.TIMED_OUT,
       "the request did not arrive in time; it is tried again, and next cycle: check whether the network is slow "
       "[…]") for status in (408, 499)],
    *[("The request meets another server", status, "", "Misdirected Request", Result.SERVER_ERROR,
       "the request met a server that does not take it; it is tried again, and next cycle: check endpoint and proxy "
       "[…]") for status in (421, 425)],
    *[("Something blocks the request", status, "", "Blocked", Result.BAD_ANSWER,
       "something between here and the cloud blocked the request: check firewall, proxy and endpoint […]")
      for status in (418, 451, 511)],
    ("Something blocks the request", 407, "", "Proxy Authentication Required", Result.BAD_ANSWER,
     "a proxy asked for a password in the cloud's place: check proxy and endpoint [407…]"),
]  # fmt: skip


def refusals() -> Iterator[Row]:
    """Each comes in one of the shapes; tests/cloud/test_error_responses.py has every error in all of them."""
    for (title, status, code, text, result, line), (shape, write) in zip(ERRORS, itertools.cycle(SHAPES.items())):
        answer = http(status, write(code, text), X_Request_Id="id-1")
        yield Row(title, f"{status} {code} {text[:12]} {shape}", always(answer), result, line)
    for minutes, words in ((20, "behind"), (-20, "ahead of")):
        line = f"this machine's clock is 20 minutes {words} the cloud's, 15 are allowed: set it [401…]"
        for name, text in (
            ("", "verify ak sk signature fail"),
            (", called expired", "signature expired"),
            (", both times", "calc aksk signature fail:signature expired, signature time:{},server time:{}"),
        ):
            yield Row("This machine's clock is off", words + name, clock_off(minutes, text), Result.CLOCK_OFF, line)


def cut_off() -> Iterator[Row]:
    """Refusals of which only the status arrives: it says enough."""
    title = "The text of a refusal does not arrive"
    refused, denied = ERRORS[0][-1].replace("…", ""), DENIED.format("modelarts:monitoring:get").replace("…", "403")
    head = HEAD.replace(b"200", b"401")
    yield Row(title, "401 cut short", always(head + b"{"), Result.KEY_REFUSED, refused)
    yield Row(title, "401 hangs", always(head, Act.HANG), Result.KEY_REFUSED, refused, hangs=True)
    yield Row(title, "403 cut short", always(head.replace(b"401", b"403")), Result.PERMISSION_DENIED, denied)


def keys() -> Iterator[Row]:
    for key, name, why in (
        ("missing", "no file", "cannot be read (No such file or directory): check the path and who may read it"),
        ("empty", "an empty file", "has none of the three shapes: HW_ACCESS_KEY=... lines, one line AK,SK, or AK and "
         "SK on lines of their own"),
    ):  # fmt: skip
        line = f"credentials file … {why}"
        yield Row("There is no access key", name, None, Result.NO_CREDENTIALS, line, key=key)


def network() -> Iterator[Row]:
    none = "127.0.0.1:…: no connection (…): check network, firewall and proxy"
    for name, fault, line in (
        ("reset before the headers", always(Act.RESET), none),
        ("closed before the headers", always(b""), none),
        ("cut short", always(HEAD + b"{"), "the connection closed in the middle of the answer; it is tried again"),
        ("reset after the headers", always(HEAD, Act.RESET), none),
    ):
        yield Row("Nobody answers, or the connection breaks", name, fault, Result.NETWORK, line)
    line = "127.0.0.1:… answered, but not in HTTP: check endpoint, its port, and proxy"
    for name, answer in (("banner", b"SSH-2.0-OpenSSH_9.6\r\n"), ("noise", b"\x15\x03\x01\x00\x02\x02\x46" * 9)):
        yield Row("What answers speaks no HTTP", name, always(answer), Result.NETWORK, line)
    line = "127.0.0.1:… did not answer in time: check the network, or raise timeout"
    for name, fault in (
        ("after the headers", always(HEAD, Act.HANG)),
        ("a byte at a time", always(*drip(HEAD + b" " * 100))),
    ):
        yield Row("An answer does not come in time", name, fault, Result.TIMED_OUT, line, hangs=True)


def answers() -> Iterator[Row]:
    proxy = "check endpoint and proxy"
    for name, answer, line in (
        ("HTML", http(200, b"<html>sign in</html>"), NO_JSON.format("HTML")),
        ("nothing", http(200), NO_JSON.format("an empty body")),
        ("half", http(200, b'{"total_token": 1'), NO_JSON.format("a broken body")),
        ("depth", http(200, b"[" * 99_999), NO_JSON.format("a broken body")),
        ("{}", http(200, b"{}", Content_Encoding="gzip"), NOT_BELIEVED.format("`total_token` is missing")),
        ("302", http(302, Location="/x"), f"the answer was a redirect, which is not followed: {proxy} [302]"),
        ("204", http(204), f"the answer was of a kind that the API does not give: {proxy} [204]"),
        ("2 MiB", http(200, b" " * 2**21), "the answer is longer than 1 MiB, so it is not one: check endpoint"),
    ):
        yield Row("Something else answers in the cloud's place", name, always(answer), Result.BAD_ANSWER, line)
    title = "The answer is not what the API's page says"
    for name, fault, line in (
        ("[]", always(http(200, b"[]")), NOT_BELIEVED.format("it is not a JSON object")),
        ("null", replaced("total_token", "null"), NOT_BELIEVED.format("`total_token` is not a number")),
        ("-1", replaced("total_infer_count", "-1"), NOT_BELIEVED.format("`total_infer_count` is negative")),
        ("1e400", replaced("total_token", "1e400"), NOT_BELIEVED.format("`total_token` is too large to be true")),
        ("NaN", replaced("total_error_count", "NaN"), NO_JSON.format("a broken body")),
    ):
        yield Row(title, name, fault, Result.BAD_ANSWER, line)
    yield Row(
        "The cloud counts more errors than requests",
        "",
        replaced("total_error_count", "999999999"),
        Result.OK,
        "more errors than requests, so that no error_ratio is given",
        points=2,
    )


def projects() -> Iterator[Row]:
    region = "cn-southwest-2"
    one = {"id": "a" * 32, "name": region, "enabled": True}
    for name, found, count in (
        ("none", [], "no enabled project"),
        ("two", [one, {**one, "id": "b" * 32}], "2 projects"),
        ("only sub-projects", [{**one, "name": f"{region}_sub"}], "no enabled project"),
        ("disabled", [{**one, "enabled": False}], "no enabled project"),
        ("no list", None, "no enabled project"),
        ("a list of nothing", [None, 7, "x", []], "no enabled project"),
    ):
        fault = where(lookup, always(http(200, json.dumps({"projects": found}).encode())))
        line = f"IAM lists {count} named {region}: check region, or set project_id"
        yield Row("IAM does not tell the project", name, fault, Result.NO_PROJECT, line, looked_up=True)
    denied = where(lookup, always(http(403)))
    line = DENIED.format("iam:projects:get")
    yield Row("A permission is missing", "of the lookup", denied, Result.PERMISSION_DENIED, line, looked_up=True)


def first_of_each(rows: Iterable[Row]) -> Dict[Result, Row]:
    return {row.code: row for row in reversed(list(rows))}


def parts() -> Iterator[Row]:
    """Faults that meet one of two questions: the other is answered."""
    found = first_of_each([*refusals(), *network(), *answers()])
    for result in (Result.REQUEST_REJECTED, Result.SERVER_ERROR, Result.NETWORK, Result.TIMED_OUT, Result.BAD_ANSWER):
        fault = found[result].fault
        assert fault
        yield found[result]._replace(title=FOLDED[1], fault=where(one_day, fault), points=1)


TABLE: List[Row] = [*keys(), *refusals(), *cut_off(), *network(), *answers(), *projects(), *parts()]
FIRST: List[Row] = list(first_of_each(TABLE).values())
"""One row per result."""


def names(rows: Sequence[Row]) -> List[str]:
    return [f"{row.title}: {row.variant}" for row in rows]


def markdown() -> str:
    """Render the table for people: each kind of line once."""
    shown: Dict[Tuple[str, str, Result], Row] = {}
    for row in TABLE:
        shown.setdefault((row.title, row.line if row.title not in FOLDED else "", row.code), row)
    lines = [
        "| what is wrong | the first line, after `E! ` or `W! ` and the region | `result_code` | `up` | exit code |",
        "|---|---|---|---|---|",
    ]
    for row in shown.values():
        text = row.line.replace("|", "\\|")
        lines.append(f"| {row.title} | {text} | {row.code.value} {row.code.name} | {row.up} | {row.exit_code} |")
    return "\n".join(lines) + "\n"
