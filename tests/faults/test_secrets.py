"""Planted secrets are searched for, in every form, wherever a fault may have left them."""

from __future__ import annotations

import base64
import gc
import json
import logging
import time
import traceback
from pathlib import Path
from typing import Any, Callable, List, Sequence
from urllib.parse import quote, quote_plus

import pytest

from maas_usage_check.access import Credentials, Gates
from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Request, Response
from maas_usage_check.config import load
from maas_usage_check.cycle import Collector, make_collectors, open_store, run_cycle
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.standin.emulator import PROJECT_ID
from maas_usage_check.store import Store

from ..conftest import Program
from .server import Exchange, Fault, Server, http
from .table import TABLE

AK, SK, TOKEN = "PLANTEDACCESSKEY", 'planted/sk+"quote\\=&?<0', "planted/token+=\\tail"
LABEL = "planted-label"


def forms(secret: str) -> List[str]:
    data = secret.encode()
    # Wherever it lies in what was encoded; the letters on its edges belong to its neighbours too.
    inner = [
        base64.b64encode(b"x" * shift + data).decode()[(0, 2, 3)[shift] : (shift + len(data)) * 8 // 6]
        for shift in range(3)
    ]
    return [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1],
            data.hex(), *inner]  # fmt: skip


PLANTED = {form for secret in (AK, SK, TOKEN, LABEL) for form in forms(secret)}


def check_clean(where: str, text: str) -> None:
    found = [form for form in PLANTED if form in text]
    assert not found, f"{where} shows {found} in {text[:300]}"


def echo(fault: Fault) -> Fault:
    """Let every answer that refuses tell all that the cloud knows, in every form, wherever it can."""
    told = " ".join(sorted(PLANTED))

    def tell(exchange: Exchange) -> Any:
        answer = fault(exchange)
        if not answer or b" 200 " in answer[:20] or b"HTTP" not in answer[:5]:
            return answer
        status = int(answer.split(b" ")[1])
        text = answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")[:60]
        body = json.dumps({"error_code": f"APIGW.{AK}", "error_msg": f"{text} {told}"}).encode()
        return http(status, body, X_Request_Id=quote(SK), Location=f"/{AK}")

    return tell


SLOW = ("An answer does not come in time", "The answer is not what the API's page says")
ROWS = [row for row in TABLE if row.listening and row.fault and not row.title.startswith(SLOW)][::3]
EXTRA = [row for row in TABLE if row.title.startswith(SLOW)][::12]


@pytest.fixture
def told(server: Server) -> Server:
    server.emulator.keys[AK] = SK
    server.emulator.tokens[AK] = TOKEN
    return server


def entry(server: Server, folder: Path, project: bool) -> dict:  # type: ignore[type-arg]
    return {
        "endpoint": server.url, "iam_endpoint": server.url, "ranges": ["last_1d", "last_7d"], "timeout": 0.3,
        "deadline": 5, "api_keys": [LABEL], "state_dir": str(folder / "state"),
        **({"project_id": PROJECT_ID} if project else {}),
    }  # fmt: skip


def search_files(folder: Path, skip: Sequence[str]) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in skip:
            check_clean(str(path), path.read_bytes().decode("utf-8", "replace"))
            check_clean(str(path), str(path))


@pytest.mark.parametrize("row", [*ROWS, *EXTRA], ids=[f"{row.title}: {row.variant}" for row in [*ROWS, *EXTRA]])
def test_the_command_shows_no_secret_anywhere(row: Any, told: Server, program: Program, tmp_path: Path) -> None:
    told.fault = echo(row.fault)
    config = program.config(json.dumps({"instances": [entry(told, tmp_path, not row.looked_up)]}))
    environ = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "HW_SECURITY_TOKEN": TOKEN,
               "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "always"}  # fmt: skip
    process = program.start("collect", "--config", config, **environ)
    command = b""
    while not command and process.poll() is None:
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        time.sleep(0.01)
    output, errors = process.communicate(timeout=20)
    check_clean("standard output", output.decode())
    check_clean("standard error", errors.decode())
    check_clean("the arguments", command.decode())
    search_files(tmp_path, ("conf.yaml",))


@pytest.mark.parametrize("command", [("doctor",), ("report", "--raw"), ("report", "--daily"), ("execd",)])
def test_the_other_commands_show_none_either(told: Server, program: Program, tmp_path: Path, command: Any) -> None:
    config = program.config(json.dumps({"instances": [entry(told, tmp_path, False)]}))
    environ = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "HW_SECURITY_TOKEN": TOKEN, "PYTHONDEVMODE": "1"}
    if command == ("report", "--daily"):
        config = program.config(json.dumps({"instances": [{**entry(told, tmp_path, False), "ranges": ["last_1d"]}]}))
    for fault in (None, echo(lambda exchange: http(401, b"verify ak sk signature fail"))):
        told.fault = fault
        done = program(*command, "--config", config, stdin="\n", **environ)
        check_clean(" ".join(command), done.stdout + done.stderr)
        search_files(tmp_path, ("conf.yaml",))


def by_number(secret: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in secret)


@pytest.mark.parametrize("command", [("report", "--raw"), ("collect",), ("collect", "--format", "json")])
def test_an_answer_that_is_believed_and_echoes_the_key_is_shown_without_it(
    told: Server, program: Program, tmp_path: Path, command: Any
) -> None:
    secrets = (AK, SK, TOKEN)
    told_all = [*(json.dumps(form)[1:-1] for secret in secrets for form in forms(secret)), *map(by_number, secrets)]

    def tell(exchange: Exchange) -> Any:
        body = exchange.truth().partition(b"\r\n\r\n")[2].rstrip()
        assert body.endswith(b"}")
        return http(200, body[:-1] + f', "seen": "{" ".join(told_all)}"}}'.encode())

    told.fault = tell
    config = program.config(json.dumps({"instances": [{**entry(told, tmp_path, True), "api_keys": []}]}))
    done = program(*command, "--config", config, HW_ACCESS_KEY=AK, HW_SECRET_KEY=SK, HW_SECURITY_TOKEN=TOKEN)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("***" in done.stdout) == ("--raw" in command)
    check_clean(" ".join(command), done.stdout)
    search_files(tmp_path, ("conf.yaml",))


def test_a_project_that_is_named_like_the_key_is_none(told: Server, program: Program, tmp_path: Path) -> None:
    told.fault = lambda exchange: http(
        200, json.dumps({"projects": [{"id": AK, "name": "cn-southwest-2", "enabled": True}]}).encode()
    )
    config = program.config(json.dumps({"instances": [entry(told, tmp_path, False)]}))
    done = program("collect", "--config", config, HW_ACCESS_KEY=AK, HW_SECRET_KEY=SK, HW_SECURITY_TOKEN=TOKEN)
    assert "IAM lists no enabled project" in done.stderr
    check_clean("collect", done.stdout + done.stderr)
    search_files(tmp_path, ("conf.yaml",))


@pytest.mark.parametrize("secret", [AK, SK, TOKEN, LABEL])
def test_whatever_a_transport_quotes_is_shown_without_a_secret(secret: str, tmp_path: Path) -> None:
    instance = load({"instances": [{"project_id": PROJECT_ID, "api_keys": [LABEL]}]})[0]
    quoted = " ".join(forms(secret))

    def refuse(request: Request, timeout: float) -> Response:
        raise QueryError(Result.BAD_ANSWER, f"between here and the cloud somebody said {quoted}")

    clock = Clock()
    collector = Collector(instance, lambda: Credentials(AK, SK, TOKEN), refuse, Gates(Store(), clock), clock)
    said = " ".join(map(str, collector.cycle().problems))
    assert "somebody said ***" in said
    check_clean("the diagnosis", said)


def test_no_object_prints_a_secret_and_no_traceback_holds_one(
    told: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (("HW_ACCESS_KEY", AK), ("HW_SECRET_KEY", SK), ("HW_SECURITY_TOKEN", TOKEN)):
        monkeypatch.setenv(name, value)
    caplog.set_level(1)
    for row in ROWS:
        told.fault = echo(row.fault) if row.fault else None
        (instance,) = load({"instances": [entry(told, tmp_path / row.variant[:8], not row.looked_up)]})
        store = open_store([instance], lambda text: check_clean("a warning", text))
        collectors = make_collectors([instance], store)
        (batch,) = run_cycle(collectors, deadline=2)
        errors = [outcome for outcome in batch.outcomes.values() if isinstance(outcome, Exception)]
        for error in errors:
            check_clean("a traceback", "".join(traceback.format_exception(type(error), error, error.__traceback__)))
            check_clean("an error", repr(error) + str(error.__dict__) + repr(error.__context__))
        ours = [
            one for one in gc.get_objects() if str(type(one).__module__).startswith("maas_usage_check")
        ]  # fmt: skip
        for one in [*ours, instance, collectors, batch, batch.outcomes]:
            check_clean(type(one).__name__, repr(one))
    check_clean("the log", caplog.text)
    assert repr(Credentials(AK, SK, TOKEN)) == "Credentials(...)"


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.title}: {row.variant}" for row in ROWS])
def test_the_agents_check_shows_no_secret_anywhere(
    row: Any,
    told: Server,
    agent: Callable[..., Any],
    aggregator: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(1, logger="")
    logging.getLogger("urllib3").setLevel(1)
    told.fault = echo(row.fault)
    check = agent(entry(told, tmp_path, not row.looked_up))
    for name, value in (("HW_ACCESS_KEY", AK), ("HW_SECRET_KEY", SK), ("HW_SECURITY_TOKEN", TOKEN)):
        monkeypatch.setenv(name, value)
    check_clean("the report", check.run())
    check_clean("the warnings", " ".join(check.get_warnings()))
    check_clean("the log", caplog.text)
    check_clean("the store", b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir()).decode("latin-1"))
    check_clean("the metrics", str([aggregator.metrics(name) for name in aggregator.metric_names]))
