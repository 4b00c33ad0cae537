"""Planted secrets are searched for, in every form, wherever a fault may have left them."""

from __future__ import annotations

import base64
import gc
import json
import logging
import subprocess
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional
from urllib.parse import quote, quote_plus

import pytest

from maas_usage_check.clock import Clock
from maas_usage_check.cloud import Credentials, Request, Response
from maas_usage_check.collection import Collector, make_collectors, open_store, run_cycle
from maas_usage_check.config import load
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Gates
from maas_usage_check.state import Store

from ..conftest import Program
from .server import Exchange, Fault, Scene, Server, Step, always, http
from .table import FIRST, TABLE, Row, names

AK, SK, TOKEN = "PLANTEDACCESSKEY", 'planted/sk+"quote\\=&?<0', "planted/token+=\\tail"
LABEL = "planted-label"
PROJECT: Dict[str, Any] = {"project_id": PROJECT_ID}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


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

    def tell(exchange: Exchange) -> Optional[Iterable[Step]]:
        steps = fault(exchange)
        answer = next(iter(steps or ()), b"")
        if not isinstance(answer, bytes) or not answer.startswith(b"HTTP") or b" 200 " in answer[:20]:
            return steps
        status = int(answer.split(b" ")[1])
        text = answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")[:60]
        body = json.dumps({"error_code": f"APIGW.{AK}", "error_msg": f"{text} {told}"}).encode()
        return [http(status, body, X_Request_Id=quote(SK), Location=f"/{AK}")]

    return tell


ROWS = [row for row in TABLE if row.fault]
KINDS = [row for row in FIRST if row.fault and not row.hangs]
ENVIRON = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "HW_SECURITY_TOKEN": TOKEN}


def plant(scene: Scene) -> None:
    scene.emulator.keys[AK] = SK
    scene.emulator.tokens[AK] = TOKEN


@pytest.fixture
def told(scene: Scene) -> Scene:
    plant(scene)
    return scene


def entry(scene: Scene, folder: Path, **keys: Any) -> Dict[str, Any]:
    given = {"ranges": ["last_1d", "last_7d"], "deadline": 600, "api_keys": [LABEL], "state_dir": str(folder / "state")}
    return scene.entry(**{**given, **keys})


def search_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "conf.yaml":
            check_clean(str(path), path.read_bytes().decode("utf-8", "replace"))
            check_clean(str(path), str(path))


@pytest.fixture
def run(told: Scene, played: Program, tmp_path: Path) -> Run:
    """Run a command that asks the scene; neither what it says nor a file may show a secret."""

    def run(*command: str, **keys: Any) -> subprocess.CompletedProcess[str]:
        config = played.config(json.dumps({"instances": [entry(told, tmp_path, **keys)]}))
        done = played(*command, "--config", config, stdin="\n", **ENVIRON)
        check_clean(" ".join(command), done.stdout + done.stderr)
        search_files(tmp_path)
        return done

    return run


@pytest.mark.parametrize("row", ROWS, ids=names(ROWS))
def test_the_command_shows_no_secret_anywhere(row: Row, told: Scene, run: Run) -> None:
    told.fault = echo(row.fault or always())
    run("collect", **({} if row.looked_up else PROJECT))


def test_a_process_shows_none_in_its_arguments_and_warnings(server: Server, program: Program, tmp_path: Path) -> None:
    plant(server)
    arguments: List[str] = []

    def fault(exchange: Exchange) -> Iterable[Step]:
        arguments.append(Path(f"/proc/{process.pid}/cmdline").read_text())
        return [http(401, b"verify ak sk signature fail " + " ".join(sorted(PLANTED)).encode())]

    server.fault = fault
    config = program.config(json.dumps({"instances": [entry(server, tmp_path)]}))
    process = program.start("collect", "--config", config, **ENVIRON, PYTHONDEVMODE="1", PYTHONWARNINGS="always")
    output, errors = process.communicate(timeout=50)
    check_clean("the output", (output + errors).decode())
    assert "collect" in arguments[0]
    check_clean("the arguments", arguments[0])
    search_files(tmp_path)


@pytest.mark.parametrize("command", [("doctor",), ("report", "--raw"), ("report", "--daily"), ("execd",)])
def test_the_other_commands_show_none_either(told: Scene, run: Run, command: Any) -> None:
    for fault in (None, echo(always(http(401, b"verify ak sk signature fail")))):
        told.fault = fault
        run(*command)


def by_number(secret: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in secret)


@pytest.mark.parametrize("command", [("report", "--raw"), ("collect",), ("collect", "--format", "json")])
def test_an_answer_that_is_believed_and_echoes_the_key_is_shown_without_it(told: Scene, run: Run, command: Any) -> None:
    secrets = (AK, SK, TOKEN)
    told_all = [*(json.dumps(form)[1:-1] for secret in secrets for form in forms(secret)), *map(by_number, secrets)]

    def tell(exchange: Exchange) -> Any:
        body = exchange.truth().partition(b"\r\n\r\n")[2].rstrip()
        assert body.endswith(b"}")
        return [http(200, body[:-1] + f', "seen": "{" ".join(told_all)}"}}'.encode())]

    told.fault = tell
    done = run(*command, **PROJECT, api_keys=[])
    assert (done.returncode, done.stderr) == (0, "")
    assert ("***" in done.stdout) == ("--raw" in command)


def test_a_project_that_is_named_like_the_key_is_none(told: Scene, run: Run) -> None:
    projects = [{"id": AK, "name": "cn-southwest-2", "enabled": True}]
    told.fault = always(http(200, json.dumps({"projects": projects}).encode()))
    assert "IAM lists no enabled project" in run("collect").stderr


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
    told: Scene,
    played: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(1)
    for row in KINDS:
        told.fault = echo(row.fault or always())
        project = {} if row.looked_up else PROJECT
        (instance,) = load({"instances": [entry(told, tmp_path / row.variant[:8], **project)]})
        store = open_store([instance], lambda text: check_clean("a warning", text), played.runtime.clock)
        collectors = make_collectors([instance], store, runtime=played.runtime)
        (batch,) = run_cycle(collectors)
        errors = [outcome for outcome in batch.outcomes.values() if isinstance(outcome, Exception)]
        for error in errors:
            check_clean("a traceback", "".join(traceback.format_exception(type(error), error, error.__traceback__)))
            check_clean("an error", repr(error) + str(error.__dict__) + repr(error.__context__))
        ours = [one for one in gc.get_objects() if str(type(one).__module__).startswith("maas_usage_check")]
        for one in [*ours, instance, collectors, batch, batch.outcomes]:
            check_clean(type(one).__name__, repr(one))
    check_clean("the log", caplog.text)
    assert repr(Credentials(AK, SK, TOKEN)) == "Credentials(...)"


@pytest.mark.parametrize("row", KINDS, ids=names(KINDS))
def test_the_agents_check_shows_no_secret_anywhere(
    row: Row,
    server: Server,
    agent: Callable[..., Any],
    aggregator: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(1, logger="")
    logging.getLogger("urllib3").setLevel(1)
    plant(server)
    server.fault = echo(row.fault or always())
    check = agent(entry(server, tmp_path, **({} if row.looked_up else PROJECT)))
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    check_clean("the report", check.run())
    check_clean("the warnings", " ".join(check.get_warnings()))
    check_clean("the log", caplog.text)
    check_clean("the store", b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir()).decode("latin-1"))
    check_clean("the metrics", str([aggregator.metrics(name) for name in aggregator.metric_names]))
