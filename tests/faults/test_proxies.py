"""Proxies that refuse a password, and which requests go through one."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
from line_protocol_parser import parse_line

from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator
from maas_usage_check.errors import Result

from ..conftest import AK, SK, FixedClock, Program
from ..keep_alive_server import KeepAliveServer, emulator_handler
from ..program import only_line, skip_unless_processes
from ..shifted_clock import write_shift
from .proxies import HOSTS, PASSWORD, USER, Proxy, SecureCloud

WRONG = "wrong"


@pytest.fixture
def cloud_behind(clock: FixedClock, tmp_path: Path) -> Iterator[SecureCloud]:
    """Replace the name of the cloud, so that it is not confused with the one on plain http."""
    with contextlib.closing(SecureCloud(Emulator({AK: SK}, now=clock.now), tmp_path)) as server:
        yield server


@pytest.fixture
def proxy(cloud_behind: SecureCloud) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(cloud_behind.port)) as server:
        yield server


def health(done: Any) -> Dict[str, Any]:
    """Return the fields of the last line, which is the health of an instance."""
    fields: Dict[str, Any] = parse_line(done.stdout.splitlines()[-1])["fields"]
    return fields


FULL = {"hourly": True, "models": True, "ranges": ["last_7d", "last_14d", "last_30d"]}


def test_wrong_password(cloud_behind: SecureCloud, proxy: Proxy, program: Program, clock: FixedClock) -> None:
    """It is tried once, then after 5 and after 10 minutes, by all processes and instances together."""
    entries = [
        cloud_behind.entry(proxy={"https": proxy.address(WRONG)}, tags=[f"n:{i}"], **FULL, **project)
        for i, project in enumerate([{}, {"project_id": PROJECT_ID}])
    ]
    config, began = cloud_behind.config(program, *entries), clock.at

    def collect(minute: int) -> Any:
        clock.at = began + minute * 60
        write_shift(program.command[-1], clock.at - time.time())
        return program.process("collect", "--config", config)

    tries: List[int] = []
    for minute in (0, 1, 4, 6, 15, 17):
        before, done = proxy.refused, collect(minute)
        tries.append(proxy.refused - before)
        assert done.returncode == 1
        assert (health(done)["result_code"], health(done)["up"]) == (Result.PROXY_REFUSED, 0)
        line = done.stderr.splitlines()[0]
        assert f"the proxy 127.0.0.1:{proxy.port} refused the password in its URL (407): correct it in proxy" in line
        assert not any(secret in done.stderr + done.stdout for secret in (USER, WRONG))
    assert tries == [1, 0, 0, 1, 0, 1]
    assert cloud_behind.requests == []


@pytest.mark.parametrize("where", ["proxy", "HTTPS_PROXY", "all_proxy"])
def test_corrected_password(cloud_behind: SecureCloud, proxy: Proxy, program: Program, where: str) -> None:
    """It is used at once; the refused one still waits."""
    for password, code, requests in ((WRONG, 1, 1), (WRONG, 1, 0), (PASSWORD, 0, 5), (WRONG, 1, 0)):
        address = f"{proxy.address(password)}\r\n"  # as a file that was read into a variable ends
        named = {"proxy": {"https": address}} if where == "proxy" else {}
        config = cloud_behind.config(program, cloud_behind.entry(**named))
        done = program.process("collect", "--config", config, **({} if named else {where: address}))
        assert (done.returncode, health(done)["http_requests"]) == (code, requests), done.stderr
    assert proxy.refused == 1


def test_many_keys(cloud_behind: SecureCloud, proxy: Proxy, program: Program) -> None:
    """The account at the proxy is one, however many access keys there are: one of them tries."""
    keys = [program.folder / f"key{i}" for i in range(4)]
    for path in keys:
        path.write_text(f"{AK},{path.name}")
        path.chmod(0o600)
    entries = [
        cloud_behind.entry(
            proxy={"https": proxy.address(WRONG)}, tags=[f"n:{i}"], credentials={"source": "file", "path": str(path)}
        )
        for i, path in enumerate(keys)
    ]
    done = program.process("collect", "--config", cloud_behind.config(program, *entries))
    assert (done.returncode, proxy.refused) == (1, 1)
    lines = [parse_line(line) for line in done.stdout.splitlines()]
    assert [line["fields"]["result_code"] for line in lines] == [Result.PROXY_REFUSED] * 4


@pytest.mark.parametrize("password", [WRONG, None])
def test_commands(cloud_behind: SecureCloud, proxy: Proxy, program: Program, password: str) -> None:
    """`doctor`, `report` and `execd` share one try."""
    config = cloud_behind.config(program, cloud_behind.entry(proxy={"https": proxy.address(password)}, **FULL))
    doctor = program.process("doctor", "--config", config)
    assert "FAIL  TCP and TLS      the proxy 127.0.0.1:" in doctor.stdout
    assert "(407)" in doctor.stdout
    report = program.process("report", "--config", config)
    assert (report.returncode, "(407)" in report.stderr.splitlines()[0]) == (1, True)
    execd = program.process("execd", "--config", config, stdin="\n\n")
    assert (execd.returncode, "(407)" in execd.stderr) == (0, True)
    assert proxy.refused == 1


def test_agent(
    cloud_behind: SecureCloud,
    proxy: Proxy,
    agent: Callable[..., Any],
    aggregator: Any,
    clock: FixedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.address(WRONG))
    entry = cloud_behind.entry(min_collection_interval=60, **FULL)
    checks = [agent({**entry, "tags": [f"n:{i}"]}) for i in range(3)]
    tries = []
    for _ in range(8):
        before = proxy.refused
        reports = [check.run() for check in checks]
        assert all("refused the password in its URL (407)" in report for report in reports)
        assert not any(secret in report for report in reports for secret in (USER, WRONG))
        tries.append(proxy.refused - before)
        clock.at += 60
    assert tries == [1, 0, 0, 0, 0, 1, 0, 0]
    monkeypatch.setenv("HTTPS_PROXY", proxy.address())
    clock.at += 60
    aggregator.reset()
    assert [check.run() for check in checks] == [""] * 3
    assert {target.partition(":")[0] for target in proxy.tunnels} == set(HOSTS)


@pytest.mark.parametrize(
    ("letter", "encoded"),
    [("[", "%5B"), ("]", "%5D"), ("/", "%2F"), ("#", "%23"), ("?", "%3F"), ("@", "%40"), (" ", "%20"), ("%", "%25"),
     ("%4", "%25"), ("\t", "%09")],
)  # fmt: skip
@pytest.mark.parametrize("where", ["proxy", "HTTPS_PROXY"])
def test_special_characters(
    program: Program, letter: str, encoded: str, where: str, agent: Any, monkeypatch: Any
) -> None:
    """A password that would cut the URL is refused before anything is sent, with what to write instead."""
    url = f"http://planted-user:pl{letter}nted@proxy.invalid:3128"
    entry = {"proxy": {"https": url}} if where == "proxy" else {}
    path = "instances[0].proxy.https" if where == "proxy" else "HTTPS_PROXY in the environment"
    environ = {} if entry else {where: url}
    shown = f"`{letter[0]}`" if letter > " " else "a blank"
    says = f"{path}: {shown} in the user name or password: write it percent-encoded, as {encoded}"
    config = program.config(json.dumps({"instances": [entry]}))
    line = only_line(program("collect", "--config", config, **environ), 2)
    assert line == f"E! {config}: {says}" if entry else line == f"E! {says}"
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    check = agent(entry)
    assert says.replace("instances[0]", "instance") in check.run()


NO_PROXY = [
    ("*", True),
    ("modelarts.cloud.invalid", True),
    ("MODELARTS.cloud.invalid.", True),
    ("cloud.invalid", True),
    (".cloud.invalid", True),
    ("*.cloud.invalid", True),
    (".modelarts.cloud.invalid", False),
    ("*.modelarts.cloud.invalid", False),
    ("arts.cloud.invalid", False),
    ("modelarts.cloud.invalid:443", True),
    ("modelarts.cloud.invalid:8443", False),
    ("10.0.0.0/8 other.invalid  .invalid", True),
    ("other.invalid;.invalid", True),
    ("other.invalid,\n.invalid\n", True),
    (".", False),
    (", ;", False),
]
"""What excludes https://modelarts.cloud.invalid from its proxy, and what does not."""
ADDRESSES = [
    ("127.0.0.1", True),
    ("127.0.0.0/8", True),
    ("127.1.2.3/8", True),
    ("127.0.0.1:PORT", True),
    ("127.0.0.2", False),
    ("10.0.0.0/8", False),
    ("::1", False),
    ("::/0", False),
]
"""The same of https://127.0.0.1:PORT."""


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_direct"),
    [*(("modelarts.cloud.invalid", *row) for row in NO_PROXY), *(("127.0.0.1", *row) for row in ADDRESSES)],
)
@pytest.mark.parametrize("where", ["text", "no_proxy"])
def test_no_proxy(
    cloud_behind: SecureCloud,
    proxy: Proxy,
    program: Program,
    agent: Any,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    no_proxy: str,
    is_direct: bool,
    where: str,
) -> None:
    """A configuration takes the same way on the command line and in the Agent."""
    port = cloud_behind.port
    no_proxy = no_proxy.replace("PORT", str(port))
    url = f"https://{host}:{port}" if host == "127.0.0.1" else f"https://{host}"
    entry = cloud_behind.entry(endpoint=url, project_id=PROJECT_ID, ranges=["last_7d"], timeout=30, deadline=60)
    environ = {}
    if where == "text":
        entry["proxy"] = {"https": proxy.address(), "no_proxy": no_proxy}
    else:
        environ = {"HTTPS_PROXY": proxy.address(), where: no_proxy}
    reaches = host == "127.0.0.1" or not is_direct
    done = program("collect", "--config", cloud_behind.config(program, entry), **environ)
    assert (done.returncode, len(proxy.requests)) == (int(not reaches), int(not is_direct)), done.stderr
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert (agent(entry).run() == "", len(proxy.requests)) == (reaches, 2 * int(not is_direct))


def test_agents_own_proxy(
    cloud_behind: SecureCloud, proxy: Proxy, agent: Any, datadog_agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy of the Agent's own configuration is used, with its exceptions, before the environment's."""
    entry = cloud_behind.entry(project_id=PROJECT_ID, ranges=["last_7d"])
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    proxies: Dict[str, Any] = {"http": None, "https": proxy.address(), "no_proxy": []}
    datadog_agent._config["proxy"] = proxies
    assert (agent(entry).run(), len(proxy.tunnels)) == ("", 1)
    assert (agent({**entry, "skip_proxy": True}).run() != "", len(proxy.tunnels)) == (True, 1)
    proxies["no_proxy"] = [".cloud.invalid"]
    assert (agent(entry).run() != "", len(proxy.tunnels)) == (True, 1)
    proxies["https"] = "http://user:planted#1@proxy.invalid:1"
    error = agent(entry).run()
    assert "the Agent's proxy.https: `#` in the user name or password: write it percent-encoded, as %23" in error
    assert "planted" not in error


@pytest.fixture
def silent_first(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Resolve `localhost` to 127.0.0.1, and before to ::1, whose full queue swallows packets; yield the port."""
    resolve = socket.getaddrinfo

    def both(host: Any, port: Any, *args: Any, **kwargs: Any) -> List[Any]:
        if host != "localhost":
            return resolve(host, port, *args, **kwargs)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(4):
            client = stack.enter_context(socket.socket(socket.AF_INET6))
            client.setblocking(False)
            client.connect_ex(("::1", port))
        monkeypatch.setattr(socket, "getaddrinfo", both)
        yield port


def test_silent_address(silent_first: int, clock: FixedClock, program: Program, agent: Any, tmp_path: Path) -> None:
    """A host is collected from, though its first address swallows packets, and `doctor` names the address."""
    emulator = Emulator({AK: SK}, now=clock.now)
    with contextlib.closing(KeepAliveServer(port=silent_first)) as server:
        server.handler = emulator_handler(emulator)
        url = f"http://localhost:{silent_first}"
        entry = {"endpoint": url, "project_id": PROJECT_ID, "ranges": ["last_7d"], "timeout": 2}
        config = program.config(json.dumps({"instances": [entry]}))
        done = program("collect", "--config", config)
        assert (done.returncode, done.stderr) == (0, "")
        assert agent(entry).run() == ""
        lines = program("doctor", "--config", config).stdout.splitlines()
        assert "ok    name resolution  localhost is ::1, 127.0.0.1" in lines
        assert (
            f"warn  TCP and TLS      localhost:{silent_first} by plain TCP; localhost connects by 127.0.0.1, but not "
            "by ::1 (no answer): each new connection may lose time; repair the route to that address, or remove it "
            "from name resolution"
        ) in lines


@pytest.mark.parametrize("host", ["modelarts", "iam"])
@pytest.mark.parametrize(
    ("region", "domain", "other"),
    [
        ("ap-southeast-1", "myhuaweicloud.com", "myhuaweicloud.cn"),
        ("eu-west-101", "myhuaweicloud.eu", "myhuaweicloud.com"),
        ("cn-southwest-2", "myhuaweicloud.com", None),
    ],
)
def test_domains(program: Program, monkeypatch: Any, host: str, region: str, domain: str, other: Optional[str]) -> None:
    """Where a host of a region with two domains does not resolve, the other one is named."""

    def resolve(*args: Any, **kwargs: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    entry = {"region": region, **({"project_id": PROJECT_ID} if host == "modelarts" else {}), "timeout": 30}
    config = program.config(json.dumps({"instances": [entry]}))
    says = f"{host}.{region}.{domain}: no such host: check " + (
        f"name resolution, or try https://{host}.{region}.{other} as its endpoint"
        if other
        else "region, endpoint and name resolution"
    )
    assert says in program("doctor", "--config", config).stdout
    assert says in program("collect", "--config", config, "--deadline", "1").stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, for a network of its own")
def test_metadata_service(tmp_path: Path) -> None:
    """The SDK asks the metadata service of this host, never that of a proxy's."""
    skip_unless_processes()
    network = 'ip link set lo up && ip address add 169.254.169.254/32 dev lo && exec "$@"'
    script = [sys.executable, "-m", "tests.faults.metadata_service", str(tmp_path)]
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", network, "sh", *script], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("collected with the key of this host\n", 0), done.stderr
