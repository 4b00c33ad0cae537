"""`serve` as a process, a scraper, and a CA."""

from __future__ import annotations

import contextlib
import re
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

import trustme
from prometheus_client.parser import text_string_to_metric_families

from ..conftest import Program, wait_for


class Response(NamedTuple):
    status: int
    body: bytes
    content_type: str

    @property
    def text(self) -> str:
        return self.body.decode()


class Exporter:
    """A running `serve` and its log."""

    def __init__(self, process: subprocess.Popen[bytes], context: Optional[ssl.SSLContext] = None) -> None:
        self.process = process
        self.context = context
        self.log: List[str] = []
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        wait_for(lambda: self.url or process.poll() is not None, "the exporter to listen")
        assert self.url, self.log

    def _read_log(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line.decode().rstrip("\n"))

    @property
    def url(self) -> str:
        found = [re.fullmatch("I! serving (.+)/metrics", line) for line in self.log]
        return next((match[1] for match in found if match), "")

    @property
    def problems(self) -> List[str]:
        """List the lines about problems and recoveries."""
        return [line for line in self.log if line[:2] != "I!" or line.endswith(": recovered")]

    def get(self, path: str = "/metrics", **headers: str) -> Response:
        handlers: List[Any] = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context)]
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, headers=named)
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=20) as response:
                return Response(response.status, response.read(), response.headers["Content-Type"])
        except urllib.error.HTTPError as error:
            return Response(error.code, error.read(), error.headers["Content-Type"])

    def samples(self, name: str) -> Dict[str, float]:
        return samples(self.get().text, name)

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.get("/-/ready").status == 200, "the first cycle")

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(signal_number)
        code = self.process.wait(20)
        self._reader.join(10)
        return code


def samples(text: str, name: str) -> Dict[str, float]:
    """Map the range, or the region of series without one, to the value of a metric."""
    return {
        sample.labels.get("range", sample.labels["region"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


@contextlib.contextmanager
def running_exporter(
    program: Program, config: str, *options: str, context: Optional[ssl.SSLContext] = None, **environ: str
) -> Iterator[Exporter]:
    """Run `serve` on a free port of loopback."""
    process = program.start("serve", "--config", config, "--listen", "127.0.0.1:0", *options, **environ)
    try:
        yield Exporter(process, context)
    finally:
        process.kill()
        process.wait(10)
        for stream in (process.stdin, process.stdout):
            assert stream
            stream.close()


class Authority:
    """A throw-away CA with its certificates in files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str = "127.0.0.1") -> List[str]:
        """Issue a certificate; return the options for it and its private key."""
        issued = self.ca.issue_cert(name)
        cert, key = str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")
        Path(cert).write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return ["--tls-cert", cert, "--tls-key", key]

    def client(self, with_certificate: bool = True) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.file)
        if with_certificate:
            context.load_cert_chain(*self.issue("client.example.org")[1::2])
        return context
