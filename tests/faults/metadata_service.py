"""Collect with `source: sdk` where a proxy and this host both have a metadata service: in a network of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Optional

from maas_usage_check.cli import main
from maas_usage_check.emulator.emulator import PROJECT_ID, Emulator

from ..keep_alive_server import KeepAliveServer, ReceivedRequest, http_response
from ..program import AK, SK
from .faulty_cloud import FaultyServer


def metadata_service(host: str, port: int, ak: str) -> KeepAliveServer:
    """Serve the key of an agency, as the metadata service of an ECS does."""
    expiry = "2099-01-01T00:00:00.000000Z"
    credential = {"access": ak, "secret": SK, "securitytoken": "a-token", "expires_at": expiry}

    def answer(request: ReceivedRequest) -> Optional[bytes]:
        return http_response(b"session" if request.method == "PUT" else json.dumps({"credential": credential}).encode())

    server = KeepAliveServer(host=host, port=port)
    server.handler = answer
    return server


def collect(folder: Path) -> str:
    """Return whose key was used, or what went wrong."""
    cloud = FaultyServer(Emulator({AK: SK}, tokens={AK: "a-token"}))
    here, proxy = metadata_service("169.254.169.254", 80, AK), metadata_service("127.0.0.1", 0, "OTHERKEY000000000000")
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "HTTPS_PROXY"):
        os.environ[name] = f"http://127.0.0.1:{proxy.port}"
    entry = {**cloud.entry(project_id=PROJECT_ID, ranges=["last_7d"]), "credentials": {"source": "sdk"}}
    config = folder / "conf.yaml"
    config.write_text(json.dumps({"instances": [{**entry, "state_dir": str(folder)}]}))
    with contextlib.redirect_stdout(io.StringIO()):
        code = main(["collect", "--config", str(config), "--output", str(folder / "points")])
    if proxy.requests:
        return f"the proxy was asked: {[request.target for request in proxy.requests]}"
    return "collected with the key of this host" if (code, len(here.requests)) == (0, 2) else f"exit code {code}"


if __name__ == "__main__":
    print(collect(Path(sys.argv[1])))  # noqa: T201 - the result of this script
    sys.stdout.flush()
    os._exit(0)
