"""The emulator on loopback, for a look at the plugin without an account, and for trying it with an agent."""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import signal
import sys
import tempfile
import threading
from typing import Callable, Iterator, List

from ..errors import ConfigError
from .emulator import Emulator

DEMO_KEY = {"DEMO-ACCESS-KEY-NOT-REAL": "demo-secret-key-not-real"}
CONFIG = """\
init_config:
instances:
  - region: cn-southwest-2
    endpoint: {url}
    iam_endpoint: {url}
    state_dir: {state}
    ranges: [last_7d, last_14d, last_30d]
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
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(url=url, state=os.path.join(folder, "state")))
        print(f"# a stand-in for Huawei Cloud, at {url}; its key is no real one", flush=True)
        if serve:
            return _stay(ak, sk, config)
        os.environ.update({"HW_ACCESS_KEY": ak, "HW_SECRET_KEY": sk})
        os.environ.pop("HW_SECURITY_TOKEN", None)  # the token of a real temporary key does not go with this one
        worst = 0
        for command in (["report", "--last", "7d"], ["report", "--last", "7d", "--daily"], ["collect"]):
            print(f"\n$ maas-usage-check {' '.join(command)} --config demo.yaml", flush=True)
            worst = max(worst, run([*command, "--config", config]))
        return worst


def _stay(ak: str, sk: str, config: str) -> int:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    print(f"export HW_ACCESS_KEY={ak} HW_SECRET_KEY={sk}")
    print("unset HW_SECURITY_TOKEN")
    print(f"maas-usage-check collect --config {config}", flush=True)
    while not stop.wait(1.0):
        pass
    return 0
