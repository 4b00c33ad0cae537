"""The table of faults: each fault, and how every surface reports it. docs/troubleshooting.md shows it."""

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
from .faulty_cloud import Act, Exchange, Fault, always, drip, http


class Row(NamedTuple):
    """A fault, and how it is reported.

    line: the first line of standard error without its level; `…` matches any text.
    points: how many of the cycle's two queries have a usage point; if both have, the line is a warning.
    hangs: the fault ends by a time-out.
    needs_lookup: the configuration has no project_id, so that it is looked up.
    key_file: the credentials file is "right", "empty" or "missing".
    """

    title: str
    variant: str
    fault: Optional[Fault]
    result: Result
    line: str
    points: int = 0
    hangs: bool = False
    needs_lookup: bool = False
    key_file: str = "right"

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
    def max_requests(self) -> Optional[int]:
        """Requests allowed: one with a refused key, one per query without a permission; None: any number."""
        return 1 if self.result in REFUSED else 2 if self.result == Result.PERMISSION_DENIED else None

    def without_fault(self) -> Row:
        return self._replace(fault=None, key_file="right")

    def matches(self, text: str) -> bool:
        """Return whether a text is the line, with the region before it and what it affects behind it."""
        missing = "no values for " if self.result else ""
        parts = f"cn-southwest-2 (…): {self.line} ({missing}…)".split("…")
        return re.search(".*".join(map(re.escape, parts)), text) is not None


FOLDED = ("The answer has an unexpected form", "One of several queries fails in one of these ways")
"""Titles of which markdown() shows one row: their lines differ by a field's name, or repeat those of other titles."""

REFUSED = (Result.KEY_REFUSED, Result.KEY_LOCKED, Result.CLOCK_OFF, Result.CREDENTIALS_EXPIRED)
NO_JSON = (
    "the answer is not JSON but {}; a proxy or another server answered instead of the cloud: check endpoint and proxy"
)
DENIED = (
    "the key's user lacks a permission: allow `{}` in an IAM policy (README, Permissions); "
    "a new permission takes effect after 15 to 30 minutes […]"
)
UNEXPECTED_ANSWER = "invalid answer from the cloud: {}; report it if it persists, the API may have changed"
STAMP = "%Y%m%dT%H%M%SZ"
HEAD = b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n"


def fault_if(condition: Callable[[Exchange], bool], fault: Fault) -> Fault:
    return lambda exchange: fault(exchange) if condition(exchange) else None


def is_project_lookup(exchange: Exchange) -> bool:
    return exchange.method == "GET"


def is_one_of_two(exchange: Exchange) -> bool:
    """Choose the range of a day, and in a report the first of two service types."""
    query = json.loads(exchange.body)
    return bool(query["end_time"] - query["start_time"] == 86_400_000 or query["service_type"] == 1)


def replace_field(name: str, text: str) -> Fault:
    """Replace one field of the true answer by a raw JSON text, such as one that json.dumps cannot write."""

    def fault(exchange: Exchange) -> Sequence[bytes]:
        fields = json.loads(exchange.true_answer().partition(b"\r\n\r\n")[2])
        return [http(200, json.dumps({**fields, name: "@"}).replace('"@"', text).encode())]

    return fault


def refuse_clock(minutes: int, text: str) -> Fault:
    """Refuse a signature whose time is `minutes` behind the cloud's.

    The cloud's time is put into the text, or into the header Date if the text has no place for it.
    """

    def fault(exchange: Exchange) -> Sequence[bytes]:
        signed = exchange.headers["X-Sdk-Date"]
        at = timegm(time.strptime(signed, STAMP)) + minutes * 59.5  # the line rounds it to minutes
        headers = {} if "{}" in text else {"Date": formatdate(at, usegmt=True)}
        return [http(401, text.format(signed, time.strftime(STAMP, time.gmtime(at))).encode(), **headers)]

    return fault


ERRORS: List[Tuple[str, int, str, str, Result, str]] = [
    ("The secret key is wrong", 401, "APIGW.0301", "verify ak sk signature fail", Result.KEY_REFUSED,
     "the signature was refused: check that the secret key belongs to the access key [401…]"),
    ("The access key does not exist", 401, "APIGW.0301", "ak not exist", Result.KEY_REFUSED,
     "the access key does not exist: check HW_ACCESS_KEY [401…]"),
    ("The access key is locked", 401, "APIGW.0301", "AK access failed to reach the limit, forbidden",
     Result.KEY_LOCKED,
     "the access key is locked for 5 minutes after too many refusals: find who uses a wrong key [401…]"),
    ("Temporary credentials have expired", 401, "APIGW.0301", "signature expired", Result.CREDENTIALS_EXPIRED,
     "the temporary credentials expired: get new ones, or use `source: sdk` [401…]"),
    ("Temporary credentials have expired", 401, "APIGW.0301", "decrypt token fail", Result.CREDENTIALS_EXPIRED,
     "the temporary credentials expired: get new ones, or use `source: sdk` [401…]"),
    ("A permission is missing", 403, "ModelArts.0403", "Policy doesn't allow modelarts:monitoring:get",
     Result.PERMISSION_DENIED, DENIED.format("modelarts:monitoring:get")),
    ("A permission is missing", 401, "ModelArts.0403", "policy doesn't allow modelarts:monitoring:get",
     Result.PERMISSION_DENIED, DENIED.format("modelarts:monitoring:get")),
    ("The region, the endpoint or the project is wrong", 404, "APIGW.0101",
     "The API does not exist or has not been published in the environment", Result.NOT_FOUND,
     "no such API at this address: check region, endpoint and project_id [404…]"),
    ("The cloud rejects the request", 400, "ModelArts.0104", "service_type must be one of [1 2 4]",
     Result.REQUEST_REJECTED,
     "the cloud rejected the request (`…service_type must be one of [1 2 4]…`): check the configuration [400…]"),
    ("The cloud's limit is reached", 429, "APIGW.0308", "The throttling threshold has been reached", Result.THROTTLED,
     "the cloud's request limit was reached: lower max_requests_per_minute, or query less often […]"),
    ("The cloud's limit is reached", 403, "APIG.0308", "The throttling threshold has been reached", Result.THROTTLED,
     "the cloud's request limit was reached: lower max_requests_per_minute, or query less often […]"),
    *[("The cloud has an internal error", status, "APIGW.0201", "Backend timeout", Result.SERVER_ERROR,
       f"the cloud had an internal error; the request is retried, also in the next cycle [{status}…]")
      for status in (500, 502, 503, 504)],
    *[("The request does not arrive in time", status, "", "Request Time-out", Result.TIMED_OUT,
       "the request did not arrive in time; it is retried, also in the next cycle: check whether the network is slow "
       "[…]") for status in (408, 499)],
    *[("The request reaches the wrong server", status, "", "Misdirected Request", Result.SERVER_ERROR,
       "the server that answered does not accept this request; it is retried, also in the next cycle: "
       "check endpoint and proxy […]") for status in (421, 425)],
    *[("A firewall or proxy blocks the request", status, "", "Blocked", Result.BAD_ANSWER,
       "a firewall or proxy blocked the request: check firewall, proxy and endpoint […]")
      for status in (418, 451, 511)],
    ("A firewall or proxy blocks the request", 407, "", "Proxy Authentication Required", Result.BAD_ANSWER,
     "a proxy requires a password: check proxy and endpoint [407…]"),
]  # fmt: skip


def refusals() -> Iterator[Row]:
    """List refusals, each in one shape of error response; test_error_responses.py has all shapes of each."""
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
            yield Row("This machine's clock is off", words + name, refuse_clock(minutes, text), Result.CLOCK_OFF, line)


def truncated_refusals() -> Iterator[Row]:
    """List refusals of which only the status arrives: it is enough."""
    title = "The body of a refusal does not arrive"
    refused, denied = ERRORS[0][-1].replace("…", ""), DENIED.format("modelarts:monitoring:get").replace("…", "403")
    head = HEAD.replace(b"200", b"401")
    yield Row(title, "401 cut short", always(head + b"{"), Result.KEY_REFUSED, refused)
    yield Row(title, "401 hangs", always(head, Act.HANG), Result.KEY_REFUSED, refused, hangs=True)
    yield Row(title, "403 cut short", always(head.replace(b"401", b"403")), Result.PERMISSION_DENIED, denied)


def missing_keys() -> Iterator[Row]:
    for key_file, name, why in (
        ("missing", "no file", "cannot be read (No such file or directory): check the path and who may read it"),
        ("empty", "an empty file", "has none of the three shapes: HW_ACCESS_KEY=... lines, one line AK,SK, or AK and "
         "SK on lines of their own"),
    ):  # fmt: skip
        line = f"credentials file … {why}"
        yield Row("There is no access key", name, None, Result.NO_CREDENTIALS, line, key_file=key_file)


def network_failures() -> Iterator[Row]:
    no_connection = "127.0.0.1:…: no connection (…): check network, firewall and proxy"
    for name, fault, line in (
        ("reset before the headers", always(Act.RESET), no_connection),
        ("closed before the headers", always(b""), no_connection),
        ("cut short", always(HEAD + b"{"), "the connection closed in the middle of the answer; the request is retried"),
        ("reset after the headers", always(HEAD, Act.RESET), no_connection),
    ):
        yield Row("No connection, or the connection breaks", name, fault, Result.NETWORK, line)
    line = "127.0.0.1:… answered, but not in HTTP: check endpoint, its port, and proxy"
    for name, answer in (("banner", b"SSH-2.0-OpenSSH_9.6\r\n"), ("noise", b"\x15\x03\x01\x00\x02\x02\x46" * 9)):
        yield Row("The server does not speak HTTP", name, always(answer), Result.NETWORK, line)
    line = "127.0.0.1:… did not answer in time: check the network, or raise timeout"
    for name, fault in (
        ("after the headers", always(HEAD, Act.HANG)),
        ("a byte at a time", always(*drip(HEAD + b" " * 100))),
    ):
        yield Row("No answer in time", name, fault, Result.TIMED_OUT, line, hangs=True)


def wrong_answers() -> Iterator[Row]:
    proxy = "check endpoint and proxy"
    for name, answer, line in (
        ("HTML", http(200, b"<html>sign in</html>"), NO_JSON.format("HTML")),
        ("nothing", http(200), NO_JSON.format("an empty body")),
        ("half", http(200, b'{"total_token": 1'), NO_JSON.format("a broken body")),
        ("depth", http(200, b"[" * 99_999), NO_JSON.format("a broken body")),
        ("{}", http(200, b"{}", Content_Encoding="gzip"), UNEXPECTED_ANSWER.format("`total_token` is missing")),
        ("302", http(302, Location="/x"), f"the answer was a redirect, which is not followed: {proxy} [302]"),
        ("204", http(204), f"the answer has an unexpected status: {proxy} [204]"),
        ("2 MiB", http(200, b" " * 2**21), "the answer is longer than 1 MiB, so it is not the cloud's: check endpoint"),
    ):
        yield Row("Another server answers instead of the cloud", name, always(answer), Result.BAD_ANSWER, line)
    title = "The answer has an unexpected form"
    for name, fault, line in (
        ("[]", always(http(200, b"[]")), UNEXPECTED_ANSWER.format("it is not a JSON object")),
        ("null", replace_field("total_token", "null"), UNEXPECTED_ANSWER.format("`total_token` is not a number")),
        ("-1", replace_field("total_infer_count", "-1"), UNEXPECTED_ANSWER.format("`total_infer_count` is negative")),
        (
            "1e400",
            replace_field("total_token", "1e400"),
            UNEXPECTED_ANSWER.format("`total_token` is too large to be true"),
        ),
        ("NaN", replace_field("total_error_count", "NaN"), NO_JSON.format("a broken body")),
    ):
        yield Row(title, name, fault, Result.BAD_ANSWER, line)
    yield Row(
        "The cloud counts more errors than requests",
        "",
        replace_field("total_error_count", "999999999"),
        Result.OK,
        "more errors than requests: error_ratio is omitted",
        points=2,
    )


def missing_projects() -> Iterator[Row]:
    region = "cn-southwest-2"
    one = {"id": "a" * 32, "name": region, "enabled": True}
    for name, projects, count in (
        ("none", [], "no enabled project"),
        ("two", [one, {**one, "id": "b" * 32}], "2 projects"),
        ("only sub-projects", [{**one, "name": f"{region}_sub"}], "no enabled project"),
        ("disabled", [{**one, "enabled": False}], "no enabled project"),
        ("no list", None, "no enabled project"),
        ("a list of nothing", [None, 7, "x", []], "no enabled project"),
    ):
        fault = fault_if(is_project_lookup, always(http(200, json.dumps({"projects": projects}).encode())))
        line = f"IAM lists {count} named {region}: check region, or set project_id"
        yield Row("The project id cannot be looked up", name, fault, Result.NO_PROJECT, line, needs_lookup=True)
    denied = fault_if(is_project_lookup, always(http(403)))
    line = DENIED.format("iam:projects:get")
    yield Row("A permission is missing", "of the lookup", denied, Result.PERMISSION_DENIED, line, needs_lookup=True)


def one_per_result(rows: Iterable[Row]) -> Dict[Result, Row]:
    return {row.code: row for row in reversed(list(rows))}


def partial_failures() -> Iterator[Row]:
    """List faults of one of the two queries; the other one succeeds."""
    rows = one_per_result([*refusals(), *network_failures(), *wrong_answers()])
    for result in (Result.REQUEST_REJECTED, Result.SERVER_ERROR, Result.NETWORK, Result.TIMED_OUT, Result.BAD_ANSWER):
        fault = rows[result].fault
        assert fault
        yield rows[result]._replace(title=FOLDED[1], fault=fault_if(is_one_of_two, fault), points=1)


TABLE: List[Row] = [
    *missing_keys(),
    *refusals(),
    *truncated_refusals(),
    *network_failures(),
    *wrong_answers(),
    *missing_projects(),
    *partial_failures(),
]
ONE_PER_RESULT: List[Row] = list(one_per_result(TABLE).values())


def row_ids(rows: Sequence[Row]) -> List[str]:
    return [f"{row.title}: {row.variant}" for row in rows]


def markdown() -> str:
    """Render the table for docs/troubleshooting.md, each kind of line once."""
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
