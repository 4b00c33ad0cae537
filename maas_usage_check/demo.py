"""The emulator on loopback, for a look at the plugin without an account, and for trying it with an agent."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import signal
import sys
import tempfile
import threading
from typing import Callable, Iterator, List

from .emulator import Emulator
from .errors import ConfigError
from .files import replace

DEMO_KEY = {"DEMO-ACCESS-KEY-NOT-REAL": "demo-secret-key-not-real"}
CONFIG = """\
init_config:
instances:
  - region: cn-southwest-2
    endpoint: {url}
    iam_endpoint: {url}
    ranges: [last_7d, last_14d, last_30d]
    {more}
"""
KEY_FILE = """\
# The throw-away key of a stand-in on this machine: no secret, so everyone may read it.
HW_ACCESS_KEY={}
HW_SECRET_KEY={}
"""


@contextlib.contextmanager
def serving(emulator: Emulator, port: int = 0) -> Iterator[str]:
    """Serve an emulator on loopback until the block ends; yield its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet: apart, the second would wait for an acknowledgement
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length") or "0"
            if not re.fullmatch("[0-9]{1,7}", length):
                self.send_error(400, "no such Content-Length")
                return
            body = self.rfile.read(int(length))
            answer = emulator.answer(self.command, self.path, dict(self.headers), body)
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exc_info()[1], OSError):  # a client that goes away is no fault
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    try:
        server = Server(("127.0.0.1", port), Handler)
    except OSError as error:
        raise ConfigError(
            f"--port: {port} cannot be served ({error.strerror}); leave it out for any free one"
        ) from None
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def demo(run: Callable[[List[str]], int], serve: bool, port: int) -> int:
    """Show `report` and `collect` against the emulator, or keep it up for an agent.

    Args:
        run: the command line, as a function.
        serve: stay until SIGINT or SIGTERM instead.
        port: 0 for any that is free.
    """
    (ak, sk), *_ = DEMO_KEY.items()
    with tempfile.TemporaryDirectory(prefix="maas-usage-check-demo-") as folder, serving(
        Emulator(DEMO_KEY), port
    ) as url:
        config = os.path.join(folder, "demo.yaml")
        print(f"# a stand-in for Huawei Cloud, at {url}; its key is no real one", flush=True)
        if serve:
            key = os.path.join(folder, "credentials")
            # An agent's user keeps a state of its own; the tag keeps it, and the points, apart from the real account's.
            more = f"credentials: {{source: file, path: {json.dumps(key)}}}\n    tags: [source:demo]"
            os.chmod(folder, 0o755)  # noqa: S103 - agents have users of their own
            replace(key, KEY_FILE.format(ak, sk).encode(), mode=0o644)
            replace(config, CONFIG.format(url=url, more=more).encode(), mode=0o644)
            return _stay(config)
        state = os.path.join(folder, "state")
        replace(config, CONFIG.format(url=url, more=f"state_dir: {json.dumps(state)}").encode(), mode=0o600)
        os.environ.update({"HW_ACCESS_KEY": ak, "HW_SECRET_KEY": sk})
        os.environ.pop("HW_SECURITY_TOKEN", None)  # the token of a real temporary key does not go with this one
        worst = 0
        for command in (["report", "--last", "7d"], ["report", "--last", "7d", "--daily"], ["collect"]):
            print(f"\n$ maas-usage-check {' '.join(command)} --config demo.yaml", flush=True)
            worst = max(worst, run([*command, "--config", config]))
        return worst


def _stay(config: str) -> int:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    print(
        "# for any user of this machine, an agent's too: here the key is meant to be read by everyone, warning or not"
    )
    print(f"maas-usage-check collect --config {config}", flush=True)
    while not stop.wait(1.0):
        pass
    return 0
