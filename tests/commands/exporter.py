"""The exporter as a process of its own, and who scrapes it."""

from __future__ import annotations

import contextlib
import re
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from prometheus_client.parser import text_string_to_metric_families

from ..conftest import Program, wait_for


class Answer(NamedTuple):
    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Exporter:
    """A running `serve`, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[bytes], context: Optional[ssl.SSLContext] = None) -> None:
        self.process = process
        self.context = context
        self.said: List[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        wait_for(lambda: self.url or process.poll() is not None, "the exporter to listen")
        assert self.url, self.said

    def _listen(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.said.append(line.decode().rstrip("\n"))

    @property
    def url(self) -> str:
        found = [re.fullmatch("I! serving (.+)/metrics", line) for line in self.said]
        return next((match[1] for match in found if match), "")

    @property
    def troubles(self) -> List[str]:
        """List what it said of troubles, and that they are over."""
        return [line for line in self.said if line[:2] != "I!" or line.endswith(": recovered")]

    def get(self, path: str = "/metrics", **headers: str) -> Answer:
        handlers: List[Any] = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context)]
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(self.url + path, headers=given)
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=20) as answer:
                return Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read())

    def samples(self, name: str) -> Dict[str, float]:
        return samples(self.get().text, name)

    def until_ready(self) -> None:
        wait_for(lambda: self.get("/-/ready").status == 200, "the first cycle")

    def ended(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end; return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(20)
        self._listener.join(10)
        return code


def samples(text: str, name: str) -> Dict[str, float]:
    """Read the values of a metric by range, or by region where it has none."""
    return {
        sample.labels.get("range", sample.labels["region"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


@contextlib.contextmanager
def exporting(
    program: Program, config: str, *options: str, context: Optional[ssl.SSLContext] = None, **environ: str
) -> Iterator[Exporter]:
    """Run one on a free port of loopback until the block ends."""
    process = program.start("serve", "--config", config, "--listen", "127.0.0.1:0", *options, **environ)
    try:
        yield Exporter(process, context)
    finally:
        process.kill()
        process.wait(10)
        for stream in (process.stdin, process.stdout):
            assert stream
            stream.close()
