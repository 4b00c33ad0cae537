"""The one table of faults: what happens, and what every surface then does; docs/troubleshooting.md shows it."""

from __future__ import annotations

import json
import time
from calendar import timegm
from email.utils import formatdate
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from maas_usage_check.errors import Result

from ..cloud.test_error_answers import SHAPES
from ..fixed_clock import MONDAY
from .server import Act, Exchange, Fault, always, drip, http


class Row(NamedTuple):
    """Hold one fault. `line` is the first line of standard error without its level; … stands for anything.

    `labels` are the instance's `api_keys`. With `points` for both questions there is but a warning, result OK.
    """

    title: str
    variant: str
    fault: Optional[Fault]
    result: Result
    line: str
    points: int = 0
    looked_up: bool = False
    key: str = "right"
    listening: bool = True
    labels: Tuple[str, ...] = ()

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
    def hangs(self) -> bool:
        """True if it ends by a time-out."""
        return self.result == Result.TIMED_OUT or (self.title == CUT_OFF and self.variant[4:] in ENDLESS)

    @property
    def most_requests(self) -> Optional[int]:
        """Tell how often the cloud may be asked: once with a refused key, once a question without a permission."""
        return 1 if self.result in REFUSED else 2 if self.result == Result.PERMISSION_DENIED else None

    def cured(self) -> Row:
        return self._replace(fault=None, key="right", listening=True)

    def matches(self, text: str) -> bool:
        """Tell whether a text is the line, region first."""
        at = 0
        of = "no values for " if self.result else ""
        for part in f"cn-southwest-2 (…): {self.line} ({of}…)".split("…"):
            found = text.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        return True


FOLDED = ("The answer is not what the API's page says", "One question of several meets one of these")
"""Titles whose lines differ by a field's name, or are those of other titles: one of them is shown."""

REFUSED = (Result.KEY_REFUSED, Result.KEY_LOCKED, Result.CLOCK_OFF, Result.CREDENTIALS_EXPIRED)
CUT_OFF = "The text of a refusal does not arrive"
"""The title of those of which nothing but the status does."""
ENDLESS = ("hangs", "a byte at a time")

CHECK_ENDPOINT = "something between here and the cloud answered in its place: check endpoint and proxy"
DENIED = "the key's user lacks a permission: allow `{}` in an IAM policy (README, Permissions) […]"
NOT_BELIEVED = "the cloud's answer was not believed: {}; report it if it lasts, the API may have changed"


def where(condition: Callable[[Exchange], bool], fault: Fault) -> Fault:
    return lambda exchange: fault(exchange) if condition(exchange) else None


def lookup(exchange: Exchange) -> bool:
    return exchange.method == "GET"


def one_day(exchange: Exchange) -> bool:
    asked = json.loads(exchange.body)
    return bool(asked["end_time"] - asked["start_time"] == 86_400_000)


def altered(change: Callable[[Dict[str, Any]], str]) -> Fault:
    """Change the fields of the true answer by a function."""

    def fault(exchange: Exchange) -> Sequence[bytes]:
        fields = json.loads(exchange.truth().partition(b"\r\n\r\n")[2])
        return [http(200, change(fields).encode())]

    return fault


def replaced(name: str, text: str) -> Fault:
    """Replace one field by a JSON text, which json.dumps might not write."""
    return altered(lambda fields: json.dumps({**fields, name: "@"}).replace('"@"', text))


def without(name: str) -> Fault:
    return altered(lambda fields: json.dumps({key: value for key, value in fields.items() if key != name}))


def refused(minutes: float, answer: Callable[[float], bytes]) -> Fault:
    """Refuse at a time of the cloud that is so far from the signature's."""

    def fault(exchange: Exchange) -> Sequence[bytes]:
        signed = timegm(time.strptime(exchange.headers["X-Sdk-Date"], STAMP))
        return [answer(signed + minutes * 60)]

    return fault


def dated(minutes: int, text: bytes = b"verify ak sk signature fail") -> Fault:
    """Tell the cloud's time by Date alone. The 10 s are those by which rounding must not matter."""
    off = 10 if minutes > 0 else -10
    return refused(minutes, lambda at: http(401, text, Date=formatdate(at + off, usegmt=True)))


def timed(minutes: int, write: Callable[[str, str], bytes]) -> Fault:
    """Tell both times without a Date, in the gateway's own words for a clock that is off."""

    def answer(at: float) -> bytes:
        signed, cloud = (time.strftime(STAMP, time.gmtime(each)) for each in (at - minutes * 60, at))
        text = f"calc aksk signature fail:signature expired, signature time:{signed},server time:{cloud}"
        return http(401, write("APIGW.0301", text))

    return refused(minutes, answer)


STAMP = "%Y%m%dT%H%M%SZ"
FLOOD = [b"HTTP/1.1 200 X\r\nContent-Length: 104857600\r\n\r\n", *[b" " * 1_048_576] * 100]

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
     Result.PERMISSION_DENIED,
     DENIED.format("modelarts:monitoring:get")),
    ("A permission is missing", 401, "ModelArts.0403", "policy doesn't allow modelarts:monitoring:get",
     Result.PERMISSION_DENIED,
     DENIED.format("modelarts:monitoring:get")),
    ("The region, the endpoint or the project is wrong", 404, "APIGW.0101",
     "The API does not exist or has not been published in the environment", Result.NOT_FOUND,
     "the cloud knows no such API there: check region, endpoint and project_id [404…]"),
    ("The cloud does not take the question", 400, "ModelArts.0104", "service_type must be one of [1 2 4]",
     Result.REQUEST_REJECTED,
     "the cloud rejected the request (`…service_type must be one of [1 2 4]…`): check the configuration [400…]"),
    *[("The cloud's limit is reached", 429, code, "The throttling threshold has been reached", Result.THROTTLED,
       "the cloud's request limit was reached: lower max_requests_per_minute, or ask less often [429…]")
      for code in ("APIGW.0308", "APIG.0308")],
    *[("The cloud has a fault of its own", status, "APIGW.0201", "Backend timeout", Result.SERVER_ERROR,
       f"the cloud had a fault of its own; it is tried again, and next cycle [{status}…]")
      for status in (500, 502, 503, 504)],
]  # fmt: skip

NUMBERS = {
    "null": "null", "negative": "-1", "NaN": "NaN", "Infinity": "Infinity", "1e400": "1e400", "a string": '"7"',
    "a bool": "true", "a list": "[7]", "an object": "{}",
}  # fmt: skip
WORDS = {"negative": "is negative", "1e400": "is too large to be true"}
CORE = ("total_token", "total_prompt_token", "total_completion_token", "total_request_count", "total_error_count")
BATCH = ("total_completion_tasks", "total_infer_count")


def refusals() -> Iterator[Row]:
    for title, status, code, text, result, line in ERRORS:
        for shape, write in SHAPES.items():
            answer = http(status, write(code, text), X_Request_Id="id-1")
            yield Row(title, f"{status} {code} {text[:12]} {shape}", always(answer), result, line)
    title, _, _, _, _, line = ERRORS[-5]
    for told in ("7", formatdate(MONDAY + 30, usegmt=True), "soon"):
        answer = http(429, b"{}", Retry_After=told)
        yield Row(title, f"Retry-After {told[:4]}", always(answer), Result.THROTTLED, line)
    for minutes, words in ((20, "behind"), (-20, "ahead of")):
        title = "This machine's clock is off"
        line = f"this machine's clock is 20 minutes {words} the cloud's, 15 are allowed: set it [401…]"
        yield Row(title, words, dated(minutes), Result.CLOCK_OFF, line)
        yield Row(title, f"{words}, called expired", dated(minutes, b"signature expired"), Result.CLOCK_OFF, line)
        for shape, write in SHAPES.items():
            yield Row(title, f"{words}, both times {shape}", timed(minutes, write), Result.CLOCK_OFF, line)
    title, status, code, text, result, line = next(error for error in ERRORS if error[1] == 400)
    for shape, write in SHAPES.items():
        answer = http(status, write(code, text))
        yield Row(title, f"beside an empty label {shape}", always(answer), result, line, labels=("",))


def cut_off() -> Iterator[Row]:
    """Refusals of which only the status arrives: it says enough."""
    for status, result, line in (
        (
            401,
            Result.KEY_REFUSED,
            "the signature was refused: check that the secret key belongs to the access key [401]",
        ),
        (403, Result.PERMISSION_DENIED, DENIED.format("modelarts:monitoring:get").replace("[…]", "[403]")),
    ):
        head = f"HTTP/1.1 {status} X\r\nContent-Length: 100\r\n\r\n".encode()
        bodies = {
            "cut short": always(head + b"{"),
            "hangs": always(head, Act.HANG),
            "a byte at a time": always(head, *drip(b" " * 100)),
            "2 MiB": always(http(status, b" " * 2_097_152)),
        }
        for name, fault in bodies.items():
            yield Row(CUT_OFF, f"{status} {name}", fault, result, line)


def counters() -> Iterator[Row]:
    """Values that come all the same, with a warning."""
    yield Row("The cloud counts more errors than requests", "", replaced("total_error_count", "999999999"), Result.OK,
              "more errors than requests, so that no error_ratio is given", points=2)  # fmt: skip


def keys() -> Iterator[Row]:
    title = "There is no access key"
    yield Row(title, "no file", None, Result.NO_CREDENTIALS,
              "credentials file … cannot be read (No such file or directory): check the path and who may read it",
              key="missing")  # fmt: skip
    shapes = "has none of the three shapes: HW_ACCESS_KEY=... lines, one line AK,SK, or AK and SK on lines of their own"
    yield Row(title, "an empty file", None, Result.NO_CREDENTIALS, f"credentials file … {shapes}", key="empty")


def network() -> Iterator[Row]:
    title = "Nobody answers, or the connection breaks"
    none = "127.0.0.1:…: no connection (…): check network, firewall and proxy"
    yield Row(title, "refused", None, Result.NETWORK, none, listening=False)
    yield Row(title, "reset before the headers", always(Act.RESET),
              Result.NETWORK, none)  # fmt: skip
    yield Row(title, "closed before the headers", always(b""), Result.NETWORK, none)
    yield Row(title, "no HTTP", always(b"nonsense\r\n\r\n"), Result.NETWORK, none)
    middle = "the connection closed in the middle of the answer; it is tried again"
    head = b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n"
    yield Row(title, "cut short", always(head + b"{"), Result.NETWORK, middle)
    yield Row(title, "reset after the headers", always(head, Act.RESET),
              Result.NETWORK, none)  # fmt: skip
    title = "An answer does not come in time"
    line = "127.0.0.1:… did not answer in time: check the network, or raise timeout"
    hangs = {
        "nothing": always(Act.HANG),
        "after the status": always(b"HTTP/1.1 200 X\r\n", Act.HANG),
        "after the headers": always(head, Act.HANG),
        "a byte at a time": always(*drip(head + b" " * 100)),
        "a byte of the body at a time": always(head, *drip(b" " * 100)),
    }
    for name, fault in hangs.items():
        yield Row(title, name, fault, Result.TIMED_OUT, line)


def answers() -> Iterator[Row]:
    title = "Something else answers in the cloud's place"
    for name, body, kind in (
        ("HTML", b"<html>sign in</html>", "HTML"),
        ("nothing", b"", "an empty body"),
        ("half", b'{"total_token": 1', "a broken body"),
        ("noise", bytes(range(256)), "a broken body"),
        ("depth", b"[" * 99_999, "a broken body"),
    ):
        line = f"the answer is not JSON but {kind}; {CHECK_ENDPOINT}"
        yield Row(title, name, always(http(200, body)), Result.BAD_ANSWER, line)
    lie = http(200, b"{}", Content_Encoding="gzip")
    yield Row(title, "gzip that lies", altered(lambda fields: ""), Result.BAD_ANSWER,
              f"the answer is not JSON but an empty body; {CHECK_ENDPOINT}")  # fmt: skip
    yield Row(title, "gzip that is none", always(lie), Result.BAD_ANSWER,
              NOT_BELIEVED.format("`total_token` is missing"))  # fmt: skip
    yield Row(title, "gzip", always(http(200, b"\x1f\x8b junk", Content_Encoding="gzip")), Result.BAD_ANSWER,
              f"the answer is not JSON but a broken body; {CHECK_ENDPOINT}")  # fmt: skip
    redirect = http(302, b"", Location="/elsewhere")
    yield Row(title, "redirect", always(redirect), Result.BAD_ANSWER,
              "the answer was a redirect, which is not followed: check endpoint and proxy [302]")  # fmt: skip
    yield Row(title, "204", always(http(204)), Result.BAD_ANSWER,
              "the answer was of a kind that the API does not give: check endpoint and proxy [204]")  # fmt: skip
    yield Row(title, "100 MB", always(*FLOOD), Result.BAD_ANSWER,
              "the answer is longer than 1 MiB, so it is not one: check endpoint")  # fmt: skip
    title = "The answer is not what the API's page says"
    for body in (b"[]", b"null", b"7", b'"text"'):
        yield Row(title, body.decode(), always(http(200, body)), Result.BAD_ANSWER,
                  NOT_BELIEVED.format("it is not a JSON object"))  # fmt: skip
    for field in CORE + BATCH:
        for name, text in NUMBERS.items():
            if field in BATCH and name == "null":  # that is how it is not sent
                continue
            line = NOT_BELIEVED.format(f"`{field}` {WORDS.get(name, 'is not a number')}")
            if name in ("NaN", "Infinity"):
                line = f"the answer is not JSON but a broken body; {CHECK_ENDPOINT}"
            yield Row(title, f"{field} {name}", replaced(field, text), Result.BAD_ANSWER, line)
    for field in CORE:
        yield Row(title, f"{field} missing", without(field), Result.BAD_ANSWER,
                  NOT_BELIEVED.format(f"`{field}` is missing"))  # fmt: skip


def projects() -> Iterator[Row]:
    title = "IAM does not tell the project"
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
        yield Row(title, name, fault, Result.NO_PROJECT, line, looked_up=True)
    yield Row("A permission is missing", "of the lookup", where(lookup, always(http(403))), Result.PERMISSION_DENIED,
              DENIED.format("iam:projects:get"),
              looked_up=True)  # fmt: skip
    yield Row("Something else answers in the cloud's place", "to the lookup",
              where(lookup, always(http(200, b"<html>"))), Result.BAD_ANSWER,
              f"the answer is not JSON but HTML; {CHECK_ENDPOINT}", looked_up=True)  # fmt: skip


def parts() -> Iterator[Row]:
    """Faults that meet one of two questions: the other is answered."""
    rows = {row.variant: row for row in (*refusals(), *network(), *answers())}
    for variant in ("400 ModelArts.0104 service_type flat", "500 APIGW.0201 Backend time flat", "HTML", "cut short",
                    "after the headers", "total_token null"):  # fmt: skip
        row = rows[variant]
        assert row.fault is not None
        yield row._replace(
            title="One question of several meets one of these",
            variant=variant,
            fault=where(one_day, row.fault),
            points=1,
        )


TABLE: List[Row] = [
    *keys(), *refusals(), *cut_off(), *network(), *answers(), *counters(), *projects(), *parts(),
]  # fmt: skip


FIRST: List[Row] = list({row.code: row for row in reversed(TABLE)}.values())
"""One row per result."""


def names(rows: Sequence[Row]) -> List[str]:
    return [f"{row.title}: {row.variant}" for row in rows]


def told_apart() -> List[Row]:
    """List the rows that read otherwise than those before them."""
    shown: Dict[Tuple[str, str, Result], Row] = {}
    for row in TABLE:
        shown.setdefault((row.title, row.line if row.title not in FOLDED else "", row.code), row)
    return list(shown.values())


def markdown() -> str:
    """Render the table for people: each kind of line once."""
    lines = [
        "| what is wrong | the first line, after `E! ` or `W! ` and the region | `result_code` | `up` | exit code |",
        "|---|---|---|---|---|",
    ]
    for row in told_apart():
        text = row.line.replace("|", "\\|")
        lines.append(f"| {row.title} | {text} | {row.code.value} {row.code.name} | {row.up} | {row.exit_code} |")
    return "\n".join(lines) + "\n"
