"""The exporter while the cloud hangs, while scrapers are slow or odd, after many scrapes, and after signals."""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import os
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List

import pytest

from maas_usage_check.commands.serve.serve_command import UNPROTECTED
from maas_usage_check.commands.serve.server import MAX_CONNECTIONS

from ..commands.exporter import Exporter, running_exporter
from ..conftest import AK, SK, Cloud, Program, wait_for
from ..program import only_line
from .conftest import Lengths

SCRAPERS = 4
MIB = 1024.0
"""In KiB, the unit of /proc/PID/status."""
CONFIG = "hourly: true\nbackfill_days: 0\ndeadline: 120\ntimeout: 110\n"


def scrape(exporter: Exporter) -> None:
    """Scrape once as Prometheus does."""
    answer = exporter.get(Accept="application/openmetrics-text; version=1.0.0", Accept_Encoding="gzip")
    assert answer.status == 200
    assert gzip.decompress(answer.body).endswith(b"# EOF\n")


def scrapes(exporter: Exporter, times: int) -> None:
    with ThreadPoolExecutor(SCRAPERS) as pool:
        list(pool.map(lambda _: scrape(exporter), range(times)))


def memory(exporter: Exporter) -> int:
    status = Path(f"/proc/{exporter.process.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)
    assert found
    return int(found[1])


def test_hanging_cloud(cloud: Cloud, program: Program) -> None:
    """Scrapes are answered while the cloud hangs."""
    with running_exporter(program, program.cloud_config(cloud, f"{CONFIG}max_concurrency: 1")) as exporter:
        exporter.wait_until_ready()
        release, before = cloud.block(), len(cloud.requests)
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(cloud.requests) > before, "a cycle that hangs")
        scrapes(exporter, 40)
        assert exporter.samples("huawei_maas_api_up") == {"cn-southwest-2": 1}, "still the metrics of the last cycle"
        assert len(cloud.requests) == before + 1, "the same cycle still hangs"
        release.set()


def test_slow_scrapers(cloud: Cloud, program: Program) -> None:
    """A scrape is answered while slow scrapers hold all connections."""
    with running_exporter(program, program.cloud_config(cloud, CONFIG)) as exporter, contextlib.ExitStack() as stack:
        exporter.wait_until_ready()
        host, _, port = exporter.url.partition("//")[2].partition(":")
        slow = [stack.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(MAX_CONNECTIONS)]
        done = threading.Event()

        def drip() -> None:
            while not done.wait(0.3):
                for connection in slow:
                    with contextlib.suppress(OSError):
                        connection.send(b"G")

        threading.Thread(target=drip, daemon=True).start()
        try:
            scrape(exporter)
        finally:
            done.set()


@pytest.mark.timeout(600)
def test_scrapes_leak_nothing(cloud: Cloud, program: Program, lengths: Lengths) -> None:
    """Scrapes leak no memory and no open file."""

    def files() -> int:
        return len(os.listdir(f"/proc/{exporter.process.pid}/fd"))

    with running_exporter(program, program.cloud_config(cloud, CONFIG)) as exporter:
        exporter.wait_until_ready()
        scrapes(exporter, lengths.requests // 10)
        memory_before, files_before = memory(exporter), files()
        scrapes(exporter, lengths.requests)
        assert memory(exporter) - memory_before < 2 * MIB
        wait_for(lambda: files() <= files_before, "the connections to end")


def test_accept(cloud: Cloud, program: Program) -> None:
    """A version that is none is as no version; versions that are one choose the format, also with a filter."""
    text, open_metrics = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"
    with running_exporter(program, program.cloud_config(cloud, CONFIG)) as exporter:
        exporter.wait_until_ready()
        for accept, content_type in (
            ("application/openmetrics-text;version=abc", text),
            ("application/openmetrics-text;version=1.x,text/plain;version=0.0.4;q=0.5", text),
            ("text/plain;version=\xb2", text),
            ("application/openmetrics-text;version=1.0.0", open_metrics),
        ):
            for path in ("/metrics", "/metrics?name[]=huawei_maas_api_up"):
                response = exporter.get(path, Accept=accept)
                assert (response.status, response.content_type.startswith(content_type)) == (200, True), accept


def names(exporter: Exporter, query: str) -> List[str]:
    lines = exporter.get(f"/metrics?{query}").text.splitlines()
    return list(dict.fromkeys(line.split("{")[0] for line in lines if line[0] != "#"))


def test_names(cloud: Cloud, program: Program) -> None:
    """`name[]` filters as in prometheus_client's exporter; a counter has two names."""
    up, tokens = "huawei_maas_api_up", "huawei_maas_consumed_tokens_total"
    with running_exporter(program, program.cloud_config(cloud, CONFIG)) as exporter:
        exporter.wait_until_ready()
        assert names(exporter, f"name[]={up}") == [up]
        assert names(exporter, f"name%5B%5D={tokens}&name[]=huawei_maas_nothing&name[]={up}") == [tokens, up]
        assert names(exporter, "name[]=huawei_maas_consumed_tokens") == [tokens]
        assert exporter.get("/metrics?name[]=huawei_maas_nothing").body == b""
        assert names(exporter, "name[]=") == names(exporter, "name=x") == names(exporter, "") != []


def test_signals_in_a_row(cloud: Cloud, program: Program) -> None:
    """They are one reload. The first collects at once, those of the next minute only what changed."""
    reloads = 0
    with running_exporter(program, program.cloud_config(cloud, "ranges: [last_1d]\n")) as exporter:

        def reload() -> None:
            nonlocal reloads
            reloads += 1
            for _ in range(10):
                exporter.process.send_signal(signal.SIGHUP)
            wait_for(lambda: exporter.log.count("I! configuration reloaded") == reloads, "the reload")

        exporter.wait_until_ready()
        before = len(cloud.requests)
        reload()
        wait_for(lambda: len(cloud.requests) == before + 1, "the cycle of the first signal")
        reload()
        reload()
        program.cloud_config(cloud, "ranges: [last_3d]\n")
        reload()
        wait_for(lambda: set(exporter.samples("huawei_maas_usage_total_tokens")) == {"last_3d"}, "the new range")
        assert exporter.stop() == 0
    assert exporter.log.count("I! configuration reloaded") == reloads
    assert len(cloud.requests) == before + 2


def test_signal_after_a_new_key(cloud: Cloud, program: Program) -> None:
    """A credentials file that was replaced is tried at once; an instance that was removed is no longer served."""
    key = program.folder / "key"
    key.write_text("WRONG\nkey\n")
    entry = f"{{endpoint: '{cloud.url}', iam_endpoint: '{cloud.url}', credentials: {{source: file, path: {key}}}}}"
    config = program.config(f"instances:\n- {entry}\n- {entry[:-1]}, tags: ['a:b']}}\n")
    with running_exporter(program, config) as exporter:
        exporter.wait_until_ready()
        assert exporter.samples("huawei_maas_api_up") == {"cn-southwest-2": 0}
        key.write_text(f"{AK}\n{SK}\n")
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: exporter.samples("huawei_maas_api_up") == {"cn-southwest-2": 1}, "the cycle with the new key")
        assert 'a="b"' in exporter.get().text
        program.config(f"instances:\n- {entry}\n")
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: 'a="b"' not in exporter.get().text, "the instance to go")
        assert exporter.samples("huawei_maas_api_up") == {"cn-southwest-2": 1}


def test_similar_tags(cloud: Cloud, program: Program) -> None:
    """Both instances are served, although `key=value` is the same text for both."""
    entry = f"endpoint: '{cloud.url}', iam_endpoint: '{cloud.url}'"
    config = program.config(f"instances:\n- {{{entry}, tags: ['a:b=c']}}\n- {{{entry}, tags: ['a=b:c']}}\n")
    with running_exporter(program, config) as exporter:
        exporter.wait_until_ready()
        up = re.findall(r"^huawei_maas_api_up{(.*)} 1", exporter.get().text, re.M)
    assert sorted(up) == ['a="b=c",region="cn-southwest-2"', 'a_b="c",region="cn-southwest-2"']


def link_local() -> str:
    """Return a link-local address with its interface, or an empty string."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, *_, interface = line.split()
            if digits.startswith("fe80"):
                return f"{ipaddress.IPv6Address(int(digits, 16))}%{interface}"
    return ""


def served_at(address: str, port: int) -> bool:
    with socket.create_connection((address, port), 10) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        return client.recv(15) == b"HTTP/1.0 200 OK"


@pytest.mark.parametrize("host", ["", "[::]"])
def test_all_addresses(cloud: Cloud, program: Program, host: str) -> None:
    """One socket serves IPv6 and IPv4."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6")
    with running_exporter(program, program.cloud_config(cloud), "--listen", f"{host}:0") as exporter:
        assert exporter.log[0] == UNPROTECTED
        port = int(exporter.url.rpartition(":")[2])
        assert exporter.url == f"http://[::]:{port}"
        assert served_at("::1", port)
        assert served_at("127.0.0.1", port)


def test_link_local_address(cloud: Cloud, program: Program) -> None:
    """It has an interface, in the address to listen on and in the URL; without one the error says so."""
    address = link_local()
    if not address:
        pytest.skip("no link-local address")
    config = program.cloud_config(cloud)
    with running_exporter(program, config, "--listen", f"[{address}]:0") as exporter:
        port = int(exporter.url.rpartition(":")[2])
        assert exporter.url == f"http://[{address}]:{port}"
        assert served_at(address, port)
    line = only_line(program("serve", "--config", config, "--listen", f"[{address.partition('%')[0]}]:0"), 2)
    assert line.endswith("; choose a free port of this host, and name its interface, as in [fe80::1%eth0]")
