"""No planted secret shows, in any encoding, in output, logs, files, objects or metrics after a fault."""

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
from maas_usage_check.collection import Collector, run_cycle
from maas_usage_check.commands.runner import make_collectors, open_store
from maas_usage_check.config import load
from maas_usage_check.emulator.emulator import PROJECT_ID
from maas_usage_check.errors import QueryError, Result
from maas_usage_check.scheduling import Schedulers
from maas_usage_check.state import Store

from ..conftest import Program
from .faulty_cloud import Exchange, Fault, FaultyCloud, FaultyServer, Step, always, http
from .table import ONE_PER_RESULT, TABLE, Row, row_ids

AK, SK, TOKEN = "PLANTEDACCESSKEY", 'planted/sk+"quote\\=&?<0', "planted/token+=\\tail"
LABEL = "planted-label"
PROJECT: Dict[str, Any] = {"project_id": PROJECT_ID}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def encodings(secret: str) -> List[str]:
    data = secret.encode()
    # Base64 depends on the offset: try all three, without the edge letters that mix in other bytes.
    base64_texts = [
        base64.b64encode(b"x" * shift + data).decode()[(0, 2, 3)[shift] : (shift + len(data)) * 8 // 6]
        for shift in range(3)
    ]
    return [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1],
            data.hex(), *base64_texts]  # fmt: skip


PLANTED = {text for secret in (AK, SK, TOKEN, LABEL) for text in encodings(secret)}


def check_clean(where: str, text: str) -> None:
    found = [secret for secret in PLANTED if secret in text]
    assert not found, f"{where} shows {found} in {text[:300]}"


def echo(fault: Fault) -> Fault:
    """Put every secret, in every encoding, into the body and headers of every failed answer."""
    secrets = " ".join(sorted(PLANTED))

    def echo_secrets(exchange: Exchange) -> Optional[Iterable[Step]]:
        steps = fault(exchange)
        answer = next(iter(steps or ()), b"")
        if not isinstance(answer, bytes) or not answer.startswith(b"HTTP") or b" 200 " in answer[:20]:
            return steps
        status = int(answer.split(b" ")[1])
        text = answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")[:60]
        body = json.dumps({"error_code": f"APIGW.{AK}", "error_msg": f"{text} {secrets}"}).encode()
        return [http(status, body, X_Request_Id=quote(SK), Location=f"/{AK}")]

    return echo_secrets


ROWS = [row for row in TABLE if row.fault]
FAST_KINDS = [row for row in ONE_PER_RESULT if row.fault and not row.hangs]
ENVIRON = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK, "HW_SECURITY_TOKEN": TOKEN}


def plant_secrets(faulty_cloud: FaultyCloud) -> None:
    faulty_cloud.emulator.secret_keys[AK] = SK
    faulty_cloud.emulator.tokens[AK] = TOKEN


@pytest.fixture
def planted_cloud(faulty_cloud: FaultyCloud) -> FaultyCloud:
    plant_secrets(faulty_cloud)
    return faulty_cloud


def entry(faulty_cloud: FaultyCloud, folder: Path, **keys: Any) -> Dict[str, Any]:
    own = {"ranges": ["last_1d", "last_7d"], "deadline": 600, "api_keys": [LABEL], "state_dir": str(folder / "state")}
    return faulty_cloud.entry(**{**own, **keys})


def search_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "conf.yaml":
            check_clean(str(path), path.read_bytes().decode("utf-8", "replace"))
            check_clean(str(path), str(path))


@pytest.fixture
def run(planted_cloud: FaultyCloud, local_program: Program, tmp_path: Path) -> Run:
    """Run a command against the faulty cloud; check its output and files for secrets."""

    def run(*command: str, **keys: Any) -> subprocess.CompletedProcess[str]:
        config = local_program.config(json.dumps({"instances": [entry(planted_cloud, tmp_path, **keys)]}))
        done = local_program(*command, "--config", config, stdin="\n", **ENVIRON)
        check_clean(" ".join(command), done.stdout + done.stderr)
        search_files(tmp_path)
        return done

    return run


@pytest.mark.parametrize("row", ROWS, ids=row_ids(ROWS))
def test_collect(row: Row, planted_cloud: FaultyCloud, run: Run) -> None:
    planted_cloud.fault = echo(row.fault or always())
    run("collect", **({} if row.needs_lookup else PROJECT))


def test_arguments_and_warnings(server: FaultyServer, program: Program, tmp_path: Path) -> None:
    """A process shows no secret in its arguments or in Python's warnings."""
    plant_secrets(server)
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
def test_other_commands(planted_cloud: FaultyCloud, run: Run, command: Any) -> None:
    for fault in (None, echo(always(http(401, b"verify ak sk signature fail")))):
        planted_cloud.fault = fault
        run(*command)


def json_escaped(secret: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in secret)


@pytest.mark.parametrize("command", [("report", "--raw"), ("collect",), ("collect", "--format", "json")])
def test_valid_answer_with_secrets(planted_cloud: FaultyCloud, run: Run, command: Any) -> None:
    """Secrets that a valid answer echoes are redacted."""
    secrets = (AK, SK, TOKEN)
    texts = [*(json.dumps(text)[1:-1] for secret in secrets for text in encodings(secret)), *map(json_escaped, secrets)]

    def add_secrets(exchange: Exchange) -> Any:
        body = exchange.true_answer().partition(b"\r\n\r\n")[2].rstrip()
        assert body.endswith(b"}")
        return [http(200, body[:-1] + f', "seen": "{" ".join(texts)}"}}'.encode())]

    planted_cloud.fault = add_secrets
    done = run(*command, **PROJECT, api_keys=[])
    assert (done.returncode, done.stderr) == (0, "")
    assert ("***" in done.stdout) == ("--raw" in command)


def test_project_id_equal_to_the_key(planted_cloud: FaultyCloud, run: Run) -> None:
    """A project whose id is the access key is not used or shown."""
    projects = [{"id": AK, "name": "cn-southwest-2", "enabled": True}]
    planted_cloud.fault = always(http(200, json.dumps({"projects": projects}).encode()))
    assert "IAM lists no enabled project" in run("collect").stderr


@pytest.mark.parametrize("secret", [AK, SK, TOKEN, LABEL])
def test_text_of_a_transport(secret: str, tmp_path: Path) -> None:
    """Secrets in a transport's error are redacted."""
    instance = load({"instances": [{"project_id": PROJECT_ID, "api_keys": [LABEL]}]})[0]
    quoted = " ".join(encodings(secret))

    def refuse(request: Request, timeout: float) -> Response:
        raise QueryError(Result.BAD_ANSWER, f"a proxy answered {quoted}")

    clock = Clock()
    collector = Collector(instance, lambda: Credentials(AK, SK, TOKEN), refuse, Schedulers(Store(), clock), clock)
    problems = " ".join(map(str, run_cycle([collector])[0].problems))
    assert "a proxy answered ***" in problems
    check_clean("the diagnosis", problems)


def test_objects_and_tracebacks(
    planted_cloud: FaultyCloud,
    local_program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No repr of an object and no traceback shows a secret."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(1)
    for row in FAST_KINDS:
        planted_cloud.fault = echo(row.fault or always())
        project = {} if row.needs_lookup else PROJECT
        (instance,) = load({"instances": [entry(planted_cloud, tmp_path / row.variant[:8], **project)]})
        store = open_store([instance], lambda text: check_clean("a warning", text), local_program.runtime.clock)
        collectors = make_collectors([instance], store, runtime=local_program.runtime)
        (batch,) = run_cycle(collectors)
        errors = [outcome for outcome in batch.outcomes.values() if isinstance(outcome, Exception)]
        for error in errors:
            check_clean("a traceback", "".join(traceback.format_exception(type(error), error, error.__traceback__)))
            check_clean("an error", repr(error) + str(error.__dict__) + repr(error.__context__))
        objects = [each for each in gc.get_objects() if str(type(each).__module__).startswith("maas_usage_check")]
        for each in [*objects, instance, collectors, batch, batch.outcomes]:
            check_clean(type(each).__name__, repr(each))
    check_clean("the log", caplog.text)
    assert repr(Credentials(AK, SK, TOKEN)) == "Credentials(...)"


@pytest.mark.parametrize("row", FAST_KINDS, ids=row_ids(FAST_KINDS))
def test_agent(
    row: Row,
    server: FaultyServer,
    agent: Callable[..., Any],
    aggregator: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(1, logger="")
    logging.getLogger("urllib3").setLevel(1)
    plant_secrets(server)
    server.fault = echo(row.fault or always())
    check = agent(entry(server, tmp_path, **({} if row.needs_lookup else PROJECT)))
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    check_clean("the report", check.run())
    check_clean("the warnings", " ".join(check.get_warnings()))
    check_clean("the log", caplog.text)
    check_clean("the store", b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir()).decode("latin-1"))
    check_clean("the metrics", str([aggregator.metrics(name) for name in aggregator.metric_names]))
